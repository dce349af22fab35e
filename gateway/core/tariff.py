"""What a deployment charges at which time of day."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.core.chat import Usage
from gateway.core.money import Nanos, Price, cost

DAY: Final = 24 * 60


class Window(Struct, frozen=True):
    """A part of every day with its own price: from `begin` up to but not including `end`, in
    minutes since midnight in `zone`, an IANA name. One that ends at or before its begin ends on
    the next day.
    """

    begin: int
    end: int
    price: Price
    zone: str = "UTC"

    def holds(self, unix_seconds: float) -> bool:
        clock = datetime.fromtimestamp(unix_seconds, _zone(self.zone))
        minute = clock.hour * 60 + clock.minute
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


class Tariff(Struct, frozen=True):
    """A price, and the parts of the day when another holds."""

    usual: Price
    windows: tuple[Window, ...] = ()

    @property
    def dearest(self) -> Price:
        """What must be held for."""
        if not self.windows:
            return self.usual
        return dearest([self.usual, *(window.price for window in self.windows)])

    def at(self, unix_seconds: float) -> Price:
        return next((w.price for w in self.windows if w.holds(unix_seconds)), self.usual)

    def cost(self, usage: Usage, began: float, ended: float) -> Nanos:
        """What a call between two instants costs. Who bills by which of the two is not known for
        every provider: the dearer counts.
        """
        return max(cost(self.at(began), usage), cost(self.at(ended), usage))


def dearest(prices: Iterable[Price]) -> Price:
    """Each rate at its dearest."""
    rates = zip(*((p.input, p.output, p.cached_input, p.cache_write) for p in prices), strict=True)
    return Price(*map(max, rates))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
