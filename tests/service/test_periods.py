"""Midnight, a change of clocks, the end of a month, through two gateways, one with a wrong clock:
every request counts once, in the period it began in by that of the ledger.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import openai
import pytest

from gateway.core.accounts import Account, Purse
from gateway.core.periods import period
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_time import LedgerTime
from tests.promises import Reached
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)

BERLIN = ZoneInfo("Europe/Berlin")
CONFIG = """
redis: {{url: '${{REDIS_URL}}', timeout_ms: 5000}}
providers:
  sim: {{dialect: openai, base_url: '${{SIMULATOR_URL}}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
tenants:
  {tenant}:
    timezone: Europe/Berlin
    keys: [{{id: k1, hash: '${{HASH}}'}}]
    budgets: [{{requests: 3, per: {per}}}]
"""


def berlin(*of: int) -> float:
    return datetime(*of, tzinfo=BERLIN).timestamp()  # type: ignore[arg-type, misc]


class Two:
    """Two gateways on one ledger, and the time it is there."""

    def __init__(self, gateways: list[Running], time: LedgerTime) -> None:
        self.gateways = gateways
        self.time = time

    async def asked(self, which: int, stream: bool) -> bool:
        """Whether it was answered, rather than refused."""
        async with self.gateways[which].client() as client:
            try:
                raw = await client.chat.completions.with_raw_response.create(
                    model="right",
                    messages=[{"role": "user", "content": "What is 17*23?"}],
                    stream=stream,
                )
                await raw.http_response.aread()
            except openai.RateLimitError:
                return False
        return True


@pytest.fixture
async def two(
    request: pytest.FixtureRequest,
    shared_redis: EmbeddedRedis,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Two]:
    per, skew_s, start = request.param
    time = LedgerTime(tenant, shared_redis.url, now=start)
    text = CONFIG.format(tenant=tenant, per=per)
    async with AsyncExitStack() as stack:
        gateways = []
        for clock in (time, lambda: time() + skew_s):
            ledger = partial(RedisLedger, clock=clock, scripts=time.scripts())
            monkeypatch.setattr("gateway.stores.RedisLedger", ledger)
            env = {"REDIS_URL": shared_redis.url}
            gateways.append(await stack.enter_async_context(running(text, env)))
        yield Two(gateways, time)
    time.close()


# what it is, the period, the last second of one and how long that one is, in hours
ENDS = {
    "midnight": ("day", berlin(2060, 3, 15, 23, 59, 59), 24),
    "a day of 23 hours": ("day", berlin(2060, 3, 28, 23, 59, 59), 23),
    "a day of 25 hours": ("day", berlin(2060, 10, 31, 23, 59, 59), 25),
    "an hour that comes twice": ("hour", berlin(2060, 10, 31, 2, 59, 59), 1),
    "the end of February": ("month", berlin(2060, 2, 29, 23, 59, 59), 29 * 24),
    "the end of a year": ("month", berlin(2060, 12, 31, 23, 59, 59), 31 * 24),
}
CASES = [
    pytest.param((per, skew_s, at), name, hours, id=f"{name}, {skew_s:+}")
    for name, (per, at, hours) in ENDS.items()
    for skew_s in (-3_600, 3_600)
]


@pytest.mark.parametrize(("two", "name", "hours"), CASES, indirect=["two"])
async def test_each_request_counts_once_in_the_period_of_the_ledger(
    two: Two, name: str, hours: int, tenant: str, reached: Reached
) -> None:
    whose = two.gateways[0].snapshot.tenants[tenant]
    (budget,) = whose.budgets
    now = period(budget.per, "Europe/Berlin", two.time())
    assert now.end is not None
    assert (now.end - now.start, now.end - two.time()) == (hours * 3_600, 1)
    purse = Purse(tenant, (Account("tenant", tenant, whose.budgets, tenant, whose.timezone),))
    for moment in ("before", "after"):
        got = [await two.asked(number % 2, stream=number > 1) for number in range(4)]
        assert got == [True, True, True, False], moment
        for each in two.gateways:
            (balance,) = await each.gateway.world.ledger.balances(purse)
            assert (balance.spent, balance.held) == (3, 0), moment
        two.time.move(1)
    told = "3 of 3 in each period, on both replicas"
    reached("money", f"one clock an hour wrong, {name}", told, "the first period only, once")
