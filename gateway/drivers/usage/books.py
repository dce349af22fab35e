"""All that is recorded of usage, and the ledger that it explains: for the command line."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.core.errors import LedgerDown
from gateway.core.ledger_audit import Audit, Told
from gateway.core.ports import LedgerDriver
from gateway.core.snapshot import Snapshot
from gateway.core.usage_line import Line, Reading, entry_of, line_of, when
from gateway.core.usage_record import is_of
from gateway.drivers.ledger.audit import audit, rebuild
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode
from gateway.drivers.usage.marks import HOMES
from gateway.drivers.usage.open import homes_of, open_store
from gateway.drivers.usage.search import Search
from gateway.drivers.usage.store import UsageStore

_PATIENCE_S: Final = 30.0
_PAGE: Final = 1_000


class Books:
    """`homes` are those of the configuration, and those that a sink ever wrote for. `now` is in
    Unix seconds, by the ledger's clock.
    """

    def __init__(
        self, ledger: LedgerDriver, store: UsageStore | None, homes: Sequence[str], now: float
    ) -> None:
        self.homes = homes
        self._ledger = ledger
        self._store = store
        self._now = now
        self._told: dict[str, Told] | None = None

    async def lines(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        """What was kept, or, where nothing keeps it, what the books still have; perhaps some more
        than from `since` to `until`. Raises StoreError and LedgerDown.
        """
        if self._store is not None:
            async for some in self._store.read(reading, since, until):
                yield some
            return
        for home in self.homes:
            after = ""
            while page := await self._ledger.records(home, after, _PAGE):
                lines = (line_of(home, entry, when(entry)) for entry in page)
                yield [line for line in lines if reading.first(line)]
                after = page[-1].at

    async def of_request(self, request_id: str) -> list[Line]:
        """The lines of one request, and of what went on behind it: what the books still have, else
        what was kept. Raises StoreError and LedgerDown.
        """
        search = Search(self._ledger, lambda: self._now)
        for home in self.homes:
            if found := await search(home, request_id):
                return found
        kept: dict[str, list[Line]] = {}
        if self._store is not None:
            async for lines in self._store.read(Reading()):
                for line in lines:
                    if is_of(line.request, request_id) or line.attempt in kept:
                        kept.setdefault(line.attempt, []).append(line)
        return [line for lines in kept.values() for line in lines]

    async def audit(self, home: str) -> Audit:
        """Raises StoreError and LedgerDown."""
        return await audit(self._ledger, home, (await self._kept())[home], self._now)

    async def rebuild(self, home: str, *, force: bool) -> int:
        """After `audit`: set the counters to what the entries say. Gives 0, or how many holds are
        open, where that was not forced. Raises TooBusy as well.
        """
        told = (await self._kept())[home]
        epoch = secrets.token_hex(8)
        return await rebuild(self._ledger, home, told, self._now, epoch, force=force)

    async def _kept(self) -> dict[str, Told]:
        """What is kept of each home: read once."""
        if self._told is None:
            self._told = {home: Told() for home in self.homes}
            if self._store is not None:
                async for lines in self._store.read(Reading()):
                    self._add(lines)
        return self._told

    def _add(self, lines: Iterable[Line]) -> None:
        assert self._told is not None  # noqa: S101
        for line in lines:
            entry = entry_of(line)
            if entry is not None and line.ledger is not None:
                told = self._told.get(line.ledger.home)
                if told is not None:
                    told.add(entry)


@asynccontextmanager
async def books_at(snapshot: Snapshot, url: str, homes: Sequence[str] = ()) -> AsyncIterator[Books]:
    """`url` is the ledger's server, `homes` which to look at; none: all. Raises StoreError where
    what the sink needs is not installed, and LedgerDown.
    """
    store = open_store(snapshot.usage.sink) if snapshot.usage.sink is not None else None
    connection = open_redis(url, timeout_s=_PATIENCE_S)
    ledger = RedisLedger(
        url, ttl_s=snapshot.ledger.hold_ttl_s, timeout_s=_PATIENCE_S, probe_s=_PATIENCE_S
    )
    try:
        seconds, _ = await connection.call(encode("TIME"))
        named = {home.decode() for home in await connection.call(encode("SMEMBERS", HOMES))}
        known = homes_of(snapshot.tenants.values())
        every = [*known, *sorted(named - {*known})]
        yield Books(ledger, store, [*homes] or every, float(seconds))
    except RedisError as error:
        raise LedgerDown(f"the ledger is unavailable ({error.kind})") from error
    finally:
        await ledger.aclose()
        await connection.aclose()
        if store is not None:
            await store.aclose()


async def read_store(
    sink: str, reading: Reading, since: str, until: str
) -> AsyncGenerator[Sequence[Line], None]:
    """What is kept there, without any ledger. Raises StoreError."""
    store = open_store(sink)
    try:
        async for some in store.read(reading, since, until):
            yield some
    finally:
        await store.aclose()
