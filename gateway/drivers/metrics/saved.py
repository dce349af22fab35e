"""What escalation saved: each answer's cost against what its route's last tier would have cost.

The comparison assumes the same tokens, at the price of the first deployment of the last tier's
first model. How many tokens that model would really have used is unknown. Where it is the one that
answered, what its provider says that this cost counts as it does in what was charged.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.core.billing import charge
from gateway.core.catalog import Catalog, Deployment
from gateway.core.chat import Usage
from gateway.core.events import Replied
from gateway.core.ladder import StepModel, ladders
from gateway.core.money import Nanos, cost
from gateway.core.ports import Clock
from gateway.core.tariff import Tariff
from gateway.drivers.metrics.families import Families

Priced: TypeAlias = tuple[Callable[[Any, Usage], Nanos], Any]
"""A function of a price and a usage that gives the cost; and its price or tariff."""
Smart: TypeAlias = tuple[Callable[[Any, Usage], Nanos], Any, int, int]
"""The last tier's price, the cell of what it would have cost, and of what all calls cost."""
EMPTY: Final = Catalog({}, {}, {})


class Saved:
    """`wall` is Unix seconds: prices may change by the hour."""

    def __init__(self, families: Families, wall: Clock) -> None:
        self._families = families
        self._wall = wall
        self.tops: Mapping[str, Priced] = {}
        """By route with several tiers: the price of its last tier."""
        self._deployments: Mapping[str, Deployment] = {}
        """Of the same routes: where that is the price."""

    def reconfigure(self, catalog: Catalog) -> None:
        """Use the prices of this catalog."""
        climbed = {name: each for name, each in ladders(catalog).items() if len(each.steps) > 1}
        places = {name: each.steps[-1].models[0] for name, each in climbed.items()}
        self.tops = {name: self._price_of(place) for name, place in places.items()}
        self._deployments = {name: place.deployments[0] for name, place in places.items()}

    def smart(self, tenant: str, route: str) -> Smart | None:
        """The cells for answers of a route in `tops`; None for others."""
        if route not in self.tops:
            return None
        top_cost = self._families["gateway_always_smart_cost_usd_total"][tenant, route]
        actual_cost = self._families["gateway_always_smart_actual_usd_total"][tenant, route]
        return *self.tops[route], top_cost, actual_cost

    def audited(self, tenant: str, route: str, spent: Nanos) -> None:
        """Add the cost of a background audit's call."""
        if route in self.tops:
            self._families.add("gateway_always_smart_actual_usd_total", tenant, route, by=spent)

    def reported(self, answer: Replied, computed: Nanos) -> Nanos:
        """What an answer would have cost at the last tier, where its provider says what it did."""
        top = self._deployments.get(answer.about.route)
        if top is None or top.name != f"{answer.provider}/{answer.model}":
            return computed
        return charge(computed, answer.usage, top, counted=False)

    def _price_of(self, place: StepModel) -> Priced:
        tariff = place.deployments[0].tariff
        if tariff is None:
            return cost, place.model.price
        if not (tariff.windows or tariff.steps):
            return cost, tariff.usual
        return self._tariff_cost, tariff

    def _tariff_cost(self, tariff: Tariff, usage: Usage) -> Nanos:
        now = self._wall() if tariff.windows else 0.0
        return tariff.cost(usage, now, now)
