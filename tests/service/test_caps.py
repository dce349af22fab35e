"""What one request may cost, and caps of models and providers, through the running service."""

from collections.abc import AsyncIterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import openai
import pytest
import pytest_asyncio

from gateway.core.events import Reserved, Settled
from gateway.core.money import PER_USD
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Simulator
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "[{usd: 0.000001, per: day}]"
TENANTS = {
    "whole": "budgets: [{usd: 5, per: total}]",
    "model": f"budgets: [{{usd: 5, per: day}}], model_budgets: {{right: {SMALL}}}",
    "provider": f"budgets: [{{usd: 5, per: day}}], provider_budgets: {{one: {SMALL}}}",
    "rate": "budgets: [{usd: 5, per: day}], model_budgets: {right: [{tokens: 1, per: hour}]}",
    "own": f"budgets: {SMALL}",
    "user": f"budgets: [{{usd: 5, per: day}}], user_budgets: {SMALL}",
}
KEYS = {name: f"tg-caps-{name}-0123456789abcdefghijklmnopqrstuvwxyz" for name in TENANTS}
CONFIG = """
redis: {url: '${REDIS_URL}', timeout_ms: 30000}
providers:
  one: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
  two: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
models:
  right: {deployments: [{provider: one, upstream: cheap-right}], context: 8000, max_output: 650,
          price: {input: 0.10, output: 0.40}}
  unsure: {deployments: [{provider: one, upstream: cheap-unsure}], context: 8000, max_output: 650,
           price: {input: 0.10, output: 0.40}}
  equal: {deployments: [{provider: two, upstream: cheap-right}], context: 8000, max_output: 650,
          price: {input: 0.10, output: 0.40}}
  better: {deployments: [{provider: two, upstream: mid-right}], context: 8000, max_output: 650,
           price: {input: 1, output: 4}}
tiers:
  cheap: {models: [unsure]}
  two: {models: [right, equal]}
  mid: {models: [better]}
routes:
  climbs: {tiers: [cheap, mid], checks: [confidence]}
  equals: {tiers: [two, mid]}
  votes: {tiers: [two, mid], strategy: vote}
  alone: {tiers: [mid]}
tenants:
""" + "\n".join(
    f"  caps-{name}: {{{told}, keys: [{{id: k1, hash: 'sha256:"
    f"{sha256(KEYS[name].encode()).hexdigest()}'}}]}}"
    for name, told in TENANTS.items()
)
MESSAGES: Any = [{"role": "user", "content": "What is 17*23?"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    async with running(CONFIG, {"REDIS_URL": shared_redis.url}, Simulator()) as started:
        yield started


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool, **extras: Any) -> Any:
    """The raw response, read to its end; or the error."""
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=model,
            messages=MESSAGES,
            stream=stream,
            user="ada",
            extra_body={"gateway": extras} if extras else None,
        )
    except openai.APIStatusError as error:
        return error
    await raw.http_response.aread()
    return raw


async def worst_of(client: openai.AsyncOpenAI, model: str) -> Decimal:
    told: Any = await client.post(
        "/route/explain", body={"model": model, "messages": MESSAGES}, cast_to=object
    )
    return Decimal(str(told["cost_usd"]["worst"]))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("model", "more", "reason", "calls"),
    [
        ("climbs", "0", "budget; unsure confidence; better budget", 1),
        ("climbs", "1", "passed; unsure confidence", 2),
        ("votes", "0", "agreed", 2),
    ],
)
async def test_what_a_request_may_cost_bounds_its_calls_together(
    everything: Running, model: str, more: str, reason: str, calls: int, stream: bool
) -> None:
    """As much as the dearest of its calls alone, and more."""
    await everything.begin("caps-whole")
    async with everything.client(KEYS["whole"]) as client:
        most = await worst_of(client, "alone") + Decimal(more)
        got = await ask(client, model, stream=stream, max_cost_usd=str(most))
    assert not isinstance(got, openai.APIStatusError), got
    assert got.headers["x-gateway-reason"] == reason
    spent = held = highest = 0
    for event in everything.events:
        if isinstance(event, Reserved):
            held += event.amount
        elif isinstance(event, Settled):
            held, spent = held - event.record.held, spent + event.record.cost
        highest = max(highest, held + spent)
    assert 0 < highest <= most * PER_USD
    assert sum(isinstance(event, Settled) for event in everything.events) == calls
    await everything.audit("caps-whole")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("tenant", "model", "who", "reason"),
    [
        ("model", "equals", "equal", "unjudged; right budget"),
        ("provider", "equals", "equal", "unjudged; right budget"),
        ("rate", "equals", "equal", "unjudged; right budget"),
        ("model", "votes", "better", "unjudged; right budget; equal votes"),
    ],
)
async def test_who_is_at_its_cap_leaves_the_others_to_be_asked(
    everything: Running, tenant: str, model: str, who: str, reason: str, stream: bool
) -> None:
    await everything.begin(f"caps-{tenant}")
    async with everything.client(KEYS[tenant]) as client:
        got = await ask(client, model, stream=stream)
    assert not isinstance(got, openai.APIStatusError), got
    assert (got.headers["x-gateway-model"], got.headers["x-gateway-reason"]) == (who, reason)
    await everything.audit(f"caps-{tenant}")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("tenant", "model", "code", "named"),
    [
        ("model", "right", "budget_exceeded", "The budget of model 'right' of tenant caps-model"),
        ("provider", "right", "budget_exceeded", "The budget of provider 'one' of tenant caps-"),
        ("rate", "right", "budget_exceeded", "The limit of model 'right' of tenant caps-rate"),
        ("own", "equals", "budget_exceeded", "The budget of tenant caps-own"),
        ("user", "equals", "budget_exceeded", "The budget of user 'ada' of tenant caps-user"),
    ],
)
async def test_a_refusal_when_nobody_is_left_or_it_is_the_askers_own(
    everything: Running, tenant: str, model: str, code: str, named: str, stream: bool
) -> None:
    await everything.begin(f"caps-{tenant}")
    async with everything.client(KEYS[tenant]).with_options(max_retries=0) as client:
        refused = await ask(client, model, stream=stream)
    assert isinstance(refused, openai.RateLimitError), refused
    assert refused.code == code
    assert refused.body["message"].startswith(named)  # type: ignore[index]
    assert not any(isinstance(event, Reserved) for event in everything.events)
    await everything.audit(f"caps-{tenant}")
