"""The grid of a route's parameters, each point rehearsed, and which of them are worth having."""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations, product
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.catalog import BALLOTS, Catalog, Check, Route, Tactic
from gateway.core.strategies import fault, tactic
from gateway.replay.figures import Line
from gateway.replay.lineup import Lineup, alias, line_up
from gateway.replay.records import Records

_GRID: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "arbitrate": {
        "voters": (2, 3),
        "need": (2, 3),
        "join": (False, True),
        "show_votes": (False, True),
    },
    "cascade": {},
    "hedge": {"after_ms": (None, 500, 1_000, 2_000)},
    "repair": {"times": (1, 2, 3)},
    "retry_cheap": {"tries": (2, 3, 5)},
    "vote": {
        "voters": (2, 3),
        "need": (2, 3),
        "join": (False, True),
        "agree": ("auto", "number", "choice", "label"),
        "show_votes": (False, True),
    },
}
_INDISTINGUISHABLE: Final = ("show_votes", "times", "tries")
"""Options that recorded answers cannot tell apart: only the route's own values are tried."""


class Trial(Struct, frozen=True):
    """One point of the grid, by a name that says what is set, ready to be rehearsed."""

    name: str
    lineup: Lineup


def trials(
    records: Records,
    catalog: Catalog,
    route: Route,
    pool: Sequence[str],
    smart: str,
    limit: int = 200,
) -> list[Trial]:
    """Strategy options, checks on and off, and which cheap models stand first, in which order.

    Points that come to the same lineup and strategy are tried once; at most `limit` in all.
    """
    cheap = [name for name in pool if name != smart]
    by_name: dict[str, Trial] = {}
    for chosen, checks in product(_tactics(route.strategy), _checks(route)):
        voters = int(chosen.options.get("voters", 1))
        if voters > len(cheap):
            continue
        # The order of voters makes no difference.
        orders = combinations if chosen.name in BALLOTS else permutations
        for order in orders(cheap, voters):
            rest = [name for name in cheap if name not in order]
            for behind in (rest, []) if rest else ([],):
                policy = structs.replace(route, strategy=chosen, checks=checks, tiers=(), rules=())
                lineup = line_up(records, catalog, policy, (*order, *behind, smart), smart)
                name = _name(chosen, checks, lineup)
                by_name.setdefault(name, Trial(name, lineup))
                if len(by_name) >= limit:
                    return list(by_name.values())
    return list(by_name.values())


def frontier(lines: Sequence[Line]) -> list[Line]:
    """Those that no other beats in both accuracy and dollars, the cheapest first."""
    best: list[Line] = []
    for line in sorted(lines, key=lambda each: (each.usd_per_1000.value, -each.accuracy.value)):
        if not best or line.accuracy.value > best[-1].accuracy.value:
            best.append(line)
    return best


def _tactics(chosen: Tactic) -> Iterator[Tactic]:
    grid = {
        key: values if key not in _INDISTINGUISHABLE else (chosen.options[key],)
        for key, values in _GRID[chosen.name].items()
    }
    for values in product(*grid.values()):
        options = {**chosen.options, **dict(zip(grid, values, strict=True))}
        if fault(chosen.name, options) is None:
            yield tactic(chosen.name, options, chosen.then)


def _checks(route: Route) -> Iterator[tuple[Check, ...]]:
    yield route.checks
    if route.checks:
        yield ()


def _name(chosen: Tactic, checks: Sequence[Check], lineup: Lineup) -> str:
    rungs = " > ".join(
        "+".join(alias(place.model.name) for place in step.models) for step in lineup.ladder.steps
    )
    options = " ".join(
        f"{key}={value}" for key, value in chosen.options.items() if value not in ((), None)
    )
    check_names = f"; checks {', '.join(check.name for check in checks)}" if checks else ""
    return f"{chosen.name} {options}; {rungs}{check_names}".replace(" ;", ";")
