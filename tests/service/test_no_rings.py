"""What a request leaves behind is freed when it ends. A ring of objects would stay until the
collector comes: memory would go up and down with how often that is, and each of its rounds costs.
"""

import asyncio
import gc
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, MethodType
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.simulator.behaviours import BEHAVIOURS
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

TLS = ssl.create_default_context()
"""Not used, but to make one for each client takes longer than its request."""
WAITS = ("stall", "stallmid", "slow")
NAMES = tuple(each.name for each in BEHAVIOURS if each.name not in WAITS)
CHECKS = "[not_refused, complete, confidence]"
CONFIG = "\n".join([
    "redis: {url: memory}",
    'providers: {sim: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}}',
    "models:",
    *(f"  {name}: {{deployments: [{{provider: sim, upstream: cheap-{name}}}], context: 10000,"
      " max_output: 1000, price: {input: 0.10, output: 0.40}}" for name in NAMES),
    "tiers:",
    "  best: {models: [right]}",
    *(f"  with-{name}: {{models: [{name}]}}" for name in NAMES),
    "routes:",
    *(f"  {name}-alone: {{tiers: [with-{name}]}}" for name in NAMES),
    *(f"  {name}-judged: {{tiers: [with-{name}, best], checks: {CHECKS}}}" for name in NAMES),
    'tenants: {acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}}',
])  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {}) as served:
        yield served


async def ask(service: Running, route: str, *, stream: bool, leave: bool = False) -> None:
    """A connection of its own, and gone with it; `leave` is to go once its answer begins."""
    asked = {"model": route, "stream": stream, "messages": [{"role": "user", "content": "2+2"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=10, verify=TLS) as client,
        client.stream("POST", "/v1/chat/completions", json=asked) as answer,
    ):
        if not leave:
            await answer.aread()


async def ended(service: Running, tasks: int) -> None:
    """Until no call is under way, and no connection of a client has a task."""
    await service.simulator.idle()
    door, ledger = service.gateway.front.door, service.gateway.world.ledger
    async with asyncio.timeout(30):
        while door.in_flight.total or await ledger.open_holds("acme"):
            await asyncio.sleep(0.002)
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.002)


@contextmanager
def left_to_the_collector() -> Iterator[Counter[str]]:
    """What only it finds, of ours, by name."""
    found: Counter[str] = Counter()
    was = gc.get_debug()
    gc.collect()
    gc.disable()
    gc.freeze()  # what there is by now is not looked through again
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(name for each in gc.garbage if (name := _name(each)))
    finally:
        gc.set_debug(was)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _name(of: Any) -> str:
    """ "" for what is not the gateway's."""
    if isinstance(of, FrameType):
        module, name = of.f_globals.get("__name__", ""), of.f_code.co_qualname
    elif isinstance(of, CoroutineType | AsyncGeneratorType | FunctionType | MethodType):
        return ""  # whose frames, cells and instances are found
    else:
        module, name = type(of).__module__, type(of).__qualname__
    ours = module.startswith("gateway.") and not module.startswith("gateway.simulator")
    return f"{module}.{name}" if ours else ""


@pytest.mark.parametrize("asks", ["whole", "stream", "stream, and leaves"])
@pytest.mark.parametrize("way", ["alone", "judged"])
@pytest.mark.parametrize("behaviour", NAMES)
async def test_a_request_leaves_no_ring(
    service: Running, behaviour: str, way: str, asks: str
) -> None:
    route, stream, leave = f"{behaviour}-{way}", asks != "whole", asks.endswith("leaves")
    tasks = len(asyncio.all_tasks())
    await ask(service, route, stream=stream, leave=leave)  # what is met for the first time is kept
    await ended(service, tasks)
    with left_to_the_collector() as found:
        await ask(service, route, stream=stream, leave=leave)
        await ended(service, tasks)
    assert not found
