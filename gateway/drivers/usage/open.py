"""Opens the configured usage store, and the task that exports to it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from gateway.core.catalog import Tenant
from gateway.core.ports import LedgerDriver, Observer
from gateway.core.snapshot import Snapshot
from gateway.drivers.background import in_background_then_flush, keep_running
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.drivers.usage.marks import Marks, MemoryMarks, RedisMarks, sink_id
from gateway.drivers.usage.sink import ChangedHomes, UsageSink
from gateway.drivers.usage.store import UsageStore

PATIENCE_S: Final = 2.0
"""A long timeout: no request waits for it."""


def homes_of(tenants: Iterable[Tenant]) -> list[str]:
    """The names of homes: organisations, and tenants without one."""
    names = (tenant.organisation.name if tenant.organisation else tenant.name for tenant in tenants)
    return [*dict.fromkeys(names)]


def open_store(sink: str) -> UsageStore:
    """By the sink's text. Raises StoreError where its extra is not installed."""
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
    changed: ChangedHomes,
    observe: Observer,
    wall: Callable[[], float],
) -> AsyncIterator[UsageSink | None]:
    """The sink with its task running; None without a configured sink. `server` gives the URL of the
    ledger's server, or "memory": then `ledger` is read.
    """
    usage = snapshot.usage
    if usage.sink is None:
        yield None
        return
    store = open_store(usage.sink)
    async with server as url, _open_book(usage.sink, url, ledger, observe) as (book, marks):
        sink = UsageSink(
            book,
            marks,
            store,
            homes=homes_of(snapshot.tenants.values()),
            changed=changed,
            observe=observe,
            wall=wall,
            keep_days=usage.keep_days,
        )
        every_s = usage.every_s or store.every_s
        run = partial(sink.run, every_s, time.monotonic, asyncio.sleep)
        writing = keep_running("the usage sink", run)
        try:
            async with in_background_then_flush(writing, sink.round):
                yield sink
        finally:
            await store.aclose()


@asynccontextmanager
async def _open_book(
    sink: str, url: str, ledger: LedgerDriver, observe: Observer
) -> AsyncIterator[tuple[LedgerDriver, Marks]]:
    """A connection of its own, so that large reads do not delay requests."""
    if url == "memory":
        yield ledger, MemoryMarks()
        return
    connection = open_redis(url, timeout_s=PATIENCE_S)
    book = RedisLedger(url, timeout_s=PATIENCE_S, observe=observe)
    try:
        yield book, RedisMarks(connection.call, sink_id(sink), secrets.token_hex(8))
    finally:
        await book.aclose()
        await connection.aclose()
