"""Records what cache hits saved in the ledger's book, for usage reports.

No request waits for it, and nothing is charged: equal hits are summed and written together every
few seconds, as one record without cost. While the ledger is unreachable they wait here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Final, Protocol

from msgspec import structs

from gateway.core.accounts import Amounts, Purse
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.core.ports import Clock
from gateway.core.records.record import UsageRecord, encode
from gateway.drivers.background import in_background_then_flush, keep_running

EVERY_S: Final = 10.0
MAX_WAITING: Final = 10_000
"""Distinct hits that may wait, and records that may; further ones are not recorded."""
_NO_COST: Final = Amounts(Nanos(0))


class Charge(Protocol):
    def __call__(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]: ...


class CacheHits:
    """`charge` is the ledger's, `wall` gives Unix seconds, `new_id` names a record."""

    def __init__(self, charge: Charge, wall: Clock, new_id: Callable[[], str]) -> None:
        self._charge = charge
        self._wall = wall
        self._new_id = new_id
        self._waiting: dict[bytes, UsageRecord] = {}
        self._unwritten: deque[UsageRecord] = deque()

    def add(self, hit: UsageRecord) -> None:
        """Count a hit; those that differ only in what they saved become one record."""
        key = encode(structs.replace(hit, hits=0, saved=0))
        so_far = self._waiting.get(key)
        if so_far is not None:
            hits, saved = so_far.hits + hit.hits, so_far.saved + hit.saved
            self._waiting[key] = structs.replace(so_far, hits=hits, saved=saved)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[key] = hit

    async def write(self) -> None:
        """Write all that waits; what fails is kept for the next time."""
        waiting, self._waiting = self._waiting, {}
        capacity = MAX_WAITING - len(self._unwritten)
        for record in islice(waiting.values(), capacity):
            self._unwritten.append(structs.replace(record, attempt=self._new_id()))
        at = self._wall()
        while self._unwritten:
            record = self._unwritten[0]
            purse = Purse(record.tenant, (), record.organisation)
            try:
                # Idempotent by the record's id: a retry does not write it twice.
                await self._charge(purse, record.attempt, at, _NO_COST, record)
            except LedgerDown:
                return
            self._unwritten.popleft()

    async def run(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await sleep(EVERY_S)
            await self.write()


@asynccontextmanager
async def open_cache_hits(
    charge: Charge, wall: Clock, new_id: Callable[[], str]
) -> AsyncIterator[CacheHits]:
    """Written every few seconds, and once more at the end."""
    hits = CacheHits(charge, wall, new_id)
    writing = keep_running("records of cache hits", partial(hits.run, asyncio.sleep))
    async with in_background_then_flush(writing, hits.write):
        yield hits
