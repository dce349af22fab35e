"""From a configuration to where usage is kept, and to the task that writes it there."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.core.catalog import Tenant
from gateway.core.ports import LedgerDriver, Observer
from gateway.core.snapshot import Snapshot
from gateway.drivers.background import keeping
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.drivers.usage.marks import Marks, MemoryMarks, RedisMarks
from gateway.drivers.usage.sink import Moved, UsageSink
from gateway.drivers.usage.store import UsageStore

PATIENCE_S: Final = 2.0
"""Nobody waits for what is asked here."""


def homes_of(tenants: Iterable[Tenant]) -> list[str]:
    """Whose books there are: of organisations, and of tenants without one."""
    names = (tenant.organisation.name if tenant.organisation else tenant.name for tenant in tenants)
    return [*dict.fromkeys(names)]


def open_store(sink: str) -> UsageStore:
    """Where a sink's text says. Raises StoreError where what it needs is not installed."""
    kind, _, rest = sink.partition(":")
    name = secrets.token_hex(4)
    if kind == "jsonl":
        return JsonlStore(Path(rest), name)
    if kind == "parquet":
        from gateway.drivers.usage.parquet_store import ParquetStore  # noqa: PLC0415 - an extra

        return ParquetStore(Path(rest), name)
    from gateway.drivers.usage.postgres_store import PostgresStore  # noqa: PLC0415 - an extra

    return PostgresStore(sink)


@asynccontextmanager
async def open_sink(
    snapshot: Snapshot,
    server: AbstractAsyncContextManager[str],
    ledger: LedgerDriver,
    moved: Moved,
    observe: Observer,
    wall: Callable[[], float],
) -> AsyncIterator[UsageSink | None]:
    """The task, running, where the snapshot names a sink. `server` is the URL of the ledger's, or
    "memory": then it is `ledger`.
    """
    usage = snapshot.usage
    if usage.sink is None:
        yield None
        return
    store = open_store(usage.sink)
    async with server as url, _books(usage.sink, url, ledger, observe) as (book, marks):
        sink = UsageSink(
            book,
            marks,
            store,
            homes=homes_of(snapshot.tenants.values()),
            moved=moved,
            observe=observe,
            wall=wall,
            keep_days=usage.keep_days,
        )
        every_s = usage.every_s or store.every_s
        writing = sink.keep_writing(every_s, time.monotonic, asyncio.sleep)
        try:
            async with keeping(writing, sink.round):
                yield sink
        finally:
            await store.aclose()


@asynccontextmanager
async def _books(
    sink: str, url: str, ledger: LedgerDriver, observe: Observer
) -> AsyncIterator[tuple[LedgerDriver, Marks]]:
    """A connection of our own: who reads much must not stand in a request's way."""
    if url == "memory":
        yield ledger, MemoryMarks()
        return
    connection = open_redis(url, timeout_s=PATIENCE_S)
    book = RedisLedger(url, timeout_s=PATIENCE_S, observe=observe)
    name = sha256(sink.encode()).hexdigest()[:12]
    try:
        yield book, RedisMarks(connection.call, name, secrets.token_hex(8))
    finally:
        await book.aclose()
        await connection.aclose()
