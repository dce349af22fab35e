"""A guard, a shadow and a canary through the whole gateway: streamed and not, in every book."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import StringIO
from tempfile import NamedTemporaryFile
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from rich.console import Console
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.background.runner import AuditRunner
from gateway.commands.analyze import show
from gateway.core.events import AuditEnded, Settled
from gateway.core.ports import LedgerDriver
from gateway.core.records.record import COMPARED, UsageRecord
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Simulator
from gateway.simulator.answers import Answer
from gateway.simulator.simulated_request import SimulatedRequest
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

GUARD = "guard: {threshold: 0.6, share: 1, probe: 1, cap: 1, least: 12, memory: 16}"
CONFIG = """
redis: {url: "${REDIS_URL}", timeout_ms: 5000}  # a busy machine is no fault here
providers:
  one: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  two: {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x}
models:
  small: {deployments: [{provider: one, upstream: cheap-small}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}}
  quick: {deployments: [{provider: two, upstream: cheap-quick}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}}
  poor: {deployments: [{provider: one, upstream: cheap-poor}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}}
  large: {deployments: [{provider: one, upstream: smart-large}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
tiers:
  lowest: {models: [poor]}
  cheap: {models: [small, quick]}
  smart: {models: [large]}
routes:
  whole: {tiers: [cheap, smart], strategy: vote, GUARD}
  streamed: {tiers: [cheap, smart], strategy: vote, GUARD}
  flowing: {tiers: [cheap, smart], GUARD}
  climbing: {tiers: [lowest, cheap, smart], checks: [{regex: right|wrong}], GUARD}
  climbing-too: {tiers: [lowest, cheap, smart], checks: [{regex: right|wrong}], GUARD}
  shadowed: {tiers: [smart], shadow: {route: cheap-next, share: 1}}
  moved: {tiers: [smart], canary: {route: cheap-next, share: 1}}
  cheap-next: {tiers: [cheap]}
tenants:
  behind: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 50, per: day}]}
""".replace("GUARD", GUARD)
TENANT = "behind"


class Says:
    """What the simulated models say."""

    def __init__(self) -> None:
        self.cheap = "wrong"

    def answer(self, ask: SimulatedRequest, behaviour: str) -> Answer:
        if ask.model == "cheap-poor":
            return Answer("hm")
        return Answer("right" if ask.model.startswith("smart") else self.cheap)


@pytest.fixture(scope="module")
def says() -> Says:
    return Says()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(shared_redis: EmbeddedRedis, says: Says) -> AsyncIterator[Running]:
    simulator = Simulator(answers=says.answer)
    async with running(CONFIG, {"REDIS_URL": shared_redis.url}, simulator) as started:
        yield started


def audits(service: Running) -> AuditRunner:
    return cast("AuditRunner", service.gateway.world.audits)


def _client(service: Running, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, headers=headers, timeout=10, verify=False)  # noqa: S501 - plain HTTP


async def ask(service: Running, route: str, *, stream: bool) -> tuple[str, httpx.Headers]:
    """The text and the headers."""
    body = {"model": route, "stream": stream, "messages": [{"role": "user", "content": "2+2"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    async with _client(service, headers) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    if not stream:
        return answer.json()["choices"][0]["message"]["content"], answer.headers
    assert answer.text.endswith("data: [DONE]\n\n")
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    pieces = [json.loads(event)["choices"] for event in events]
    return "".join(p[0]["delta"].get("content") or "" for p in pieces if p), answer.headers


async def explained(service: Running, route: str) -> Any:
    body = {"model": route, "messages": [{"role": "user", "content": "2+2"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    async with _client(service, headers) as client:
        return (await client.post("/v1/route/explain", json=body)).json()


async def at_the_command_line(service: Running, route: str, **env: str) -> str:
    """What `tollgate explain --gateway` prints."""
    known = {"TOLLGATE_KEY": KEY, "COLUMNS": "200", **env}
    with NamedTemporaryFile() as file:
        file.write(
            json.dumps({"model": route, "messages": [{"role": "user", "content": "2+2"}]}).encode()
        )
        file.flush()
        words = ["explain", file.name, "--gateway", f"{service.url}/v1"]
        found = await asyncio.to_thread(CliRunner().invoke, app, words, env=known)
    return found.output


async def test_a_key_that_is_none_is_told_and_not_shown(service: Running) -> None:
    page = await at_the_command_line(service, "whole", TOLLGATE_KEY="tg-nobody")
    assert "(the key is read from TOLLGATE_KEY)" in page
    assert "tg-nobody" not in page


async def became(service: Running, request_id: str) -> Any:
    async with _client(service, {"authorization": f"Bearer {KEY}"}) as client:
        return (await client.get(f"/v1/route/explain/{request_id}")).json()


async def scraped(service: Running, route: str) -> dict[str, float]:
    """What the metrics say of a route's guard."""
    assert await audits(service).guards.refresh()
    async with _client(service, {}) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    told = (line.rpartition(" ") for line in lines if line.startswith("gateway_guard_"))
    return {
        name.partition("{")[0].removeprefix("gateway_guard_"): float(value)
        for name, _, value in told
        if f'route="{route}"' in name and 'part="audit"' not in name
    }


async def records(service: Running) -> list[UsageRecord]:
    ledger = cast("LedgerDriver", service.gateway.world.ledger)
    entries = await ledger.records(TENANT, count=100_000)
    return [entry.record for entry in entries if entry.record is not None]


async def until(service: Running, route: str, tier: str, *, stream: bool) -> None:
    """Ask until this tier answers, and see that it does not take long."""
    for _ in range(60):
        _, headers = await ask(service, route, stream=stream)
        await audits(service).idle()
        if headers["x-gateway-tier"] == tier:
            return
    pytest.fail(f"{tier} never answers")


@pytest.mark.parametrize(
    ("route", "stream", "reason", "smart"),
    [
        ("whole", False, "agreed", "unjudged; guard"),
        ("streamed", True, "agreed", "unjudged; guard"),
        ("flowing", True, "unjudged", "unjudged; guard"),
        ("climbing", False, "passed; poor regex", "passed; guard"),
        ("climbing-too", True, "passed; poor regex", "passed; guard"),
    ],
)
async def test_a_bad_pair_is_switched_off_and_comes_back(
    service: Running, says: Says, route: str, reason: str, smart: str, *, stream: bool
) -> None:
    await service.begin(TENANT)
    says.cheap = "wrong"
    for _ in range(14):
        text, headers = await ask(service, route, stream=stream)
        assert (text, headers["x-gateway-tier"]) == ("right", "smart")
        assert headers["x-gateway-reason"] == smart
        await audits(service).idle()
    seen = await scraped(service, route)
    assert (seen["state"], seen["agreement_rate"], seen["audits"]) == (0, 0.0, 14)
    told = await explained(service, route)
    assert told["guard"]["state"] == "off"
    assert [rung["tier"] for rung in told["rungs"]] == ["smart"]
    assert {each["why"] for each in told["skipped"]} == {"guard"}

    page = await at_the_command_line(service, route)
    assert "guard, text: off, the last tier answers; 0% of 14 comparisons agree" in page
    assert "skipped one/small (cheap): guard" in page

    says.cheap = "right"
    await until(service, route, "cheap", stream=stream)
    text, headers = await ask(service, route, stream=stream)
    assert (text, headers["x-gateway-reason"]) == ("right", reason)
    await audits(service).idle()
    (audit,) = (await became(service, headers["x-request-id"]))["behind"]
    assert (audit["kind"], audit["compared"]) == ("guard", "agreed")
    assert [each["model"] for each in audit["attempts"]] == ["large"]
    seen = await scraped(service, route)
    assert seen["state"] == 2
    assert seen["agreement_lower_bound"] >= 0.6
    assert (await explained(service, route))["guard"]["state"] == "on"

    says.cheap = "wrong"
    await until(service, route, "smart", stream=stream)
    await service.audit(TENANT)
    await of_the_records(service, route)


async def of_the_records(service: Running, route: str) -> None:
    """They are the simulator's bill, and audits are told apart from what was asked for."""
    settled = {event.record.purpose for event in service.events if isinstance(event, Settled)}
    assert settled - {"vote", "escalation"} == {"answer", "audit"}
    ours = [each for each in await records(service) if each.route == route]
    assert sum(each.cost for each in ours) == service.simulator.bill.cost
    assert {each.purpose for each in ours if "~guard" in each.request} == {"audit", COMPARED}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_shadow_is_seen_in_the_records_alone(
    service: Running, says: Says, *, stream: bool
) -> None:
    await service.begin(TENANT)
    before = len(await records(service))
    says.cheap = "wrong"
    text, headers = await ask(service, "shadowed", stream=stream)
    assert (text, headers["x-gateway-attempts"]) == ("right", "1")
    await audits(service).idle()
    await service.audit(TENANT)
    (ended,) = [event for event in service.events if isinstance(event, AuditEnded)]
    assert (ended.kind, ended.outcome, ended.about.route) == ("shadow", "differed", "cheap-next")
    new = (await records(service))[before:]
    assert [(each.route, each.purpose, each.model) for each in new] == [
        ("shadowed", "answer", "large"),
        ("cheap-next", "audit", "small"),
        ("cheap-next", COMPARED, "small"),
    ]
    assert new[1].request == new[2].request == f"{new[0].request}~shadow"
    analyzed = await became(service, headers["x-request-id"])
    assert [each["model"] for each in analyzed["attempts"]] == ["large"]
    (behind,) = analyzed["behind"]
    assert (behind["kind"], behind["route"], behind["compared"]) == (
        "shadow", "cheap-next", "differed",
    )  # fmt: skip
    assert [each["model"] for each in behind["attempts"]] == ["small"]
    assert analyzed["cost_usd"]["behind"] == behind["charged_usd"] == new[1].cost / 1e9
    page = StringIO()
    show(analyzed, Console(file=page, width=200))
    assert "behind the answer, as a shadow of cheap-next, call 2: differed; charged $" in (
        page.getvalue()
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_canary_is_told_to_who_asks(service: Running, says: Says, *, stream: bool) -> None:
    await service.begin(TENANT)
    says.cheap = "cheap words"
    text, headers = await ask(service, "moved", stream=stream)
    assert (text, headers["x-gateway-reason"]) == ("cheap words", "unjudged; canary cheap-next")
    assert (await explained(service, "moved"))["canary"] == "cheap-next"
    await service.audit(TENANT)
    assert (await records(service))[-1].route == "cheap-next"


async def test_replicas_agree(shared_redis: EmbeddedRedis, says: Says) -> None:
    """Two gateways, each asked every other time: what one has seen both go by."""
    says.cheap = "wrong"
    text = CONFIG.replace(f"  {TENANT}:", "  replicas:").replace(" whole:", " shared:")
    env = {"REDIS_URL": shared_redis.url}
    simulators = [Simulator(answers=says.answer) for _ in range(2)]
    async with running(text, env, simulators[0]) as one, running(text, env, simulators[1]) as two:
        for _ in range(7):
            for replica in (one, two):
                await ask(replica, "shared", stream=False)
                await audits(replica).idle()
        both = [audits(replica).guards for replica in (one, two, one)]
        assert [await each.refresh() for each in both] == [True] * 3
        states = [(await explained(each, "shared"))["guard"] for each in (one, two)]
        assert states[0] == states[1]
        assert (states[0]["state"], states[0]["agreement"]["compared"]) == ("off", 14)
        bills = [replica.simulator.bill.cost for replica in (one, two)]
        assert await one.spent("replicas") == await two.spent("replicas") == sum(bills)
