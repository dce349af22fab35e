"""Who of a tier is asked first, through the running service, streamed and not: by weight, price,
speed, load and whose cache is warm; and whom a cap of cost or time rules out.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from gateway.simulator import Simulator
from tests.in_time import in_time
from tests.service.held import held
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW_S: Final = 0.06
SOON_S: Final = 10.0
CONFIG: Final = """
redis: {url: memory}
providers:
  one: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  two: {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x,
    cache_lifetime_s: 600}
models:
  dear: {deployments: [{provider: one, upstream: smart-right}], context: &c 100000,
    max_output: &m 1000, price: &smart {input: 5, output: 20}}
  fair: {deployments: [{provider: two, upstream: mid-right}], context: *c, max_output: *m,
    price: &mid {input: 1, output: 4}}
  small: {deployments: [{provider: one, upstream: cheap-right}], context: *c, max_output: *m,
    price: &cheap {input: 0.10, output: 0.40}}
  often: {deployments: [{provider: one, upstream: cheap-right-often}], context: *c, max_output: *m,
    price: *cheap}
  seldom: {deployments: [{provider: two, upstream: cheap-right-seldom}], context: *c,
    max_output: *m, price: *cheap}
  slow: {deployments: [{provider: one, upstream: cheap-slow}], context: *c, max_output: *m,
    price: *cheap}
  quick: {deployments: [{provider: two, upstream: cheap-right-quick}], context: *c, max_output: *m,
    price: *cheap}
  busy: {deployments: [{provider: one, upstream: cheap-slow-busy}], context: *c, max_output: *m,
    price: *cheap}
  idle: {deployments: [{provider: two, upstream: cheap-slow-idle}], context: *c, max_output: *m,
    price: *cheap}
  flaky: {deployments: [{provider: one, upstream: cheap-flaky}], context: *c, max_output: *m,
    price: *cheap}
  flaky-too: {deployments: [{provider: one, upstream: cheap-flaky-too}], context: *c,
    max_output: *m, price: *cheap}
  steady: {deployments: [{provider: two, upstream: cheap-right-steady}], context: *c,
    max_output: *m, price: *cheap}
tiers:
  by-weight: {models: [{model: seldom, weight: 1}, {model: often, weight: 3}]}
  by-price: {models: [dear, fair, small]}
  by-speed: {models: [slow, quick]}
  by-load: {models: [busy, idle]}
  by-cache: {models: [flaky, steady]}
  by-cache-too: {models: [flaky-too, steady]}
routes:
  weighted: {tiers: [by-weight]}
  listed: {tiers: [by-price]}
  cheapest: {tiers: [by-price], order: cheapest}
  unhurried: {tiers: [by-speed]}
  fastest: {tiers: [by-speed], order: fastest}
  least-busy: {tiers: [by-load], order: least_busy}
  warm: {tiers: [by-cache], order: fastest}
  warm-too: {tiers: [by-cache-too], order: fastest}  # a circuit of its own
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 50, per: day}]}
"""
ENOUGH: Final = 10
"""Answers, before what was observed of a deployment counts."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {}, Simulator(slow_s=SLOW_S)) as served:
        await served.begin("acme")
        yield served
        await served.audit("acme")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as http:
        yield http


async def ask(
    client: httpx.AsyncClient, model: str, *, stream: bool, text: str = "2+2", **extras: Any
) -> httpx.Response:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "gateway": extras,
    }
    return await client.post("/v1/chat/completions", json=body)


async def who(client: httpx.AsyncClient, model: str, *, stream: bool, **more: Any) -> str:
    """Who answers, and at which attempt."""
    got = await ask(client, model, stream=stream, **more)
    assert got.status_code == 200, got.text
    return f"{got.headers['x-gateway-model']} {got.headers['x-gateway-attempts']}"


async def observed(client: httpx.AsyncClient, *models: str) -> None:
    for model in models:
        for _ in range(ENOUGH):
            await ask(client, model, stream=False)


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAM
async def test_by_weight(client: httpx.AsyncClient, stream: bool) -> None:
    """3 to 1 of 80, with five standard deviations to either side."""
    met = Counter([await who(client, "weighted", stream=stream) for _ in range(80)])
    assert set(met) == {"often 1", "seldom 1"}
    assert 41 <= met["often 1"] <= 79, met
    body = {"model": "weighted", "messages": [{"role": "user", "content": "2+2"}]}
    (rung,) = (await client.post("/v1/route/explain", json=body)).json()["rungs"]
    whys = {each["model"]: each["why"] for each in rung["candidates"]}
    assert whys == {
        "often": "drawn, by its weight of 3", "seldom": "drawn, by its weight of 1",
    }  # fmt: skip


@STREAM
async def test_by_price(client: httpx.AsyncClient, stream: bool) -> None:
    assert await who(client, "listed", stream=stream) == "dear 1"
    assert await who(client, "cheapest", stream=stream) == "small 1"
    body = {"model": "cheapest", "messages": [{"role": "user", "content": "2+2"}]}
    (rung,) = (await client.post("/v1/route/explain", json=body)).json()["rungs"]
    assert [each["model"] for each in rung["candidates"]] == ["small", "fair", "dear"]
    assert all(each["why"].endswith(" at this hour") for each in rung["candidates"])


@STREAM
async def test_by_speed_once_enough_was_observed(client: httpx.AsyncClient, stream: bool) -> None:
    await observed(client, "slow", "quick")
    assert await who(client, "fastest", stream=stream) == "quick 1"
    assert await who(client, "unhurried", stream=stream) == "slow 1"


@STREAM
async def test_by_load(service: Running, client: httpx.AsyncClient, stream: bool) -> None:
    assert await who(client, "least-busy", stream=stream) == "busy 1"
    pace = service.gateway.world.pace
    with held(service.simulator.simulator) as slow:
        first = asyncio.create_task(who(client, "least-busy", stream=stream))
        await slow.until(1)
        assert pace.in_flight("one/busy") == 1
        second = asyncio.create_task(who(client, "least-busy", stream=stream))
        await slow.until(2)
    assert [await first, await second] == ["busy 1", "idle 1"]


@pytest.mark.parametrize(
    ("stream", "route", "flaky"), [(False, "warm", "flaky"), (True, "warm-too", "flaky-too")]
)
async def test_between_equals_who_has_the_prompt_in_its_cache(
    client: httpx.AsyncClient, stream: bool, route: str, flaky: str
) -> None:
    """The first is down for whatever it is asked first, so that the second gets to know it."""

    async def answers(text: str) -> str:
        return await who(client, route, stream=stream, text=text)

    long, short = f"{route} {'x' * 5_000}", f"{route}, too short to be kept"
    assert [await answers(long), await answers(long)] == ["steady 2", "steady 1"]
    body = {"model": route, "messages": [{"role": "user", "content": long}]}
    (rung,) = (await client.post("/v1/route/explain", json=body)).json()["rungs"]
    assert rung["order"] == "fastest"
    first, second = [(each["model"], each["why"]) for each in rung["candidates"]]
    assert first[0] == "steady"
    assert first[1].endswith(", its prompt cache holds the beginning")
    assert second == (flaky, "supposed to begin within 2 s: too little was seen")
    assert [await answers(short), await answers(short)] == ["steady 2", f"{flaky} 1"]


@STREAM
async def test_a_cap_of_cost(client: httpx.AsyncClient, stream: bool) -> None:
    """At its ceiling `dear` may cost some 2 cents, `small` 0.04."""
    for cap, answers in (("0.1", "dear 1"), ("0.01", "fair 1"), ("0.001", "small 1")):
        assert await who(client, "listed", stream=stream, max_cost_usd=cap) == answers
    refused = await ask(client, "listed", stream=stream, max_cost_usd="0.0000001")
    assert refused.status_code == 400
    assert "may cost" in refused.json()["error"]["message"]


@STREAM
async def test_a_cap_of_time_rules_out_who_is_seen_to_be_slow(
    service: Running, client: httpx.AsyncClient, stream: bool
) -> None:
    await observed(client, "slow", "quick")
    cap = 20_000
    assert await who(client, "unhurried", stream=stream, max_latency_ms=cap) == "slow 1"
    pace = service.gateway.world.pace
    for _ in range(200):  # which outweighs whatever else was seen
        pace.call_started("one/slow")
        pace.call_ended("one/slow", 30.0)
    got = await ask(client, "unhurried", stream=stream, max_latency_ms=cap)
    assert (got.status_code, got.headers["x-gateway-model"]) == (200, "quick")
    told = await client.post(
        "/v1/route/explain",
        json={
            "model": "unhurried",
            "messages": [{"role": "user", "content": "2+2"}],
            "gateway": {"max_latency_ms": cap},
        },
    )
    (skipped,) = told.json()["skipped"]
    assert (skipped["deployment"], skipped["why"].partition(":")[0]) == ("one/slow", "latency")
    pace.reconfigure(["one/slow", "two/quick"], {"one/slow", "two/quick"})


@STREAM
async def test_a_cap_of_time_is_a_deadline(
    service: Running, client: httpx.AsyncClient, stream: bool
) -> None:
    """Nothing is known of `idle` yet, or not enough: it is asked, and given up in time."""
    with held(service.simulator.simulator):
        got = await in_time(SOON_S, ask(client, "idle", stream=stream, max_latency_ms=20))
    assert got.status_code == 504, got.text
    assert got.headers["x-should-retry"] == "false"


async def test_how_long_a_prompt_cache_counts_is_configured(service: Running) -> None:
    def lasts(deployment: str) -> list[bool]:
        warmth = service.gateway.world.warmth
        warmth.warmed(b"k", deployment, 0.0)
        return [deployment in warmth.warm(b"k", at) for at in (299.0, 301.0, 599.0, 601.0)]

    assert lasts("one/flaky") == [True, False, False, False]
    assert lasts("two/steady") == [True, True, True, False]
    for text, until in ((CONFIG.replace("600}", "1000}"), True), (CONFIG, False)):
        await service.reload(text)
        assert lasts("two/steady") == [True, True, True, until]
