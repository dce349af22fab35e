"""What a name in `model` stands for: the rungs to climb, before anything is ruled out."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from gateway.core.catalog import (
    CASCADE,
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
from gateway.core.order import Order
from gateway.core.rules import Traits, When, holds

NO_TIER: Final = "none"
"""The tier of a model that is in none."""
_DEFAULT_TIMEOUT_S: Final = 120.0


class Place(Struct, frozen=True):
    """A model's place in a step; see Deployment.weight."""

    model: Model
    deployments: tuple[Deployment, ...]
    weight: int | None = None


class Step(Struct, frozen=True):
    """One rung before anything is ruled out."""

    tier: str
    places: tuple[Place, ...]
    checks: tuple[Check, ...] = ()
    order: Order = "listed"


class Ladder(Struct, frozen=True):
    """What a name in `model` stands for, before anything is ruled out."""

    name: str
    steps: tuple[Step, ...]
    strategy: Tactic = CASCADE
    timeout_s: float = _DEFAULT_TIMEOUT_S
    on_disconnect: OnDisconnect = "cancel"
    drain_s: float = 0.0
    ordered: bool = False
    """Whether any of its rungs is ordered by what is observed."""
    rules: tuple[tuple[str, When, "Ladder"], ...] = ()
    """By name: what is climbed instead by a request that meets the conditions; the first counts."""

    def chosen(self, traits: Traits) -> tuple[str, "Ladder"]:
        """Which rule holds, "" for none, and what is climbed."""
        for name, when, ladder in self.rules:
            if holds(when, traits):
                return name, ladder
        return "", self


def ladders(catalog: Catalog) -> Mapping[str, Ladder]:
    """Every name that a request may ask for: routes, tiers, models, "provider/model"."""
    named: dict[str, Ladder] = {}
    home: dict[str, str] = {}
    routed = [name for route in catalog.routes.values() for name in route.tiers]
    for tier_name in (*routed, *catalog.tiers):
        for entry in catalog.tiers[tier_name].models:
            home.setdefault(entry.model, tier_name)
    for model in catalog.models.values():
        tier_name = home.get(model.name, NO_TIER)
        for deployment in model.deployments:
            alone = Step(tier_name, (Place(model, (deployment,)),))
            named[deployment.name] = Ladder(deployment.name, (alone,))
        models = (model, *(catalog.models[name] for name in model.fallbacks))
        places = tuple(Place(each, each.deployments) for each in models)
        named[model.name] = Ladder(model.name, (Step(tier_name, places),))
    climb = tuple(catalog.tiers)
    for at, name in enumerate(climb):
        steps = tuple(_step(catalog, catalog.tiers[each]) for each in climb[at:])
        named[name] = Ladder(name, steps)
    for route in catalog.routes.values():
        named[route.name] = _of_route(catalog, route)
    return named


def _of_route(catalog: Catalog, route: Route) -> Ladder:
    def ladder(of: Route | Rule) -> Ladder:
        steps = tuple(_step(catalog, catalog.tiers[tier], of.checks, of.order) for tier in of.tiers)
        timeout_s, drain_s = route.timeout_s, route.drain_s
        left, ordered = route.on_disconnect, of.order != "listed"
        return Ladder(route.name, steps, of.strategy, timeout_s, left, drain_s, ordered)

    rules = tuple((rule.name, rule.when, ladder(rule)) for rule in route.rules)
    return structs.replace(ladder(route), rules=rules)


def _step(
    catalog: Catalog, tier: Tier, checks: tuple[Check, ...] = (), order: Order = "listed"
) -> Step:
    places = tuple(
        Place(catalog.models[entry.model], catalog.models[entry.model].deployments, entry.weight)
        for entry in tier.models
    )
    return Step(tier.name, places, (*checks, *(c for c in tier.checks if c not in checks)), order)
