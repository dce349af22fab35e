"""`allow_local` in running gateways: the server hangs, one of the two is killed meanwhile, and then
no cap was passed and all books are equal.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget
from gateway.core.records.entry import Entry, sums
from gateway.drivers.ledger.local_journal import journals
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Simulator, serve_simulator
from tests.promises import Reached
from tests.service.crashes import HOLD_TTL_S
from tests.service.fleet import Fleet, fleet_of, under_load

pytest_plugins = ("tests.redis_server",)

KEY = "tg-local-0123456789abcdefghijklmnopqrstuvwxyz"
CAP = 2_500_000
CONFIG = """
redis: {{url: '{redis}', hold_ttl_s: {ttl}, data_dir: '{data}', replicas: 2}}
timeouts: {{answer_s: 8}}
providers:
  one: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: one, upstream: cheap-right}}], context: 8000, max_output: 100,
           price: {{input: 0.10, output: 0.40}}}}
tiers: {{first: {{models: [right]}}}}
routes: {{plain: {{tiers: [first], timeout_s: 8}}}}
tenants:
  {tenant}:
    keys: [{{id: k, hash: 'sha256:{hash}'}}]
    budgets: [{{usd: {usd}, per: total}}]
    on_ledger_unavailable: allow_local
"""


async def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


async def test_the_ledger_hangs_and_a_gateway_is_killed(
    own_redis: EmbeddedRedis, tenant: str, tmp_path: Path, reached: Reached
) -> None:
    purse = Purse(tenant, (Account("tenant", tenant, (Budget(CAP, "total"),), tenant),))
    simulator, data = Simulator(), tmp_path / "data"
    async with serve_simulator(simulator) as served:
        config = tmp_path / "gateway.yaml"
        config.write_text(
            CONFIG.format(
                redis=own_redis.url, data=data, ttl=HOLD_TTL_S, simulator=served.base_url,
                tenant=tenant, usd=CAP / 10**9, hash=sha256(KEY.encode()).hexdigest(),
            )
        )  # fmt: skip
        ledger = RedisLedger(own_redis.url, timeout_s=5)
        async with fleet_of(config, 2) as fleet:
            without = await outage(fleet, own_redis, data)
            await simulator.idle()
            async with asyncio.timeout(2 * HOLD_TTL_S + 5):
                while await ledger.open_holds(tenant) or journals(data)[2:]:
                    await asyncio.sleep(0.1)
        assert journals(data) == [], "all is charged"
        (balance,) = await ledger.balances(purse)
        entries = await ledger.records(tenant, count=100_000)
        counted = await ledger.counted(tenant)
        await ledger.aclose()
    assert (balance.spent <= CAP, balance.held) == (True, 0), balance
    assert counted == sums(entries) == {(next(iter(counted))[0], 0): balance.spent}
    lost = compare(entries, [call.cost for call in simulator.bill.calls])
    over = max(balance.spent - CAP, 0)
    told = (
        f"{over} nano-dollars; {without} answers without the ledger, {lost} calls lost by the dead"
    )
    reached("money", "an outage with 2 replicas, one killed: over the cap", told, "0, books equal")


async def outage(fleet: Fleet, server: EmbeddedRedis, data: Path) -> int:
    """How many answers came while the server hung."""
    assert server.pid
    chance = random.Random(7)  # noqa: S311 - not a secret
    async with under_load(fleet, chance, ["plain"], [KEY]) as load:
        await until(lambda: load.statuses[200] > 30)
    await asyncio.sleep(2.5)  # everybody has a look at what is left: the janitor, every two seconds
    async with under_load(fleet, chance, ["plain"], [KEY]) as load:
        answers = load.statuses
        os.kill(server.pid, signal.SIGSTOP)
        before = answers[200]
        await until(lambda: answers[200] > before + 60)
        assert len(journals(data)) == 2
        fleet.kill(next(iter(fleet.live)))
        await fleet.start()
        refused = answers[503]
        await until(lambda: answers[503] > refused + 20, 60)  # the new one knows of nothing
        without = answers[200] - before
        os.kill(server.pid, signal.SIGCONT)
        again = answers[200]
        await until(lambda: answers[429] > 20 or answers[200] > again + 4_000, 60)
        assert answers[429] > 20, f"the cap is to be tried: {answers}"
    return without


def compare(entries: tuple[Entry, ...], bill: list[int]) -> int:
    """Held against each other, the book and the simulator's bill: how many calls the dead one left
    behind, which cost their ceilings. All calls here cost the same, but those that its death cut
    short.
    """
    cost = max(bill)
    cut = [each for each in bill if each != cost]
    bill = [each for each in bill if each == cost]
    settled = {
        entry.hold: entry.record.cost
        for entry in entries
        if entry.record is not None and entry.record.outcome != "expired"
    }
    expired = {entry.hold for entry in entries if entry.kind == "expired"}
    expired |= {
        entry.hold
        for entry in entries
        if entry.kind == "charged" and entry.record and entry.record.outcome == "expired"
    }
    missing = sum(bill) - sum(settled.values())
    assert missing % cost == 0
    lost = len(expired - settled.keys())
    assert 0 <= missing // cost <= lost - len(cut), (missing, cost, cut, expired)
    return lost
