"""A cache of plans: most requests of a route differ in nothing that a plan depends on.

A plan is kept for all prompts of about one size, and made for the largest of them: larger by a 32nd
at most. So a hold may be that much larger on its input side, never smaller. Where a plan depends on
more (chance, observations, the price of this hour, a limit close to the size), it is made anew each
time. A look-up takes 0.8 us; to make a plan of two models takes 10, one of twelve 45.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.catalog import Tenant
from gateway.core.features import Features
from gateway.core.ladder import Ladder
from gateway.core.plan import Plan, races
from gateway.core.tokens import Bound

Make = Callable[[Features], Plan]
"""Makes the plan for such a request anew."""

_MOST: Final = 4_096
_BITS: Final = 6
"""Significant bits of a size that count."""
_OF_SIZE: Final = ("context", "headroom")
"""How the reasons begin for which a deployment is out that a shorter prompt might fit."""


class _Entry(Struct, frozen=True):
    """`plan` is None where it has to be made each time. The ladder is kept: its id is the key."""

    ladder: Ladder
    plan: Plan | None


class Plans:
    """Bounded: when it is full, it is emptied."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, ...], _Entry] = {}
        self._learned = 0

    def plan(
        self, ladder: Ladder, features: Features, tenant: Tenant, learned: int, make: Make
    ) -> Plan:
        """The cached plan, or what `make` makes: to be used while all circuits are closed.
        `learned` is the version of the token factors.
        """
        bound = features.bound
        if (
            bound.media
            or bound.exact is not None
            or features.max_latency_s is not None
            or features.checks is not None
        ):
            return make(features)
        if learned != self._learned:
            self._learned = learned
            self._entries.clear()
        counted = about(bound.counted)
        key = (
            id(ladder),
            counted,
            bound.beside,
            features.output,
            features.n,
            features.needs,
            features.caches,
            features.caches_1h,
            features.searches,
            features.region,
            features.max_cost,
            tenant.models,
            tenant.regions,
            tenant.max_request,
        )
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= _MOST:
                self._entries.clear()
            sized = structs.replace(bound, counted=counted)
            entry = self._entries[key] = _Entry(ladder, _kept(ladder, features, sized, make))
        return entry.plan or make(features)


def about(tokens: int) -> int:
    """The next number of six significant bits."""
    beyond = tokens.bit_length() - _BITS
    return -(-tokens >> beyond) << beyond if beyond > 0 else tokens


def _kept(ladder: Ladder, features: Features, bound: Bound, make: Make) -> Plan | None:
    """The plan for the largest prompt; None where it must not be kept."""
    if ladder.ordered or races(ladder.strategy):
        return None
    plan = make(structs.replace(features, bound=bound))
    if not plan.rungs:
        return None
    if not _near_a_limit(plan, features.output):
        return plan
    step = 1 << max(bound.counted.bit_length() - _BITS, 0)
    fewer = structs.replace(bound, counted=bound.counted - step + 1)
    smallest = structs.replace(features, bound=fewer)
    # Where a limit lies between the two, the plan is made each time.
    return plan if _who(plan) == _who(make(smallest)) else None


def _near_a_limit(plan: Plan, output: int | None) -> bool:
    """Whether a shorter prompt might have more candidates, or longer answers."""
    return any(each.why.startswith(_OF_SIZE) for each in plan.skipped) or any(
        each.max_output not in (output, each.model.max_output)
        for rung in plan.rungs
        for each in rung.candidates
    )


def _who(plan: Plan) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Who answers, and how much; who is out, and for what kind of reason."""
    able = [(each.deployment.name, each.max_output) for r in plan.rungs for each in r.candidates]
    return able, [(each.deployment, each.why.partition(":")[0]) for each in plan.skipped]
