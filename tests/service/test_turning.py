"""Reloads under load: nothing fails and no request mixes prices. Replicas replaced under load:
nothing fails and nothing is cut. tests/long does it at full size.
"""

import asyncio
from pathlib import Path

from gateway.core.events import Settled
from gateway.simulator import serve_simulator
from tests.promises import Reached
from tests.service.running import HASH, running
from tests.service.turning import clients, roll

TEXT = """
redis: {url: embedded, timeout_ms: 5000, data_dir: '%(folder)s'}
server: {drain_delay_s: 6}
limits: {in_flight: %(limit)d}
providers:
  p: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: %(key)s}
models:
  small: {deployments: [{provider: p, upstream: cheap-emptyanswer}], context: &c 10000,
    max_output: &m 1000, price: {input: %(low)s, output: %(low)s}}
  large: {deployments: [{provider: p, upstream: smart-right}], context: *c, max_output: *m,
    price: {input: %(high)s, output: %(high)s}}
tiers: {cheap: {models: [small]}, smart: {models: [large]}}
routes: {auto: {tiers: [cheap, smart], checks: [not_empty]}}
tenants: {acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 500, per: total}]}}
"""
PRICES = (1, 2, 3, 5, 7)
LOW, HIGH = 0.137, 1.0


def text(folder: Path, turn: int) -> str:
    """All prices of a turn are those of the first times one number: what a request costs shows if
    its two calls had the same.
    """
    times = PRICES[turn % len(PRICES)]
    known = {"folder": folder, "limit": 1000 + turn, "key": f"key-{turn % 3}"}
    return TEXT % {**known, "low": round(LOW * times, 6), "high": HIGH * times}


async def check_reloads(folder: Path, number: int, reached: Reached) -> None:
    async with running(text(folder, 0), {}) as service:
        async with clients(service.url, "auto", 1) as alone:
            while not alone.costs and not alone.failed:
                await asyncio.sleep(0.01)
        async with clients(service.url, "auto", 8) as seen:
            for turn in range(1, number + 1):
                told = len(seen.costs)
                await service.reload(text(folder, turn))
                while len(seen.costs) - told < 2 and not seen.failed:
                    await asyncio.sleep(0)
        await service.audit_ours("acme")
    calls = sum(isinstance(event, Settled) for event in service.events)
    found = {round(cost / alone.costs[0], 4) for cost in seen.costs}
    mixed = sum(round(cost / alone.costs[0], 4) not in PRICES for cost in seen.costs)
    what = f"{number:,} reloads under load"
    reached("operations", f"{what}: failed", f"{seen.failed} of {len(seen.costs):,}", "0")
    reached("operations", f"{what}: requests of mixed prices", f"{mixed}", "0")
    assert not seen.failed, seen.broken[:3]
    assert not mixed, found
    assert found == set(PRICES), "a price was never asked for"
    assert calls == 2 * (len(seen.costs) + len(alone.costs)), "both tiers of each"


async def check_replicas(folder: Path, replicas: int, rate: int, reached: Reached) -> None:
    async with serve_simulator() as simulator:
        path = folder / "gateway.yaml"
        written = text(folder, 0).replace("${SIMULATOR_URL}", simulator.base_url)
        path.write_text(written.replace("${HASH}", HASH))
        seen = await roll(path, replicas, rate, "auto")
    told = f"{seen.failed} of {seen.statuses.total():,}"
    what = f"{replicas} replicas replaced one by one under {rate} requests/s: failed or cut"
    reached("operations", what, told, "0")
    assert not seen.failed, seen.broken[:3]
    assert len(seen.costs) == seen.statuses[200] > 100


async def test_reloads_under_load(tmp_path: Path, reached: Reached) -> None:
    await check_reloads(tmp_path, 60, reached)


async def test_replicas_are_replaced_under_load(tmp_path: Path, reached: Reached) -> None:
    await check_replicas(tmp_path, 2, 30, reached)
