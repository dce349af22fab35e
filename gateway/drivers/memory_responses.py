"""Answers that are kept in this process: bounded by their bytes, the longest unused go first."""

import asyncio
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final

from gateway.core.ports import Clock

BESIDE: Final = 200
"""Bytes that a kept answer takes beside its own."""

_SPARE: Final = 100


class MemoryResponses:
    """At most `most_bytes` of each tenant. `clock` gives monotonic seconds."""

    def __init__(self, most_bytes: int, clock: Clock) -> None:
        self._most = most_bytes
        self._clock = clock
        self._of: dict[str, _Shelf] = {}

    async def find(self, tenant: str, key: str) -> tuple[bytes, float] | None:
        await asyncio.sleep(0)
        shelf = self._of.get(tenant)
        return None if shelf is None else shelf.find(key, self._clock())

    def keep(self, tenant: str, key: str, data: bytes, ttl_s: float) -> None:
        now = self._clock()
        self._of.setdefault(tenant, _Shelf()).keep(key, data, now + ttl_s, self._most, now)

    def size(self, tenant: str) -> int:
        """Bytes, as they are counted."""
        shelf = self._of.get(tenant)
        return shelf.size if shelf else 0

    def reconfigure(self, most_bytes: int) -> None:
        """So much from now on."""
        self._most = most_bytes

    async def aclose(self) -> None:
        """Nothing is open."""


class _Shelf:
    """One tenant's, the longest unused first."""

    def __init__(self) -> None:
        self.size = 0
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._ends: list[tuple[float, str]] = []
        """A heap; also of what is not kept any more."""

    def find(self, key: str, now: float) -> tuple[bytes, float] | None:
        found = self._kept.get(key)
        if found is None:
            return None
        data, until = found
        if until <= now:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return data, until - now

    def keep(self, key: str, data: bytes, until: float, most: int, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            over, other = heappop(self._ends)
            if other in self._kept and self._kept[other][1] == over:
                self._drop(other)
        self._drop(key)
        if len(data) + BESIDE > most:
            return
        self._kept[key] = (data, until)
        self.size += len(data) + BESIDE
        heappush(self._ends, (until, key))
        if len(self._ends) > 2 * len(self._kept) + _SPARE:
            self._ends = [(until, key) for key, (_, until) in self._kept.items()]
            heapify(self._ends)
        while self.size > most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.size -= len(found[0]) + BESIDE
