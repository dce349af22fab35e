"""Cached answers in this process's memory: an LRU cache per tenant, bounded in bytes."""

import asyncio
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final

from gateway.core.ports import Clock

OVERHEAD_BYTES: Final = 200
"""Bytes that an entry is counted for beside its data."""

_HEAP_SLACK: Final = 100


class MemoryResponses:
    """At most `most_bytes` of each tenant. `clock` gives monotonic seconds."""

    def __init__(self, most_bytes: int, clock: Clock) -> None:
        self._max_bytes = most_bytes
        self._clock = clock
        self._tenants: dict[str, _TenantCache] = {}

    async def find(self, tenant: str, key: str) -> tuple[bytes, float] | None:
        await asyncio.sleep(0)
        cache = self._tenants.get(tenant)
        return None if cache is None else cache.find(key, self._clock())

    def keep(self, tenant: str, key: str, data: bytes, ttl_s: float) -> None:
        now = self._clock()
        self._tenants.setdefault(tenant, _TenantCache()).keep(
            key, data, now + ttl_s, self._max_bytes, now
        )

    def size(self, tenant: str) -> int:
        """Bytes, including the overhead."""
        cache = self._tenants.get(tenant)
        return cache.size if cache else 0

    def reconfigure(self, most_bytes: int) -> None:
        """Use this bound from now on."""
        self._max_bytes = most_bytes

    async def aclose(self) -> None:
        """Nothing is open."""


class _TenantCache:
    """One tenant's entries, the least recently used first."""

    def __init__(self) -> None:
        self.size = 0
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._expiries: list[tuple[float, str]] = []
        """A heap; may contain removed entries."""

    def find(self, key: str, now: float) -> tuple[bytes, float] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        data, until = entry
        if until <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return data, until - now

    def keep(self, key: str, data: bytes, until: float, max_bytes: int, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            expiry, expired_key = heappop(self._expiries)
            if expired_key in self._entries and self._entries[expired_key][1] == expiry:
                self._drop(expired_key)
        self._drop(key)
        if len(data) + OVERHEAD_BYTES > max_bytes:
            return
        self._entries[key] = (data, until)
        self.size += len(data) + OVERHEAD_BYTES
        heappush(self._expiries, (until, key))
        if len(self._expiries) > 2 * len(self._entries) + _HEAP_SLACK:
            self._expiries = [(until, key) for key, (_, until) in self._entries.items()]
            heapify(self._expiries)
        while self.size > max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry[0]) + OVERHEAD_BYTES
