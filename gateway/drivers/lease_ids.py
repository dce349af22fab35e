"""Which holds were asked for here, and which a lease served: a bit each, for some minutes."""

from typing import Final

from gateway.core.ports import Clock
from gateway.core.usage_line import Seen

KEPT_S: Final = 600.0
"""At least. The ledger itself knows of a settled hold for five minutes."""
_LOOK_EVERY: Final = 1_024


class Recent:
    """Names that came by in the last `KEPT_S`, and for up to as long before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock()
        self._new, self._old = Seen(), Seen()
        self._count = 0

    def add(self, name: str) -> bool:
        """Whether it is new."""
        self._count += 1
        if self._count % _LOOK_EVERY == 0 and self._clock() >= self._since + KEPT_S:
            self._old, self._new, self._since = self._new, Seen(), self._clock()
        return self._new.add(name) and not self._old.has(name)

    def has(self, name: str) -> bool:
        return self._new.has(name) or self._old.has(name)


class LeaseIds:
    """`known` are all that were asked for, `local` those that a lease served, or that were given
    back: the ledger need not know of those.
    """

    def __init__(self, clock: Clock) -> None:
        self.known = Recent(clock)
        self.local = Recent(clock)
