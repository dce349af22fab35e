"""The running service while its Redis hangs or is gone: it says so at once, and comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx
import openai
import pytest

from gateway.core.events import Reserved
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Simulator
from gateway.stores import probe
from tests.in_time import in_time
from tests.patience import PATIENT_S, SOON_S, back, limit
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)

CONFIG = """
redis: {url: '${REDIS_URL}', timeout_ms: 30000}
providers:
  sim: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
models:
  right: {deployments: [{provider: sim, upstream: cheap-right}], context: 8000, max_output: 500,
          price: {input: 0.10, output: 0.40}}
  slow: {deployments: [{provider: sim, upstream: cheap-slow}], context: 8000, max_output: 500,
         price: {input: 0.10, output: 0.40}}
  better: {deployments: [{provider: sim, upstream: mid-right}], context: 8000, max_output: 500,
           price: {input: 1, output: 4}}
tiers:
  cheap: {models: [slow]}
  mid: {models: [better]}
routes:
  climbs: {tiers: [cheap, mid], checks: [{regex: {pattern: never said}}]}
tenants:
  acme:
    keys: [{id: k1, hash: '${HASH}'}]
    budgets: [{usd: 5, per: total}]
"""
LIMIT_S = 0.25
"""The default of `timeout_ms`, for where Redis hangs. Else it is longer than SOON_S by far: what is
refused in that time has not waited for Redis.
"""
FAULTS = pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "gone"])


@pytest.fixture
async def service(own_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    simulator = Simulator(slow_s=0.5)
    async with running(CONFIG, {"REDIS_URL": own_redis.url}, simulator) as started:
        async with started.client() as client:
            await ask(client, "right")  # connections are open, scripts are loaded

        await started.begin("acme")
        yield started


@dataclass(frozen=True)
class Got:
    status: int
    headers: Mapping[str, str]
    text: str
    code: str | None = None


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool = False) -> Got:
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "What is 17*23?"}], stream=stream
        )
    except openai.APIStatusError as error:
        return Got(error.status_code, error.response.headers, error.message, error.code)
    body = await raw.http_response.aread()
    return Got(raw.status_code, raw.headers, body.decode())


def ledger_of(service: Running) -> RedisLedger:
    ledger = service.gateway.world.ledger
    assert isinstance(ledger, RedisLedger)
    return ledger


def strike(service: Running, server: EmbeddedRedis, fault: signal.Signals) -> None:
    assert server.pid
    os.kill(server.pid, fault)
    if fault == signal.SIGSTOP:
        limit(ledger_of(service), LIMIT_S)


def cure(server: EmbeddedRedis, fault: signal.Signals) -> None:
    assert server.pid
    if fault == signal.SIGSTOP:
        os.kill(server.pid, signal.SIGCONT)
    else:
        server.start()


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not await happened():
            await asyncio.sleep(0.02)


async def balanced(service: Running) -> None:
    """All that is owed is paid, and then the books are as if nothing had happened."""
    ledger = ledger_of(service)
    await back(ledger)

    async def paid() -> bool:
        return ledger.owed == 0 and await probe(ledger, "acme") is None

    await until(paid)
    await service.audit("acme")


@FAULTS
async def test_it_says_so_at_once_and_comes_back_by_itself(
    service: Running, own_redis: EmbeddedRedis, fault: signal.Signals
) -> None:
    async with service.client() as client, httpx.AsyncClient(base_url=service.url) as plain:
        strike(service, own_redis, fault)
        for number in range(8):
            refused = await in_time(SOON_S, ask(client, "right", stream=number % 2 == 1))
            limit(ledger_of(service), PATIENT_S)  # one who hangs was waited for, and is not again
            assert (refused.status, refused.code) == (503, "ledger_unavailable")
            assert refused.headers["retry-after"] == "1"
            assert "x-should-retry" not in refused.headers, "the SDK may try again"

        assert (await plain.get("/livez")).status_code == 200
        ready = await plain.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        assert (await plain.get("/metrics")).status_code == 200

        cure(own_redis, fault)

        async def is_ready() -> bool:
            return (await plain.get("/readyz")).status_code == 200

        await until(is_ready)
        await back(ledger_of(service))
        assert (await ask(client, "right")).status == 200
    assert len(service.simulator.bill.calls) == 1, "nothing is asked that is not held"
    await balanced(service)


@FAULTS
async def test_many_are_refused_together_not_in_turn(
    service: Running, own_redis: EmbeddedRedis, fault: signal.Signals
) -> None:
    async with service.client() as client:
        strike(service, own_redis, fault)
        asked = (ask(client, "right") for _ in range(45))
        refused = await in_time(SOON_S, asyncio.gather(*asked))  # less than each 250 ms
        assert {(each.status, each.code) for each in refused} == {(503, "ledger_unavailable")}
    cure(own_redis, fault)
    await balanced(service)
    assert service.simulator.bill.calls == []


async def owed(service: Running) -> bool:
    """Whether what a call cost did not get through, and is not forgotten."""
    return ledger_of(service).owed == 1


async def held(service: Running) -> bool:
    return any(isinstance(event, Reserved) for event in service.events)


@FAULTS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_under_way_is_given_and_settled_later(
    service: Running, own_redis: EmbeddedRedis, stream: bool, fault: signal.Signals
) -> None:
    async with service.client() as client:
        asking = asyncio.create_task(ask(client, "slow", stream=stream))
        await until(lambda: held(service))
        strike(service, own_redis, fault)
        answered = await asking
        assert answered.status == 200, answered
        assert answered.headers["x-gateway-model"] == "slow"
        await until(lambda: owed(service))
    cure(own_redis, fault)
    await balanced(service)
    assert await service.spent("acme") - service.before > 0


@FAULTS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_who_cannot_climb_any_more_gets_the_best_so_far(
    service: Running, own_redis: EmbeddedRedis, stream: bool, fault: signal.Signals
) -> None:
    async with service.client() as client:
        asking = asyncio.create_task(ask(client, "climbs", stream=stream))
        await until(lambda: held(service))
        strike(service, own_redis, fault)
        answered = await asking
    assert answered.status == 200, answered
    assert "391" in answered.text
    assert answered.headers["x-gateway-model"] == "slow"
    assert answered.headers["x-gateway-reason"].startswith("ledger_unavailable")
    cure(own_redis, fault)
    await balanced(service)
