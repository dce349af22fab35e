"""Remembers the ids of recent holds, a bit each, for some minutes."""

from typing import Final

from gateway.core.ports import Clock

KEPT_S: Final = 600.0
"""At least. The ledger itself knows of a settled hold for five minutes."""
_CHECK_EVERY: Final = 1_024
_BITS: Final = {f"{number:02x}": 1 << number for number in range(256)}


class LeaseIds:
    """The ids of the last `KEPT_S`, or up to twice that. Ids of one process end in a counter: 256
    of them share one entry.
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
        if self._count % _CHECK_EVERY == 0 and self._clock() >= self._since + KEPT_S:
            self._old, self._new, self._since = self._new, {}, self._clock()
        key, bit = _locate(name)
        bits = self._new.get(key, 0)
        if bits & bit or self._old.get(key, 0) & bit:
            return False
        self._new[key] = bits | bit
        return True

    def has(self, name: str) -> bool:
        key, bit = _locate(name)
        return bool((self._new.get(key, 0) | self._old.get(key, 0)) & bit)

    def discard(self, name: str) -> None:
        key, bit = _locate(name)
        for generation in (self._new, self._old):
            if key in generation:
                generation[key] &= ~bit


def _locate(name: str) -> tuple[str, int]:
    """An id's entry and bit. An id that does not end in a counter is an entry by itself."""
    bit = _BITS.get(name[-2:])
    return (f"{name}!", 1) if bit is None else (name[:-2], bit)
