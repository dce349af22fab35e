"""Which holds were asked for here: a bit each, for some minutes."""

from typing import Final

from gateway.core.ports import Clock

KEPT_S: Final = 600.0
"""At least. The ledger itself knows of a settled hold for five minutes."""
_LOOK_EVERY: Final = 1_024
_BITS: Final = {f"{number:02x}": 1 << number for number in range(256)}


class LeaseIds:
    """Names that came by in the last `KEPT_S`, and for up to as long before. Those of one process
    end in a count: 256 of them are one entry here.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock()
        self._new: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._count = 0

    def add(self, name: str) -> bool:
        """Whether it is new."""
        self._count += 1
        if self._count % _LOOK_EVERY == 0 and self._clock() >= self._since + KEPT_S:
            self._old, self._new, self._since = self._new, {}, self._clock()
        key, bit = _place(name)
        had = self._new.get(key, 0)
        if had & bit or self._old.get(key, 0) & bit:
            return False
        self._new[key] = had | bit
        return True

    def has(self, name: str) -> bool:
        key, bit = _place(name)
        return bool((self._new.get(key, 0) | self._old.get(key, 0)) & bit)

    def discard(self, name: str) -> None:
        key, bit = _place(name)
        for some in (self._new, self._old):
            if key in some:
                some[key] &= ~bit


def _place(name: str) -> tuple[str, int]:
    """Its entry, and its bit of that. What is no name of a process' own is an entry by itself."""
    bit = _BITS.get(name[-2:])
    return (f"{name}!", 1) if bit is None else (name[:-2], bit)
