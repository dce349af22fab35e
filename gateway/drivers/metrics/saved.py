"""What escalation saved: each answer's cost against what its route's last tier would have cost.

The comparison assumes the same tokens, at the price of the first deployment of the last tier's
first model. How many tokens that model would really have used is unknown.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.core.catalog import Catalog
from gateway.core.chat import Usage
from gateway.core.ladder import Ladder, ladders
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

    def reconfigure(self, catalog: Catalog) -> None:
        """Use the prices of this catalog."""
        climbed = {name: each for name, each in ladders(catalog).items() if len(each.steps) > 1}
        self.tops = {name: self._price_of_top(each) for name, each in climbed.items()}

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

    def _price_of_top(self, ladder: Ladder) -> Priced:
        place = ladder.steps[-1].models[0]
        tariff = place.deployments[0].tariff
        if tariff is None:
            return cost, place.model.price
        if not (tariff.windows or tariff.steps):
            return cost, tariff.usual
        return self._tariff_cost, tariff

    def _tariff_cost(self, tariff: Tariff, usage: Usage) -> Nanos:
        now = self._wall() if tariff.windows else 0.0
        return tariff.cost(usage, now, now)
