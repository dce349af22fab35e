"""The stream of usage records is full before the sink took them: what is counted, told, and what
`tollgate ledger verify` says then.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget, Tenant
from gateway.core.money import Nanos
from gateway.core.records.line import Reading
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.metrics.prometheus import Metrics
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.drivers.usage.marks import RedisMarks
from gateway.drivers.usage.sink import ChangedHomes, UsageSink
from tests.usage_lines import NOON, record

pytest_plugins = ("tests.redis_server",)

KEPT: Final = 100
"""Entries that the stream keeps, about: what is over goes a hundred at a time."""
BEFORE, SPENT = 10, 1_000
CONFIG: Final = """
redis: {{url: '{redis}'}}
usage: {{sink: 'jsonl:{folder}'}}
providers: {{local: {{dialect: openai, base_url: 'http://x/v1'}}}}
models: {{small: {{deployments: [{{provider: local}}], context: 8000, price: free}}}}
tenants:
  {tenant}: {{keys: [{{id: k, hash: 'sha256:{hash}'}}], budgets: [{{usd: 5, per: total}}]}}
"""


class World:
    """A ledger whose stream is small, and a sink that writes it on when it is asked to."""

    def __init__(self, url: str, tenant: str, folder: Path) -> None:
        self.tenant = tenant
        self.metrics = Metrics([Tenant(tenant)])
        self.ledger = RedisLedger(url, timeout_s=30, max_entries=KEPT)
        self.connection = open_redis(url, timeout_s=30)
        self.store = JsonlStore(folder, "p1")
        self.sink = UsageSink(
            self.ledger,
            RedisMarks(self.connection.call, "s1", "me"),
            self.store,
            homes=[tenant],
            changed=ChangedHomes(),
            observe=self.metrics.observe,
            wall=lambda: NOON / 1_000,
        )
        budgets = (Budget(5 * 10**9, "total"),)
        self.purse = Purse(tenant, (Account("tenant", tenant, budgets, tenant),))

    async def spend(self, first: int, count: int) -> None:
        async def one(name: str) -> None:
            hold = await self.ledger.reserve(self.purse, name, Amounts(Nanos(50), 10, 1))
            assert isinstance(hold, Hold)
            done = record(name, cost=20, tenant=self.tenant)
            await self.ledger.settle(hold, Amounts(Nanos(20), 10), done)

        await asyncio.gather(*(one(f"a{number}") for number in range(first, first + count)))

    def counted(self) -> dict[str, float]:
        """What the metrics say, by outcome."""
        families = text_string_to_metric_families(self.metrics.render().decode())
        return {
            sample.labels["outcome"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "gateway_usage_records_total" and sample.value
        }

    async def close(self) -> None:
        await self.ledger.aclose()
        await self.connection.aclose()
        await self.store.aclose()
        self.metrics.close()


def test_the_stream_full(
    tmp_path: Path, own_redis: EmbeddedRedis, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder, only = tmp_path / "usage", ["--home", tenant, "-c", str(tmp_path / "gateway.yaml")]
    text = CONFIG.format(redis=own_redis.url, folder=folder, tenant=tenant, hash="a" * 64)
    (tmp_path / "gateway.yaml").write_text(text)

    async def fill() -> tuple[int, int]:
        """How many records were kept, and what is spent."""
        world = World(own_redis.url, tenant, folder)
        await world.spend(0, BEFORE)
        assert await world.sink.round(sweep=True)
        assert world.counted() == {"kept": BEFORE}
        await world.spend(BEFORE, SPENT - BEFORE)  # nobody takes these
        assert await world.sink.round(sweep=True)
        kept = [line.attempt async for lines in world.store.read(Reading()) for line in lines]
        assert len(kept) == len({*kept})
        assert BEFORE + KEPT <= len(kept) < BEFORE + 3 * KEPT
        assert world.counted() == {"kept": len(kept), "lost": SPENT - len(kept)}
        (balance,) = await world.ledger.balances(world.purse)
        await world.close()
        return len(kept), balance.spent

    caplog.set_level(logging.ERROR)
    kept, spent = asyncio.run(fill())
    lost = SPENT - kept
    assert spent == SPENT * 20, "what is spent does not depend on the records"
    assert [each.getMessage() for each in caplog.records] == [
        f"usage: {lost} records of {tenant} were dropped before they were kept"
    ]

    verified = CliRunner().invoke(app, ["ledger", "verify", *only])
    lines = verified.stdout.splitlines()
    assert verified.exit_code == 1
    assert lines[:2] == [
        f"{tenant}: 1 counters, {kept:,} records: 1 differ",
        (
            f"{tenant}: {lost:,} records are missing: the ledger dropped them before they were "
            "kept elsewhere (usage.sink)"
        ),
    ]
    assert f"has {SPENT * 20}, records say {kept * 20}: +{lost * 20}" in lines[2]

    rebuilt = CliRunner().invoke(app, ["ledger", "rebuild", "--yes", *only])
    assert rebuilt.exit_code == 1
    assert "not set: some records are missing, and 1 of the counters" in rebuilt.stdout
    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:
        key = f"tg:{{{tenant}}}:b:{tenant}:tenant:{tenant}:usd:total"
        assert server.hget(key, "spent") == b"%d" % (SPENT * 20), "no money is given back"
