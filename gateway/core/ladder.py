"""What a name in `model` stands for: the rungs to climb, before anything is ruled out."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from msgspec import Struct, structs

from gateway.core.agree import Agreement
from gateway.core.catalog import (
    CASCADE,
    TIMEOUT_S,
    Cache,
    Catalog,
    Check,
    Deployment,
    Model,
    OnDisconnect,
    Route,
    Rule,
    Tactic,
    Tier,
)
from gateway.core.digest import digest
from gateway.core.learned import Learned
from gateway.core.order import Order
from gateway.core.rules import Traits, When, holds, looks
from gateway.core.trials import Canary, GuardSettings, Shadow, chosen

NO_TIER: Final = "none"
"""The tier of a model that is in none."""


class StepModel(Struct, frozen=True):
    """A model's place in a step; see Deployment.weight."""

    model: Model
    deployments: tuple[Deployment, ...]
    weight: int | None = None


class Step(Struct, frozen=True, rename={"models": "places"}):
    """One rung before anything is ruled out. It is encoded in Cache.mark: another name of a field
    there makes every cached answer unreachable.
    """

    tier: str
    models: tuple[StepModel, ...]
    checks: tuple[Check, ...] = ()
    order: Order = "listed"

    @property
    def drawn(self) -> bool:
        """Whether anything on it is chosen by weight."""
        return any(
            place.weight is not None or any(each.weight is not None for each in place.deployments)
            for place in self.models
        )


class AuditPolicy(Struct, frozen=True):
    """What runs behind the answers. `name` is the route, or "route/rule"; `key` changes with it and
    with what is compared: models, strategy, checks, learned weights.
    """

    name: str
    key: str
    agreement: Agreement
    guard: GuardSettings | None = None
    shadow: Shadow | None = None


class Ladder(Struct, frozen=True):
    """What a name in `model` stands for, before anything is ruled out."""

    name: str
    steps: tuple[Step, ...]
    strategy: Tactic = CASCADE
    timeout_s: float = TIMEOUT_S
    on_disconnect: OnDisconnect = "cancel"
    drain_s: float = 0.0
    ordered: bool = False
    """Whether what is observed has a say in the order of any of its rungs."""
    rules: tuple[tuple[str, When, "Ladder"], ...] = ()
    """By name: what is climbed instead by a request that meets the conditions; the first counts."""
    audit_policy: AuditPolicy | None = None
    canary: "tuple[Canary, Ladder] | None" = None
    cache: Cache | None = None
    learned: Learned | None = None
    looks: frozenset[str] = frozenset()
    """What its rules need of a request's text; see rules.py."""

    def chosen(self, traits: Traits) -> tuple[str, "Ladder"]:
        """Which rule holds, "" for none, and what is climbed."""
        for name, when, ladder in self.rules:
            if holds(when, traits):
                return name, ladder
        return "", self

    def of_tenant(self, tenant: str) -> "tuple[str, Ladder]":
        """The route that is climbed for a tenant, "" for this one, and its ladder."""
        if self.canary is not None:
            canary, ladder = self.canary
            if chosen(canary.share, self.name, tenant):
                return canary.route, ladder
        return "", self

    def named(self, name: str) -> "Ladder":
        """The same under another name, which the request asked for: permissions go by that name."""
        rules = tuple((rule, when, structs.replace(of, name=name)) for rule, when, of in self.rules)
        return structs.replace(self, name=name, rules=rules)


def ladders(catalog: Catalog) -> Mapping[str, Ladder]:
    """Every name that a request may ask for: routes, tiers, models, "provider/model"."""
    named: dict[str, Ladder] = {}
    timeout_s = catalog.timeout_s
    home: dict[str, str] = {}
    routed = [name for route in catalog.routes.values() for name in route.tiers]
    for tier_name in (*routed, *catalog.tiers):
        for entry in catalog.tiers[tier_name].models:
            home.setdefault(entry.model, tier_name)
    for model in catalog.models.values():
        tier_name = home.get(model.name, NO_TIER)
        for deployment in model.deployments:
            alone = Step(tier_name, (StepModel(model, (deployment,)),))
            named[deployment.name] = Ladder(deployment.name, (alone,), timeout_s=timeout_s)
        models = (model, *(catalog.models[name] for name in model.fallbacks))
        places = tuple(StepModel(each, each.deployments) for each in models)
        steps = (Step(tier_name, places),)
        ordered = _observed(steps)
        named[model.name] = Ladder(model.name, steps, timeout_s=timeout_s, ordered=ordered)
    climb = tuple(_step(catalog, tier) for tier in catalog.tiers.values())
    for at, name in enumerate(catalog.tiers):
        ordered = _observed(climb[at:])
        named[name] = Ladder(name, climb[at:], timeout_s=timeout_s, ordered=ordered)
    for route in catalog.routes.values():
        named[route.name] = _of_route(catalog, route)
    moved = {
        route.name: (route.canary, named[route.canary.route].named(route.name))
        for route in catalog.routes.values()
        if route.canary is not None
    }
    for name, canary in moved.items():
        named[name] = structs.replace(named[name], canary=canary)
    return named


def _observed(steps: Iterable[Step]) -> bool:
    return any(step.order != "listed" or step.drawn for step in steps)


def _of_route(catalog: Catalog, route: Route) -> Ladder:
    def ladder(of: Route | Rule) -> Ladder:
        steps = tuple(_step(catalog, catalog.tiers[tier], of.checks, of.order) for tier in of.tiers)
        timeout_s, drain_s = route.timeout_s, route.drain_s
        left, ordered = route.on_disconnect, _observed(steps)
        policy = _audit_policy(route, of, steps)
        name, rules = route.name, ()
        ladder = Ladder(name, steps, of.strategy, timeout_s, left, drain_s, ordered, rules, policy)
        return structs.replace(ladder, learned=route.learned)

    rules = tuple((rule.name, rule.when, ladder(rule)) for rule in route.rules)
    looked = frozenset().union(*(looks(when) for _, when, _ in rules))
    whole = structs.replace(ladder(route), rules=rules, looks=looked)
    if route.cache is None:
        return whole
    mark = digest((route.cache.mark, whole))
    return structs.replace(whole, cache=structs.replace(route.cache, mark=mark))


def agreement_of(chosen: Tactic) -> Agreement:
    """How a strategy, or a guard of its route, compares two answers."""
    if chosen.name == "arbitrate":
        return Agreement("tools")
    if chosen.name == "vote":
        return Agreement(chosen.options["agree"], chosen.options["pointers"])
    return Agreement()


def _audit_policy(route: Route, of: Route | Rule, steps: tuple[Step, ...]) -> AuditPolicy | None:
    if route.guard is None and route.shadow is None:
        return None
    compares = route.compares
    agreement = agreement_of(of.strategy)
    if compares.mode is not None:
        agreement = Agreement(compares.mode, compares.pointers)
    models = [[place.model.name for place in step.models] for step in steps]
    checks = [step.checks for step in steps[:-1]]
    learned = route.learned if route.learned is not None and route.learned.weights else None
    compared = repr((models, of.strategy, agreement, checks, learned)).encode()
    name = route.name if of is route else f"{route.name}/{of.name}"
    key = f"{name}:{blake2b(compared, digest_size=4).hexdigest()}"
    return AuditPolicy(name, key, agreement, route.guard, route.shadow)


def _step(
    catalog: Catalog, tier: Tier, checks: tuple[Check, ...] = (), order: Order = "listed"
) -> Step:
    places = tuple(
        StepModel(
            catalog.models[entry.model], catalog.models[entry.model].deployments, entry.weight
        )
        for entry in tier.models
    )
    return Step(tier.name, places, (*checks, *(c for c in tier.checks if c not in checks)), order)
