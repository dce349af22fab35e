"""`redis.lease` in a running gateway: many calls that ask the ledger nothing, and every bill is as
it would be without.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from gateway.core.events import Settled
from gateway.core.records.entry import Entry, sums
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)

AT_ONCE, WAVES = 12, 6
MESSAGES: Any = [{"role": "user", "content": "What is 17*23?"}]
CONFIG = """
redis: {{url: '${{REDIS_URL}}', timeout_ms: 30000, lease: {{usd: 2, calls_per_s: 3}}}}
providers:
  one: {{dialect: openai, base_url: '${{SIMULATOR_URL}}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: one, upstream: cheap-right}}], context: 8000, max_output: 650,
          price: {{input: 0.10, output: 0.40}}}}
  unsure: {{deployments: [{{provider: one, upstream: cheap-unsure}}], context: 8000,
           max_output: 650, price: {{input: 0.10, output: 0.40}}}}
  better: {{deployments: [{{provider: one, upstream: mid-right}}], context: 8000, max_output: 650,
           price: {{input: 1, output: 4}}}}
tiers: {{cheap: {{models: [unsure]}}, two: {{models: [right, unsure]}}, mid: {{models: [better]}}}}
routes:
  plain: {{tiers: [mid]}}
  climbs: {{tiers: [cheap, mid], checks: [confidence]}}
  votes: {{tiers: [two, mid], strategy: vote}}
tenants:
  {tenant}:
    keys: [{{id: k, hash: '${{HASH}}'}}]
    budgets: [{{usd: 50, per: day}}, {{tokens: 900_000_000, per: total}}]
"""


@pytest_asyncio.fixture
async def service(own_redis: EmbeddedRedis, tenant: str) -> AsyncIterator[Running]:
    async with running(CONFIG.format(tenant=tenant), {"REDIS_URL": own_redis.url}) as started:
        yield started


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool) -> None:
    if not stream:
        answer = await client.chat.completions.create(model=model, messages=MESSAGES)
        assert answer.choices[0].message.content
        return
    deltas = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
    assert [each async for each in deltas]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["plain", "climbs", "votes"])
async def test_bills_and_records_are_exact(
    service: Running, tenant: str, model: str, stream: bool
) -> None:
    ledger = service.gateway.world.ledger
    assert isinstance(ledger, LeasedLedger)
    await service.begin(tenant)
    async with service.client() as client:
        for _ in range(WAVES):
            await asyncio.gather(*(ask(client, model, stream=stream) for _ in range(AT_ONCE)))
    await service.audit(tenant)
    calls = [event.record for event in service.events if isinstance(event, Settled)]
    assert ledger.served > len(calls) // 4, f"of {len(calls)} calls {ledger.served} were leased"
    await ledger.recall()
    await service.audit(tenant)
    entries = await ledger.records(tenant)
    assert {entry.hold: charged(entry) for entry in entries} == {
        call.attempt: (call.cost, call) for call in calls
    }
    assert len(entries) == len(calls), "each once"
    assert sum(entry.charged.requests for entry in entries) == WAVES * AT_ONCE
    assert sums(entries) == await ledger.counted(tenant)


def charged(entry: Entry) -> tuple[int, object]:
    return entry.charged.nanos, entry.record


async def test_what_is_leased_is_settled_when_the_gateway_ends(
    own_redis: EmbeddedRedis, tenant: str
) -> None:
    text = CONFIG.format(tenant=tenant)
    async with running(text, {"REDIS_URL": own_redis.url}) as service:
        ledger = service.gateway.world.ledger
        assert isinstance(ledger, LeasedLedger)
        async with service.client() as client:
            for _ in range(WAVES):
                await asyncio.gather(*(ask(client, "plain", stream=False) for _ in range(AT_ONCE)))
        assert ledger.served
    async with running(text, {"REDIS_URL": own_redis.url}) as service:
        again = service.gateway.world.ledger
        assert await again.open_holds(tenant) == 0
        assert isinstance(again, LeasedLedger)
        entries = await again.records(tenant)
        assert len(entries) == WAVES * AT_ONCE
        assert sums(entries) == await again.counted(tenant)
