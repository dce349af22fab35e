"""Budgets through the running service, as clients of the openai SDK meet them."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import openai
import pytest
import pytest_asyncio

from gateway.core.events import Began, HoldRefused, Reserved, Settled
from gateway.core.money import PER_USD
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.service.held import held
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

CAP = 2_000_000
"""In nano-dollars: some seven times what a request of `slow` holds."""
MANY = 40

TENANTS = {
    "few": f"budgets: [{{usd: {Decimal(CAP) / PER_USD}, per: total}}]",
    "poor": "budgets: [{usd: 0.0001, per: day}, {usd: 5, per: month}], timezone: Europe/Berlin",
    "users": "budgets: [{usd: 5, per: total}], user_budgets: [{usd: 0.0001, per: day}]",
    "keys": "budgets: [{usd: 5, per: total}]",
    "modest": "budgets: [{usd: 5, per: total}], max_request_usd: 0.0001",
    "climber": "budgets: [{usd: 0.001, per: total}]",
    "counts": "budgets: [{usd: 0.01, per: total}, {usd: 5, per: day}], user_budgets: [{usd: 0.008, "
    "per: total}]",
}
KEY_BUDGETS = {"keys": ", budgets: [{usd: 0.0001, per: total}]"}
KEYS = {name: f"tg-{name}-0123456789abcdefghijklmnopqrstuvwxyz" for name in TENANTS}

CONFIG = """
redis: {url: '${REDIS_URL}', timeout_ms: 30000}
providers:
  sim: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
models:
  right: {deployments: [{provider: sim, upstream: cheap-right}], context: 8000, max_output: 650,
          price: {input: 0.10, output: 0.40}}
  slow: {deployments: [{provider: sim, upstream: cheap-slow}], context: 8000, max_output: 650,
         price: {input: 0.10, output: 0.40}}
  unsure: {deployments: [{provider: sim, upstream: cheap-unsure}], context: 8000, max_output: 650,
           price: {input: 0.10, output: 0.40}}
  better: {deployments: [{provider: sim, upstream: mid-right}], context: 8000, max_output: 650,
           price: {input: 1, output: 4}}
tiers:
  cheap: {models: [unsure]}
  mid: {models: [better]}
routes:
  climbs: {tiers: [cheap, mid], checks: [confidence]}
tenants:
""" + "\n".join(
    f"  budget-{name}: {{{told}, keys: [{{id: k1, hash: 'sha256:"
    f"{sha256(KEYS[name].encode()).hexdigest()}'{KEY_BUDGETS.get(name, '')}}}]}}"
    for name, told in TENANTS.items()
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    async with running(CONFIG, {"REDIS_URL": shared_redis.url}) as started:
        yield started


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool = False, **more: Any) -> Any:
    """The raw response, read to its end; or the error."""
    messages: Any = [{"role": "user", "content": "What is 17*23?"}]
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=messages, stream=stream, **more
        )
    except openai.APIStatusError as error:
        return error
    await raw.http_response.aread()
    return raw


def told(running: Running, kind: type) -> int:
    return sum(isinstance(event, kind) for event in running.events)


async def test_of_many_at_once_exactly_as_many_as_fit_are_admitted(everything: Running) -> None:
    await everything.begin("budget-few")
    async with everything.client(KEYS["few"]) as client:
        with held(everything.simulator.simulator):  # none has its answer before all were told
            asking = [
                asyncio.create_task(ask(client, "slow", stream=number % 2 == 1))
                for number in range(MANY)
            ]
            async with asyncio.timeout(30):
                while told(everything, Reserved) + told(everything, HoldRefused) < MANY:
                    await asyncio.sleep(0.01)
        got = await asyncio.gather(*asking)
        (most,) = {event.amount for event in everything.events if isinstance(event, Reserved)}
        fit = CAP // most
        assert 3 < fit < MANY / 2
        refused = [error for error in got if isinstance(error, openai.APIStatusError)]
        assert len(got) - len(refused) == fit
        assert (told(everything, Reserved), told(everything, HoldRefused)) == (fit, MANY - fit)
        assert {(error.status_code, error.code) for error in refused} == {(429, "budget_exceeded")}
        # What their answers did not use can be held again.
        for _ in range(2 * fit):
            got = await ask(client, "right")
            assert not isinstance(got, openai.APIStatusError), got
    await everything.audit("budget-few")


# tenant, what is asked beside the question -> whose budget it is said to be, its cap, its period
SCOPES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "poor": ({}, "The budget of tenant budget-poor, $0.0001 per day, has $0.0001 left", "day"),
    "users": (
        {"user": "ada"},
        "The budget of user 'ada' of tenant budget-users, $0.0001 per day, has $0.0001 left",
        "day",
    ),
    "keys": (
        {},
        "The budget of key 'k1' of tenant budget-keys, $0.0001 in total, has $0.0001 left",
        "It does not reset.",
    ),
    "modest": (
        {},
        "The request budget of tenant budget-modest, $0.0001 for each request, is below",
        None,
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", SCOPES)
async def test_a_refusal_says_whose_budget_and_is_not_tried_again(
    everything: Running, name: str, stream: bool
) -> None:
    more, whose, resets = SCOPES[name]
    await everything.begin(f"budget-{name}")
    zone = ZoneInfo("Europe/Berlin" if name == "poor" else "UTC")
    days = [midnight_after(zone)]
    async with everything.client(KEYS[name]).with_options(max_retries=2) as client:
        refused = await ask(client, "right", stream=stream, **more)
    days.append(midnight_after(zone))
    assert isinstance(refused, openai.RateLimitError), refused
    assert (refused.code, refused.type) == ("budget_exceeded", "insufficient_quota")
    assert refused.response.headers["x-should-retry"] == "false"
    assert not {"retry-after", "retry-after-ms"} & refused.response.headers.keys()
    message = refused.body["message"]  # type: ignore[index]
    assert message.startswith(whose), message
    if resets == "day":
        assert re.fullmatch(r".* It resets at (\S+)\.", message)
        assert any(f"It resets at {day}." in message for day in days), (message, days)
    elif resets:
        assert message.endswith(resets)
    assert told(everything, Began) == 1, "the SDK has asked once"
    await everything.audit(f"budget-{name}")
    assert everything.simulator.bill.calls == []


def midnight_after(zone: ZoneInfo) -> str:
    tomorrow = datetime.now(UTC).astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, datetime.min.time(), zone).isoformat()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_refused_a_step_up_the_best_so_far_is_given(
    everything: Running, stream: bool
) -> None:
    """The budget holds the first call, not the ten times dearer second one."""
    await everything.begin("budget-climber")
    async with everything.client(KEYS["climber"]) as client:
        got = await ask(client, "climbs", stream=stream)
    assert not isinstance(got, Exception), got
    assert got.headers["x-gateway-model"] == "unsure"
    assert got.headers["x-gateway-attempts"] == "1"
    assert got.headers["x-gateway-reason"] == "budget; unsure confidence"
    assert (told(everything, Reserved), told(everything, HoldRefused)) == (1, 1)
    await everything.audit("budget-climber")


async def test_what_is_left_counts_down_exactly(everything: Running) -> None:
    """Of three budgets the tightest is told: the user's, until another user asks."""
    await everything.begin("budget-counts")
    total, users = 10_000_000, {"ada": 8_000_000, "bob": 8_000_000}
    async with everything.client(KEYS["counts"]) as client:
        for user, model, stream in (
            ("ada", "right", False),
            ("ada", "climbs", True),
            ("ada", "climbs", False),
            ("bob", "right", False),
            ("bob", "climbs", True),
            ("ada", "right", False),
        ):
            before = len(everything.events)
            got = await ask(client, model, stream=stream, user=user)
            settled = [e.record.cost for e in everything.events[before:] if isinstance(e, Settled)]
            assert Decimal(got.headers["x-gateway-cost-usd"]) * PER_USD == sum(settled) > 0
            total -= sum(settled)
            users[user] -= sum(settled)
            left = Decimal(got.headers["x-gateway-budget-remaining-usd"]) * PER_USD
            assert left == min(total, users[user]), (user, model)
    await everything.audit("budget-counts")
    assert total == 10_000_000 - await everything.spent("budget-counts")
