"""What a provider says that a call costs is charged, through the whole service: by the client's
answer, the ledger, its records and the provider's own bill.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from gateway.core.money import nanos, usd
from gateway.core.ports import LedgerDriver
from gateway.core.records.entry import sums
from gateway.core.records.record import UsageRecord
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import PLACES
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTS = ("openrouter", "perplexity", "xai")
SIZES = "context: 8000, max_output: 500"
LITTLE, MUCH = "price: {input: 0.01, output: 0.01}", "price: {input: 1000, output: 1000}"
TENANT = """
tenants:
  {name}:
    keys: [{{id: k1, hash: '${{HASH}}'}}]
    budgets: [{{usd: 50, per: day}}]
    user_budgets: [{{usd: 50, per: day}}]
"""
CONFIG = "\n".join(
    [
        "redis: {url: '${REDIS_URL}', timeout_ms: 30000}",
        "providers:",
        *(
            f"  {host}: {{dialect: openai, base_url: '${{SIMULATOR_URL}}{base}', api_key: x}}"
            for host, base in PLACES.items()
            if host in HOSTS
        ),
        "models:",
        *(
            f"  {host}-{word}: {{deployments: [{{provider: {host}, upstream: mid-right}}], "
            f"{SIZES}, {price}}}"
            for host in HOSTS
            for word, price in (("below", LITTLE), ("above", MUCH))
        ),
        "  refusing:",
        f"    {{deployments: [{{provider: perplexity, upstream: mid-refuse}}], {SIZES}, {LITTLE}}}",
        "tiers:",
        "  cheap: {models: [refusing]}",
        "  dear: {models: [perplexity-below]}",
        "routes: {climbing: {tiers: [cheap, dear], checks: [not_refused]}}",
        TENANT.format(name="reported"),
    ]
)
OUTER = f"""
redis: {{url: '${{REDIS_URL}}', timeout_ms: 30000}}
providers: {{inner: {{dialect: openai, base_url: '${{INNER}}/v1', api_key: {KEY}}}}}
models:
  climbing: {{deployments: [{{provider: inner}}], {SIZES}, {LITTLE}}}
""" + TENANT.format(name="outer")
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 17*23?"}], "user": "ada"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    async with running(CONFIG, {"REDIS_URL": shared_redis.url}) as started:
        yield started


async def ask(service: Running, model: str, *, stream: bool) -> int:
    """What the client is told that it cost, in nano-dollars."""
    async with service.client() as client:
        if not stream:
            answer = await client.chat.completions.create(model=model, **ASKED)
            usage = answer.usage
        else:
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = await client.chat.completions.create(model=model, **ASKED, **options)
            usage = [chunk async for chunk in chunks][-1].usage
    assert usage is not None
    return nanos(str(usage.model_dump()["gateway"]["cost_usd"]))


async def records(service: Running, tenant: str) -> list[UsageRecord]:
    """All there are in the ledger's book, and they explain each of its counters."""
    ledger = cast("LedgerDriver", service.gateway.world.ledger)
    entries = await ledger.records(tenant, "")
    assert sums(entries) == await ledger.counted(tenant)
    return [entry.record for entry in entries if entry.record is not None]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_bill_above_the_price_is_charged(service: Running, host: str, stream: bool) -> None:
    await service.begin("reported")
    told = await ask(service, f"{host}-below", stream=stream)
    await service.audit("reported")  # the ledger = what was settled = the provider's bill
    bill = service.simulator.bill.cost
    assert told == bill
    record = (await records(service, "reported"))[-1]
    assert (record.cost, record.usage.reported_cost, record.counted) == (bill, bill, False)
    tokens = record.usage.prompt + record.usage.completion
    assert bill > tokens * 10, "the price that is written comes to less"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_price_above_the_bill_is_charged(service: Running, stream: bool) -> None:
    await service.begin("reported")
    told = await ask(service, "openrouter-above", stream=stream)
    settled = await service.audit_ours("reported")
    record = (await records(service, "reported"))[-1]
    assert record.usage.reported_cost == service.simulator.bill.cost
    tokens = record.usage.prompt + record.usage.completion
    assert told == settled == record.cost == tokens * 10**6


@pytest.mark.parametrize("stream", [False, True])
async def test_each_attempt_is_charged_what_its_provider_says(
    service: Running, stream: bool
) -> None:
    await service.begin("reported")
    told = await ask(service, "climbing", stream=stream)
    await service.audit("reported")
    assert len(service.simulator.bill.calls) == 2
    assert told == service.simulator.bill.cost > 2 * 5_000_000, "each has its fee"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gateway_behind_a_gateway_says_what_all_its_attempts_cost(
    service: Running, shared_redis: EmbeddedRedis, stream: bool
) -> None:
    known = {"REDIS_URL": shared_redis.url, "INNER": service.url}
    await service.begin("reported")
    async with running(OUTER, known) as outer:
        await outer.begin("outer")
        told = await ask(outer, "climbing", stream=stream)
        settled = await outer.audit_ours("outer")
    await service.audit("reported")
    assert told == settled == service.simulator.bill.cost
    assert len(service.simulator.bill.calls) == 2, usd(settled)
