"""Limits of every unit, scope and mode through the running service, on each ledger."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from math import ceil
from typing import Any, Final, NamedTuple

import httpx
import openai
import pytest
import pytest_asyncio

from gateway.core.events import Event, LifeEvent, Settled, lawful
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.drivers.endpoints import Endpoint, endpoint
from tests.service.held import held
from tests.service.limits import CONFIG, KEYS
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("how", ["whole", "stream"]),
]


class Service(NamedTuple):
    running: Running
    webhook: Endpoint
    client: openai.AsyncOpenAI


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "redis"])
async def service(
    request: pytest.FixtureRequest, shared_redis: EmbeddedRedis
) -> AsyncIterator[Service]:
    url = "memory" if request.param == "memory" else shared_redis.url
    with endpoint({"POST /hook": (204, "")}) as there:
        env = {"REDIS_URL": url, "WEBHOOK_URL": f"{there.url}/hook"}
        # One client for all keys: each has a TLS context of its own, which takes long to make.
        async with (
            running(CONFIG, env) as started,
            started.client() as client,
        ):
            yield Service(started, there, client)


async def ask(service: Service, key: str, how: str, **more: Any) -> Any:
    """The raw response, read to its end; or the error."""
    given: Any = {"model": "right", "messages": [{"role": "user", "content": "What is 17*23?"}]}
    client = service.client.with_options(api_key=key)
    try:
        raw = await client.chat.completions.with_raw_response.create(
            **{**given, **more}, stream=how == "stream"
        )
    except openai.APIStatusError as error:
        return error
    await raw.http_response.aread()
    return raw


def tag(value: str) -> dict[str, Any]:
    return {"extra_headers": {"x-gateway-tags": f"use_case={value}"}}


async def audit(running: Running, home: str) -> None:
    """Each life is lawful, no hold is open, and what was settled is the simulator's bill."""
    async with asyncio.timeout(30):
        while running.gateway.front.door.in_flight.total:
            await asyncio.sleep(0.005)
    await running.simulator.idle()
    lives: dict[str, list[Event]] = defaultdict(list)
    for event in running.events:
        if isinstance(event, LifeEvent):
            lives[event.about.request_id].append(event)
    assert [wrong for life in lives.values() if (wrong := lawful(life))] == []
    assert await running.gateway.world.ledger.open_holds(home) == 0
    settled = sum(event.record.cost for event in running.events if isinstance(event, Settled))
    assert settled == running.simulator.bill.cost


def begin(running: Running) -> None:
    running.events.clear()
    running.simulator.bill.clear()


async def metrics(running: Running) -> dict[str, float]:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{running.url}/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


# tenant -> what the second request gets that spends from the same account, and who may still ask
SCOPES: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "tenant": ("tenant tenant-HOW", {}, {"tenant": "unlimited"}),
    "user": (
        "user 'ada' of tenant user-HOW", {"user": "ada"}, {"user": "bob"},
    ),
    "key": ("key 'k1' of tenant key-HOW", {}, {"tenant": "key", "suffix": "2"}),
    "tag": ("tag 'use_case=rag' of tenant tag-HOW", tag("rag"), tag("chat")),
    "model": ("model 'right' of tenant model-HOW", {}, {"model": "other"}),
    "each-model": ("model 'right' of tenant each-model-HOW", {}, {"model": "other"}),
    "provider": ("provider 'sim' of tenant provider-HOW", {}, {"model": "other"}),
}  # fmt: skip


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_scope_refuses_whom_it_is_of_and_nobody_else(
    service: Service, scope: str, how: str
) -> None:
    everything = service.running
    whose, same, other = SCOPES[scope]
    other = dict(other)
    key = KEYS[f"{scope}-{how}"]
    others_key = KEYS[f"{other.pop('tenant', scope)}-{how}"] + other.pop("suffix", "")
    begin(everything)
    first = await ask(service, key, how, **same)
    assert not isinstance(first, Exception), first
    assert_spent(
        await ask(service, key, how, **same),
        f"The limit of {whose.replace('HOW', how)}, 1 requests in total, has 0 left, "
        "less than this request may take. It does not reset.",
    )
    third = await ask(service, others_key, how, **other)
    assert not isinstance(third, Exception), third
    await audit(everything, f"{scope}-{how}")
    meter = "model" if scope == "each-model" else scope
    labels = f'decision="refused",meter="requests",scope="{meter}",tenant="{scope}-{how}"'
    assert (await metrics(everything))[f"gateway_budget_decisions_total{{{labels}}}"] == 1


async def test_tenants_of_an_organisation_share_its_limit(service: Service, how: str) -> None:
    everything = service.running
    begin(everything)
    first = await ask(service, KEYS[f"org-{how}"], how)
    assert not isinstance(first, Exception), first
    assert_spent(
        await ask(service, KEYS[f"org-too-{how}"], how),
        f"The limit of organisation shared-{how}, 1 requests in total, has 0 left, "
        "less than this request may take. It does not reset.",
    )
    await audit(everything, f"shared-{how}")
    labels = f'meter="requests",mode="hard",per="total",scope="organisation",tenant="shared-{how}"'
    told = await metrics(everything)
    names = ("limit", "spent", "held")
    assert [told[f"gateway_budget_{name}{{{labels}}}"] for name in names] == [1, 1, 0]


def assert_limited(got: Any, message: str) -> None:
    """A rate limit, as OpenAI's SDKs know it: to be tried again after a while."""
    assert isinstance(got, openai.RateLimitError), got
    assert (got.code, got.type) == ("rate_limit_exceeded", "requests")
    body: Any = got.body
    assert body["message"] == message
    headers = got.response.headers
    wait_ms = int(headers["retry-after-ms"])
    assert 0 < wait_ms <= 63_000
    assert headers["retry-after"] == str(ceil(wait_ms / 1000))
    assert "x-should-retry" not in headers


def assert_spent(got: Any, message: str) -> None:
    """A limit in which no wait makes room: OpenAI's SDKs are told not to come again."""
    assert isinstance(got, openai.RateLimitError), got
    assert (got.code, got.type) == ("budget_exceeded", "insufficient_quota")
    body: Any = got.body
    assert body["message"] == message
    assert got.response.headers["x-should-retry"] == "false"
    assert not {"retry-after", "retry-after-ms"} & got.response.headers.keys()


async def test_a_request_that_fits_at_no_time_is_told_so(service: Service, how: str) -> None:
    """Its 650 tokens of an answer alone are more than the limit, whatever is left of it."""
    everything = service.running
    begin(everything)
    got: Any = await ask(service, KEYS[f"small-{how}"], how)
    assert isinstance(got, openai.RateLimitError), got
    body: Any = got.body
    told = re.fullmatch(
        rf"The limit of tenant small-{how}, 10 tokens per minute, is less than this request may "
        r"take, (\d+): it fits at no time. Ask for fewer tokens, or have the limit raised.",
        body["message"],
    )
    assert told, body["message"]
    assert int(told[1]) > 650
    assert_spent(got, body["message"])
    await audit(everything, f"small-{how}")


@pytest.mark.parametrize(("meter", "limit"), [("requests", "2 requests"), ("tokens", "850 tokens")])
async def test_a_rolling_limit_says_when_there_is_room(
    service: Service, meter: str, limit: str, how: str
) -> None:
    everything = service.running
    key = KEYS[f"{meter}-{how}"]
    begin(everything)
    got: Any = None
    for _ in range(60):
        got = await ask(service, key, how)
        if isinstance(got, openai.APIStatusError):
            break
    assert isinstance(got, openai.RateLimitError), got
    body: Any = got.body
    start = f"The limit of tenant {meter}-{how}, {limit} in any minute, has "
    assert body["message"].startswith(start), body["message"]
    assert "It has room again at " in body["message"]
    assert_limited(got, body["message"])
    assert int(got.response.headers["retry-after-ms"]) > 30_000, "the first has only just begun"
    await audit(everything, f"{meter}-{how}")


async def test_a_rolling_budget_of_money_is_a_quota(service: Service, how: str) -> None:
    everything = service.running
    begin(everything)
    got: Any = None
    for _ in range(60):
        got = await ask(service, KEYS[f"money-{how}"], how)
        if isinstance(got, openai.APIStatusError):
            break
    assert isinstance(got, openai.RateLimitError), got
    assert (got.code, got.type) == ("budget_exceeded", "insufficient_quota")
    assert got.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in got.response.headers
    body: Any = got.body
    assert body["message"].startswith(
        f"The budget of tenant money-{how}, $0.0003 in any 24 hours, has $"
    )
    await audit(everything, f"money-{how}")


async def test_requests_at_once(service: Service, how: str) -> None:
    everything = service.running
    key = KEYS[f"at-once-{how}"]
    begin(everything)
    with held(everything.simulator.simulator) as pace:
        slow = asyncio.create_task(ask(service, key, how, model="slow"))
        await pace.until(1)
        assert_limited(
            await ask(service, key, how),
            f"The limit of tenant at-once-{how}, 1 requests at once, is reached.",
        )
    first = await slow
    assert not isinstance(first, Exception), first
    async with asyncio.timeout(30):  # the place is given back in the background
        while isinstance(await ask(service, key, how), openai.RateLimitError):
            await asyncio.sleep(0.01)
    await audit(everything, f"at-once-{how}")


async def notes(there: Endpoint, tenant: str, count: int) -> list[dict[str, Any]]:
    """What the webhook was told of a tenant, once it is so many notes."""
    async with asyncio.timeout(30):
        while True:
            told = [json.loads(asked.body) for asked in there.asked]
            found = [each for each in told if each["tenant"] == tenant]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.005)


def warned(told: dict[str, float], tenant: str, scope: str, mode: str) -> list[float]:
    labels = f'mode="{mode}",per="total",percent="%s",scope="{scope}",tenant="{tenant}"'
    name = f'gateway_budget_warnings_total{{meter="requests",{labels}}}'
    return [told[name % percent] for percent in (80, 100)]


async def test_a_soft_limit_warns_and_refuses_nobody(service: Service, how: str) -> None:
    everything, there = service.running, service.webhook
    tenant = f"soft-{how}"
    begin(everything)
    headers = []
    for _ in range(7):
        got = await ask(service, KEYS[tenant], how, user="ada")
        assert not isinstance(got, Exception), got
        headers.append(got.headers.get("x-gateway-budget-warning"))
    at_80, at_100 = (f"{percent}% user requests/total" for percent in (80, 100))
    assert headers == [None, None, None, at_80, at_100, at_100, at_100]
    told = await notes(there, tenant, 2)
    assert [(each["percent"], each["scope"], each["account"], each["cap"]) for each in told] == [
        (80, "user", "ada", 5),
        (100, "user", "ada", 5),
    ]
    counted = await metrics(everything)
    assert warned(counted, tenant, "user", "soft") == [1, 1]
    assert not any('decision="refused"' in name and tenant in name for name in counted)
    await audit(everything, tenant)


async def test_a_hard_limit_is_told_of_before_it_refuses(service: Service, how: str) -> None:
    """To the webhook and in metrics: its header is the refusal."""
    everything, there = service.running, service.webhook
    tenant = f"hard-{how}"
    begin(everything)
    got = [await ask(service, KEYS[tenant], how) for _ in range(7)]
    assert [isinstance(each, openai.RateLimitError) for each in got] == [False] * 5 + [True] * 2
    assert not any("x-gateway-budget-warning" in each.headers for each in got[:5])
    told = await notes(there, tenant, 2)
    assert [(each["percent"], each["mode"], each["scope"]) for each in told] == [
        (80, "hard", "tenant"),
        (100, "hard", "tenant"),
    ]
    assert warned(await metrics(everything), tenant, "tenant", "hard") == [1, 1]
    await audit(everything, tenant)


async def test_a_shadow_limit_is_only_counted(service: Service, how: str) -> None:
    everything, there = service.running, service.webhook
    tenant = f"shadow-{how}"
    labels = f'{{meter="requests",scope="tenant",tenant="{tenant}"}}'
    name = f"gateway_budget_shadow_refusals_total{labels}"
    before = (await metrics(everything))[name]
    begin(everything)
    for _ in range(3):
        got = await ask(service, KEYS[tenant], how)
        assert not isinstance(got, Exception), got
        assert "x-gateway-budget-warning" not in got.headers
    after = (await metrics(everything))[name]
    assert after - before == 2
    await audit(everything, tenant)
    assert all(json.loads(asked.body)["tenant"] != tenant for asked in there.asked)
