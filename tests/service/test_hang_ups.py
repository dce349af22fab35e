"""Clients that hang up, over real sockets: the call is closed at once, or read on to its usage."""

import asyncio
from collections.abc import AsyncIterator
from statistics import median

import httpx
import pytest
import pytest_asyncio

from gateway.core.events import Dropped, Settled
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.promises import Reached
from tests.service.held import held, paced
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANT = "hang-ups"
LEAVES = 40
DRAIN_S = 0.4
PAUSE_S = 0.1
TURNS = 50
"""Of the loop: in fewer the gateway has heard of a connection that was closed."""
CONFIGURATION = f"""
redis: {{url: "${{REDIS_URL}}", timeout_ms: 30000}}
providers: {{sim: {{dialect: openai, base_url: "${{SIMULATOR_URL}}/openai/v1"}}}}
models:
  small-slow: &model
    deployments: [{{provider: sim}}]
    context: 100000
    price: {{input: 1, output: 2}}
  small-right: *model
  small-stallmid: *model
tiers:
  slow: {{models: [small-slow]}}
  right: {{models: [small-right]}}
  stalls: {{models: [small-stallmid]}}
routes:
  cancel-slow: {{tiers: [slow]}}
  cancel-stalls: {{tiers: [stalls]}}
  drain-slow: {{tiers: [slow, right], on_disconnect: drain, drain_s: 30}}
  drain-right: {{tiers: [right], on_disconnect: drain, drain_s: 30}}
  drain-stalls: {{tiers: [stalls, right], on_disconnect: drain, drain_s: {DRAIN_S}}}
tenants:
  {TENANT}: {{keys: [{{id: k, hash: "${{HASH}}"}}], budgets: [{{usd: 100, per: total}}]}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    async with running(CONFIGURATION, {"REDIS_URL": shared_redis.url}) as started:
        yield started


async def hang_up(service: Running, model: str, *, stream: bool) -> None:
    """As soon as the provider has the call; of a stream, after the first piece."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        asked = client.stream("POST", "/v1/chat/completions", json=body, timeout=30)
        if stream:
            async with asked as response:
                async for _ in response.aiter_bytes():
                    return
        task = asyncio.create_task(asked.__aenter__())
        async with asyncio.timeout(30):
            while not service.simulator.simulator.open:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait((task,))


async def closed(service: Running) -> float:
    """Seconds until the provider serves nobody any more."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(30):
        await service.simulator.idle()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_is_closed_and_charged(
    service: Running, stream: bool, reached: Reached
) -> None:
    await service.begin(TENANT)
    model = "cancel-stalls" if stream else "cancel-slow"
    waits = []
    with held(service.simulator.simulator):
        for _ in range(LEAVES):
            await hang_up(service, model, stream=stream)
            waits.append(await closed(service))
    assert await service.audit_ours(TENANT) > 0
    dropped = [event for event in service.events if isinstance(event, Dropped)]
    settled = [event.record for event in service.events if isinstance(event, Settled)]
    assert len(dropped) == len(settled) == LEAVES
    assert {event.purpose for event in settled} == {"abandoned"}
    kind = "stream" if stream else "whole"
    told = f"{median(waits) * 1000:.0f} ms, at most {max(waits) * 1000:.0f} ms, of {LEAVES}"
    reached("money", f"a client hangs up, {kind}: the call is closed after", told, "1 s")
    assert median(waits) <= 1.0


async def test_a_drained_call_is_paid_by_its_usage(service: Running, reached: Reached) -> None:
    await service.begin(TENANT)
    for _ in range(5):
        with held(service.simulator.simulator):
            await hang_up(service, "drain-slow", stream=False)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        await closed(service)
    await service.audit(TENANT)
    settled = [event.record for event in service.events if isinstance(event, Settled)]
    assert [(event.purpose, event.model) for event in settled] == [("abandoned", "small-slow")] * 5
    assert not any(event.counted for event in settled), "the provider's own usage was read"
    reached("money", "a client hangs up, drained: charged beside the bill", "0 nano-dollars", "0")


async def test_a_drained_stream_is_paid_by_its_usage(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Pieces that come once its client is gone are written nowhere."""
    await service.begin(TENANT)
    with paced(service.simulator.simulator, PAUSE_S):
        for _ in range(3):
            await hang_up(service, "drain-right", stream=True)
            await closed(service)
    await service.audit(TENANT)
    settled = [event.record for event in service.events if isinstance(event, Settled)]
    assert [(event.purpose, event.outcome) for event in settled] == [("abandoned", "ok")] * 3
    assert not any(event.counted for event in settled), "the provider's own usage was read"
    assert "met a bug" not in caplog.text


async def test_a_drain_is_bounded(service: Running) -> None:
    await service.begin(TENANT)
    await hang_up(service, "drain-stalls", stream=True)
    await closed(service)
    assert await service.audit_ours(TENANT) > 0
    (settled,) = (event.record for event in service.events if isinstance(event, Settled))
    assert (settled.purpose, settled.counted) == ("abandoned", True)
