"""Usage records and the ledger together, for the command line."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.core.errors import LedgerDown
from gateway.core.ports import Clock, LedgerDriver
from gateway.core.records.audit import Audit, Told
from gateway.core.records.line import Line, Reading, entry_of, line_of, when
from gateway.core.records.record import is_of
from gateway.core.snapshot import Snapshot
from gateway.drivers.ledger.audit import audit, rebuild
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode
from gateway.drivers.usage.marks import HOMES_KEY, Marks, RedisMarks, sink_id
from gateway.drivers.usage.open import homes_of, open_store
from gateway.drivers.usage.search import Search
from gateway.drivers.usage.store import UsageStore

_PATIENCE_S: Final = 30.0
_PAGE: Final = 1_000


class Books:
    """`homes` are those to read, `known` those of the configuration, and those that a sink has ever
    written. `now` gives Unix seconds, by the ledger's clock. `marks` are those of the store.
    """

    def __init__(
        self,
        ledger: LedgerDriver,
        store: UsageStore | None,
        homes: Sequence[str],
        now: Clock,
        known: Sequence[str] = (),
        marks: Marks | None = None,
    ) -> None:
        self.homes = homes
        self._known = known
        self._ledger = ledger
        self._store = store
        self._now = now
        self._marks = marks
        self._tallies: dict[str, Told] | None = None

    async def lines(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        """The store's lines, or, without a store, those that the books still have; may include some
        outside of `since` to `until`. Raises StoreError and LedgerDown.
        """
        if self._store is not None:
            async for batch in self._store.read(reading, since, until):
                yield batch
            return
        for home in self.homes:
            after = ""
            while page := await self._ledger.records(home, after, _PAGE):
                lines = (line_of(home, entry, when(entry)) for entry in page)
                yield [line for line in lines if reading.first(line)]
                after = page[-1].at

    async def of_request(self, request_id: str) -> list[Line]:
        """The lines of one request and its background calls: from the books if they still have
        them, else from the store. Raises StoreError and LedgerDown.
        """
        search = Search(self._ledger, self._now)
        for home in self.homes:
            if found := await search(home, request_id):
                return found
        by_attempt: dict[str, list[Line]] = {}
        if self._store is not None:
            async for lines in self._store.read(Reading()):
                for line in lines:
                    if is_of(line.request, request_id) or line.attempt in by_attempt:
                        by_attempt.setdefault(line.attempt, []).append(line)
        return [line for lines in by_attempt.values() for line in lines]

    async def unknown(self) -> list[str]:
        """Those of `homes` that are not known, and of which neither the ledger nor the store has
        anything, as they may of a removed tenant. Raises StoreError and LedgerDown.
        """
        return [
            home
            for home in self.homes
            if not (
                home in self._known
                or await self._ledger.counted(home)
                or await self._ledger.records(home, "", 1)
                or (await self._stored_tallies())[home].entries
            )
        ]

    async def audit(self, home: str) -> Audit:
        """Raises StoreError and LedgerDown."""
        return await audit(self._ledger, home, (await self._stored_tallies())[home], self._now)

    async def rebuild(self, home: str, *, force: bool) -> int:
        """After `audit`: set the counters to the sums of the entries. Gives 0, or, unless forced,
        the number of open holds. Raises TooBusy as well.
        """
        tally = (await self._stored_tallies())[home]
        epoch = secrets.token_hex(8)
        if self._marks is not None:  # else a sink took the numbers that are passed over for lost
            await self._marks.save_known(home, tally.seq)
        return await rebuild(self._ledger, home, tally, self._now, epoch, force=force)

    async def _stored_tallies(self) -> dict[str, Told]:
        """The tally of each home's lines in the store; read once."""
        if self._tallies is None:
            self._tallies = {home: Told() for home in self.homes}
            if self._store is not None:
                async for lines in self._store.read(Reading()):
                    self._add(lines)
        return self._tallies

    def _add(self, lines: Iterable[Line]) -> None:
        assert self._tallies is not None  # noqa: S101
        for line in lines:
            entry = entry_of(line)
            if entry is not None and line.ledger is not None:
                tally = self._tallies.get(line.ledger.home)
                if tally is not None:
                    tally.add(entry)


@asynccontextmanager
async def books_at(snapshot: Snapshot, url: str, homes: Sequence[str] = ()) -> AsyncIterator[Books]:
    """`url` is the ledger's server; `homes` to read, or all if empty. Raises StoreError where the
    sink's extra is not installed, and LedgerDown.
    """
    store = open_store(snapshot.usage.sink) if snapshot.usage.sink is not None else None
    connection = open_redis(url, timeout_s=_PATIENCE_S)
    ledger = RedisLedger(
        url, ttl_s=snapshot.ledger.hold_ttl_s, timeout_s=_PATIENCE_S, probe_s=_PATIENCE_S
    )
    try:
        asked_at = time.monotonic()
        seconds, microseconds = map(int, await connection.call(encode("TIME")))
        named = {home.decode() for home in await connection.call(encode("SMEMBERS", HOMES_KEY))}
        known = homes_of(snapshot.tenants.values())
        all_homes = [*known, *sorted(named - {*known})]
        ahead = seconds + microseconds / 1_000_000 - asked_at

        def now() -> float:
            return time.monotonic() + ahead

        sink = snapshot.usage.sink
        marks = None if sink is None else RedisMarks(connection.call, sink_id(sink), "rebuild")
        yield Books(ledger, store, [*homes] or all_homes, now, all_homes, marks)
    except RedisError as error:
        raise LedgerDown(f"the ledger is unavailable ({error.kind})") from error
    finally:
        await ledger.aclose()
        await connection.aclose()
        if store is not None:
            await store.aclose()


@asynccontextmanager
async def books_of_store(snapshot: Snapshot, wall: Clock) -> AsyncIterator[Books]:
    """What the sink has, where the ledger is in a gateway's own memory. Raises StoreError."""
    store = open_store(snapshot.usage.sink) if snapshot.usage.sink is not None else None
    try:
        homes = homes_of(snapshot.tenants.values())
        yield Books(MemoryLedger(wall), store, homes, wall, homes)
    finally:
        if store is not None:
            await store.aclose()


async def read_store(
    sink: str, reading: Reading, since: str, until: str
) -> AsyncGenerator[Sequence[Line], None]:
    """Read a store without a ledger. Raises StoreError."""
    store = open_store(sink)
    try:
        async for lines in store.read(reading, since, until):
            yield lines
    finally:
        await store.aclose()
