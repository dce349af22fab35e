"""A ledger of each kind: `pytest_plugins = ("tests.ledger_fixtures",)`."""

import time as time_of_day
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.catalog import Tenant
from gateway.core.events import Event
from gateway.drivers.ledger.local_ledger import LocalLedger
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_bench import KEPT, TTL_S, Bench, Driver
from tests.ledger_leased import EagerlyLeased, LeasedBench
from tests.ledger_time import LedgerTime

pytest_plugins = ("tests.redis_server",)


@pytest.fixture(params=["memory", "redis", "local", "leased"])
async def bench(
    request: pytest.FixtureRequest, tenant: str, tmp_path: Path
) -> AsyncIterator[Bench]:
    events: list[Event] = []
    ledger: Driver
    if request.param == "memory":
        time = LedgerTime(tenant)
        ledger = MemoryLedger(time, TTL_S, events.append, max_entries=KEPT)
    else:
        server: EmbeddedRedis = request.getfixturevalue("shared_redis")
        time = LedgerTime(tenant, server.url)
        redis = ledger = RedisLedger(
            server.url,
            ttl_s=TTL_S,
            timeout_s=5,
            observe=events.append,
            clock=time,
            max_entries=KEPT,
            scripts=time.scripts(),
        )
        if request.param == "local":  # as long as its server is there, nothing is different
            whose = Tenant(tenant, on_ledger_unavailable="allow_local")
            ledger = local = LocalLedger(
                redis, [whose], tmp_path, replicas=2, observe=events.append,
                clock=time_of_day.monotonic, wall=time,
            )  # fmt: skip
            await local.start()
        if request.param == "leased":  # whoever has room has a lease
            ledger = EagerlyLeased(redis, clock=time)
    yield (LeasedBench if request.param == "leased" else Bench)(ledger, time, events)
    await ledger.aclose()
    time.close()


@pytest.fixture
async def ledger(bench: Bench) -> Driver:
    return bench.ledger
