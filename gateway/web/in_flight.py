"""How many requests are being served, in all and of each key."""

from weakref import WeakValueDictionary

from gateway.core.errors import Busy
from gateway.core.snapshot import Limits


class Slots:
    """How many requests of one key are being served. Sessions of the key refer to it."""

    __slots__ = ("__weakref__", "taken")

    def __init__(self) -> None:
        self.taken = 0


class InFlight:
    """All requests. A key is forgotten when no session refers to its slots."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self.by_key: WeakValueDictionary[str, Slots] = WeakValueDictionary()

    def slots(self, who: str) -> Slots:
        return self.by_key.setdefault(who, Slots())

    def acquire(self, slots: Slots) -> None:
        """Raises Busy when this one would be too many."""
        limits = self.limits
        if self.total >= limits.in_flight or slots.taken >= limits.in_flight_per_key:
            raise Busy("Too many requests are being served at once; try again in a second.")
        self.total += 1
        slots.taken += 1

    def release(self, slots: Slots) -> None:
        self.total -= 1
        slots.taken -= 1
