"""What kept answers saved, written to the ledger's book, so that usage reports can tell.

No request waits for it, and nothing is charged: hits that are alike are added up and written
together every few seconds, as one record of no cost. While the ledger is away they wait here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, Protocol

from msgspec import structs

from gateway.core.accounts import Amounts, Purse
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.core.ports import Clock
from gateway.core.usage_record import UsageRecord, encode
from gateway.drivers.background import keeping

EVERY_S: Final = 10.0
MOST: Final = 10_000
"""Kinds of hits that wait, and records that do: of more, those that come then are not recorded."""
_NOTHING: Final = Amounts(Nanos(0))


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
        self._owed: deque[UsageRecord] = deque()

    def add(self, hit: UsageRecord) -> None:
        """One more; all such that are alike but for what they saved are one record."""
        alike = encode(structs.replace(hit, hits=0, saved=0))
        so_far = self._waiting.get(alike)
        if so_far is not None:
            hits, saved = so_far.hits + hit.hits, so_far.saved + hit.saved
            self._waiting[alike] = structs.replace(so_far, hits=hits, saved=saved)
        elif len(self._waiting) < MOST:
            self._waiting[alike] = hit

    async def write(self) -> None:
        """All that waits; what the ledger does not take waits on."""
        waiting, self._waiting = self._waiting, {}
        room = MOST - len(self._owed)
        for record in islice(waiting.values(), room):
            self._owed.append(structs.replace(record, attempt=self._new_id()))
        at = self._wall()
        while self._owed:
            record = self._owed[0]
            purse = Purse(record.tenant, (), record.organisation)
            try:
                # Under the same name it is written once, however often it is tried.
                await self._charge(purse, record.attempt, at, _NOTHING, record)
            except LedgerDown:
                return
            self._owed.popleft()

    async def keep(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await sleep(EVERY_S)
            await self.write()


@asynccontextmanager
async def noting_hits(
    charge: Charge, wall: Clock, new_id: Callable[[], str]
) -> AsyncIterator[CacheHits]:
    """Written every few seconds, and once more at the end."""
    hits = CacheHits(charge, wall, new_id)
    async with keeping(hits.keep(asyncio.sleep), hits.write):
        yield hits
