"""What climbing saved: each answer's cost beside what its route's last tier would have taken.

It is compared with the tokens of the answer that was given, at the price of the first model of the
last tier where it is deployed first. What a dearer model would have said, nobody knows.
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
"""What tells a cost, and the price or the tariff that it goes by."""
Smart: TypeAlias = tuple[Callable[[Any, Usage], Nanos], Any, int, int]
"""What the last tier charges, the cell of what it would have taken, and of what all calls cost."""
EMPTY: Final = Catalog({}, {}, {})


class Saved:
    """`wall` is Unix seconds: prices may change by the hour."""

    def __init__(self, of: Families, wall: Clock) -> None:
        self._of = of
        self._wall = wall
        self.tops: Mapping[str, Priced] = {}
        """By each name that is climbed from: what its last tier charges."""

    def reconfigure(self, catalog: Catalog) -> None:
        """Go by the prices of this one."""
        climbed = {name: each for name, each in ladders(catalog).items() if len(each.steps) > 1}
        self.tops = {name: self._top(each) for name, each in climbed.items()}

    def smart(self, tenant: str, route: str) -> Smart | None:
        """Where answers of a name in `tops` are counted."""
        if route not in self.tops:
            return None
        alone = self._of["gateway_always_smart_cost_usd_total"][tenant, route]
        mixed = self._of["gateway_always_smart_actual_usd_total"][tenant, route]
        return *self.tops[route], alone, mixed

    def audited(self, tenant: str, route: str, spent: Nanos) -> None:
        """A call of an audit that went on behind an answer."""
        if route in self.tops:
            self._of.add("gateway_always_smart_actual_usd_total", tenant, route, by=spent)

    def _top(self, ladder: Ladder) -> Priced:
        place = ladder.steps[-1].places[0]
        tariff = place.deployments[0].tariff
        if tariff is None:
            return cost, place.model.price
        if not (tariff.windows or tariff.steps):
            return cost, tariff.usual
        return self._by_the_hour, tariff

    def _by_the_hour(self, tariff: Tariff, usage: Usage) -> Nanos:
        now = self._wall() if tariff.windows else 0.0
        return tariff.cost(usage, now, now)
