"""Where money, keys and records are kept, opened as the snapshot names it.

With app.py the only module that names concrete drivers.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from gateway.background.guards import Guards
from gateway.background.runner import AuditRunner
from gateway.core.errors import LedgerDown
from gateway.core.guard import GuardStore
from gateway.core.keys import KeyStore
from gateway.core.ladder import ladders
from gateway.core.ports import Ledger, LedgerDriver, Observer, Responses
from gateway.core.records.record import UsageRecord
from gateway.core.snapshot import Ledger as Where
from gateway.core.snapshot import Snapshot
from gateway.drivers.background import keep_running, stop
from gateway.drivers.cache_hits import open_cache_hits
from gateway.drivers.exact_tokens import table_fault
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.local_ledger import LocalLedger
from gateway.drivers.ledger.local_open import open_local
from gateway.drivers.ledger.local_payer import VoidingLedger
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.line_writer import why_unwritable
from gateway.drivers.memory_guard import MemoryGuard
from gateway.drivers.memory_keys import MemoryKeys
from gateway.drivers.memory_responses import MemoryResponses
from gateway.drivers.redis.checks import Finding, inspect_url, refusal
from gateway.drivers.redis.embedded import EmbeddedRedis, EmbeddedRedisError
from gateway.drivers.redis.embedded_watch import keep_alive
from gateway.drivers.redis.vitals import Vitals, read_vitals
from gateway.drivers.redis.wire import RedisError
from gateway.drivers.redis_guard import RedisGuard
from gateway.drivers.redis_keys import RedisKeys
from gateway.drivers.redis_responses import RedisResponses
from gateway.drivers.upstream.short_http import connect_to_provider
from gateway.drivers.usage.books import Books, books_at, books_of_store, read_store
from gateway.drivers.usage.search import Find, Search
from gateway.drivers.usage.store import why_unwritable as unwritable_sink

_log: Final = logging.getLogger("gateway")
read_usage: Final = read_store
token_table_fault: Final = table_fault
log_fault: Final = why_unwritable
sink_fault: Final = unwritable_sink
connect_provider: Final = connect_to_provider


@asynccontextmanager
async def open_ledger(
    snapshot: Snapshot, observe: Observer, warn: Callable[[str], None] = _log.warning
) -> AsyncIterator[LedgerDriver]:
    """The ledger that the snapshot names; "embedded" starts a private server and stops it.

    `warn` is told why money should not be entrusted to somebody's server. Raises LedgerDown when
    the private one does not start, or when the snapshot refuses one that is not safe.
    """
    wanted = snapshot.ledger
    if wanted.url == "memory":
        yield MemoryLedger(time.time, wanted.hold_ttl_s, observe)
        return
    if wanted.url != "embedded":
        await _inspect(snapshot, warn)
    async with server(wanted, warn) as url:
        ledger = RedisLedger(
            url, ttl_s=wanted.hold_ttl_s, timeout_s=wanted.timeout_s, observe=observe
        )
        clocks = {"clock": time.monotonic, "wall": time.time}
        async with open_local(_leasing(ledger, wanted), snapshot, observe, **clocks) as local:
            yield local


def _leasing(ledger: RedisLedger, wanted: Where) -> VoidingLedger:
    """The ledger, or one that holds ahead for those who send much."""
    if wanted.lease is None:
        return ledger
    ttl_s = wanted.hold_ttl_s
    return LeasedLedger(ledger, wanted.lease, clock=time.monotonic, new_id=new_ids(), ttl_s=ttl_s)


async def look_at(wanted: Where) -> tuple[tuple[Vitals, ...], tuple[Finding, ...]]:
    """What a person wants to know of the servers where money is counted, and what is wrong with
    them. Nothing of the one in memory. Raises LedgerDown when one does not answer.
    """
    if wanted.url == "memory":
        return (), ()
    async with server(wanted) as url:
        try:
            server_vitals = await read_vitals(url, wanted.timeout_s, time.time)
            found = await inspect_url(url, wanted.timeout_s)
        except RedisError as error:
            raise LedgerDown(str(error)) from error
    return server_vitals, () if wanted.url == "embedded" else found


@asynccontextmanager
async def open_books(snapshot: Snapshot, homes: Sequence[str] = ()) -> AsyncIterator[Books]:
    """What is recorded, of these homes or of all; of a ledger in memory only what the sink has.
    Raises LedgerDown and StoreError.
    """
    if snapshot.ledger.url == "memory":
        async with books_of_store(snapshot, time.time) as books:
            yield books
        return
    async with server(snapshot.ledger) as url, books_at(snapshot, url, homes) as books:
        yield books


@asynccontextmanager
async def server(wanted: Where, warn: Callable[[str], None] | None = None) -> AsyncIterator[str]:
    """The URL of a server that is there; "embedded" starts or joins the private one. With `warn`
    that one is brought back when it dies, and this is told.
    """
    if wanted.url != "embedded":
        yield wanted.url
        return
    embedded = EmbeddedRedis(Path(wanted.data_dir), syncs=warn is not None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, embedded.stop)
        starting = asyncio.create_task(asyncio.to_thread(embedded.start))
        # A thread cannot be cancelled: what it has started is stopped when it is done.
        stack.push_async_callback(asyncio.wait, [starting])
        try:
            await asyncio.shield(starting)
        except EmbeddedRedisError as error:
            raise LedgerDown(str(error)) from error
        if warn is not None:
            watch = partial(keep_alive, embedded, asyncio.sleep, time.monotonic, warn)
            keeping = keep_running("the watch over the embedded ledger", watch)
            stack.push_async_callback(stop, asyncio.create_task(keeping))
        yield embedded.url


@asynccontextmanager
async def open_keys(snapshot: Snapshot) -> AsyncIterator[KeyStore]:
    """Where keys are kept that are no part of the configuration: where the ledger is."""
    wanted = snapshot.ledger
    if wanted.url == "memory":
        yield MemoryKeys()
        return
    async with server(wanted) as url:
        store = RedisKeys(url, timeout_s=wanted.timeout_s)
        try:
            yield store
        finally:
            await store.aclose()


@asynccontextmanager
async def open_responses(snapshot: Snapshot) -> AsyncIterator[Responses]:
    """Where routes keep answers: where the ledger is, over a connection of its own."""
    wanted, most = snapshot.ledger, snapshot.limits.cache_bytes
    if wanted.url == "memory":
        yield MemoryResponses(most, time.monotonic)
        return
    async with server(wanted) as url:
        responses = RedisResponses(url, most, timeout_s=wanted.timeout_s)
        try:
            yield responses
        finally:
            await responses.aclose()


@asynccontextmanager
async def open_audits(
    snapshot: Snapshot, ledger: LedgerDriver, observe: Observer
) -> AsyncIterator[AuditRunner]:
    """What goes on behind the answers. What guards have seen is kept where the ledger is."""
    wanted = snapshot.ledger
    async with AsyncExitStack() as stack:
        store: GuardStore = MemoryGuard()
        if wanted.url != "memory":
            url = await stack.enter_async_context(server(wanted))
            store = RedisGuard(url, timeout_s=wanted.timeout_s)
        guards = Guards(store, observe)
        guards.know(ladders(snapshot.catalog).values())
        await guards.refresh()
        sharing = keep_running("what guards have seen", partial(guards.keep, asyncio.sleep))
        keeping = asyncio.create_task(sharing)
        audits = AuditRunner(guards, ledger.charge, observe)
        try:
            yield audits
        finally:
            await stop(keeping)
            await audits.aclose()


@asynccontextmanager
async def open_hits(ledger: LedgerDriver) -> AsyncIterator[Callable[[UsageRecord], None]]:
    """Told of each answer that is given again: it notes that in the ledger's book."""
    async with open_cache_hits(ledger.charge, time.time, new_ids()) as hits:
        yield hits.add


def find_request(ledger: LedgerDriver) -> Find:
    """What finds the records of a request, by its home and its id."""
    return Search(ledger, time.time)


async def _inspect(snapshot: Snapshot, warn: Callable[[str], None]) -> None:
    """Whether money can be entrusted to the server. Raises LedgerDown when it is refused."""
    wanted = snapshot.ledger
    findings = await inspect_url(wanted.url, wanted.timeout_s)
    why = refusal(findings, wanted.on_unsafe)
    if why is not None:
        raise LedgerDown(why)
    for finding in findings:
        warn(str(finding))


async def probe(ledger: Ledger, tenant: str) -> str | None:
    """What is wrong with the ledger; None when it answers, or a tenant can go on without it."""
    try:
        await ledger.open_holds(tenant)
    except LedgerDown as error:
        return None if isinstance(ledger, LocalLedger) and ledger.serves_alone else str(error)
    return None


def new_ids() -> Callable[[], str]:
    """Gives ids that nobody guesses and no two processes share: a random prefix and a count."""
    prefix, numbers = secrets.token_hex(12), count()

    def new_id() -> str:  # a class that is called takes half as long again
        return f"{prefix}{next(numbers)}"

    return new_id
