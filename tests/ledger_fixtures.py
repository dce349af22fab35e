"""A ledger of each kind: `pytest_plugins = ("tests.ledger_fixtures",)`."""

from collections.abc import AsyncIterator

import pytest

from gateway.core.events import Event
from gateway.drivers.embedded_redis import EmbeddedRedis
from gateway.drivers.memory_ledger import MemoryLedger
from gateway.drivers.redis_ledger import RedisLedger
from tests.ledger_bench import KEPT, TTL_S, Bench, Driver
from tests.ledger_time import LedgerTime

pytest_plugins = ("tests.redis_server",)


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest, tenant: str) -> AsyncIterator[Bench]:
    events: list[Event] = []
    ledger: Driver
    if request.param == "memory":
        time = LedgerTime(tenant)
        ledger = MemoryLedger(time, TTL_S, events.append, kept=KEPT)
    else:
        server: EmbeddedRedis = request.getfixturevalue("shared_redis")
        time = LedgerTime(tenant, server.url)
        ledger = RedisLedger(
            server.url,
            ttl_s=TTL_S,
            timeout_s=5,
            observe=events.append,
            clock=time,
            kept=KEPT,
            scripts=time.scripts(),
        )
    yield Bench(ledger, time, events)
    await ledger.aclose()
    time.close()


@pytest.fixture
async def ledger(bench: Bench) -> Driver:
    return bench.ledger
