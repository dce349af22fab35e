"""The response cache through the whole gateway: what is asked once is paid for once."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from gateway.core.events import CacheLookup
from gateway.core.money import usd
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: "${REDIS_URL}", timeout_ms: 10000, data_dir: "${DATA_DIR}"}
providers:
  sim: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
models:
  small: {deployments: [{provider: sim, upstream: cheap-right}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}, capabilities: &a [tools, json_schema]}
  prude: {deployments: [{provider: sim, upstream: cheap-refuse}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}, capabilities: *a}
  cutter: {deployments: [{provider: sim, upstream: cheap-cut}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}, capabilities: *a}
tiers:
  cheap: {models: [small]}
  shy: {models: [prude]}
  cut: {models: [cutter]}
routes:
  open: {tiers: [cheap], cache: {}}
  judged: {tiers: [cheap], checks: [complete], cache: {}}
  plain: {tiers: [cheap]}
  refused: {tiers: [shy], cache: {}}
  truncated: {tiers: [cut], cache: {}}
  tight: {tiers: [cheap], cache: {per: user}}
  tiny: {tiers: [cheap], cache: {most_bytes: 100}}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
  other: {keys: [{id: k2, hash: "${OTHER_HASH}"}], budgets: [{usd: 5, per: day}]}
  poor: {keys: [{id: k3, hash: "${POOR_HASH}"}], budgets: [{requests: 1, per: total}]}
"""
OTHER: Final = "tg-other-0123456789abcdefghijklmnopqrstuvwxyz"
POOR: Final = "tg-poor-0123456789abcdefghijklmnopqrstuvwxyz"


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["memory", "embedded"])
async def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    env = {
        "REDIS_URL": request.param,
        "DATA_DIR": str(tmp_path_factory.mktemp("redis")),
        "OTHER_HASH": f"sha256:{sha256(OTHER.encode()).hexdigest()}",
        "POOR_HASH": f"sha256:{sha256(POOR.encode()).hexdigest()}",
    }
    async with running(CONFIG, env) as served:
        yield served


async def ask(
    service: Running,
    text: str,
    route: str = "open",
    key: str = KEY,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    body = {"model": route, "messages": [{"role": "user", "content": text}], **fields}
    sent = {"authorization": f"Bearer {key}", **(headers or {})}
    async with httpx.AsyncClient(base_url=service.url, headers=sent, timeout=20) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


TEXTS: Final = iter(f"question {number}" for number in range(10_000))
"""A question that nobody asked before."""


def said(answer: httpx.Response) -> str:
    """The text of an answer, streamed or not."""
    if answer.headers["content-type"] == "application/json":
        return str(answer.json()["choices"][0]["message"]["content"])
    assert answer.text.endswith("data: [DONE]\n\n")
    deltas = [choice["delta"] for chunk in chunks(answer) for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.split("\n\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def status(*answers: httpx.Response) -> list[str]:
    return [answer.headers.get("x-gateway-cache", "none") for answer in answers]


@pytest.mark.parametrize("route", ["open", "judged"])
@pytest.mark.parametrize("first", [False, True], ids=["asked whole", "asked as a stream"])
@pytest.mark.parametrize("then", [False, True], ids=["then whole", "then as a stream"])
async def test_what_was_asked_before_is_answered_for_nothing(
    service: Running, route: str, first: bool, then: bool
) -> None:
    await service.begin("acme")
    text = next(TEXTS)
    one = await ask(service, text, route, stream=first)
    two = await ask(service, text, route, stream=then)
    assert status(one, two) == ["miss", "hit"]
    assert said(one) == said(two) == f'You said: "{text}"'
    same = ("x-gateway-model", "x-gateway-provider", "x-gateway-tier")
    assert [one.headers[name] for name in same] == [two.headers[name] for name in same]
    told = {name: two.headers[f"x-gateway-{name}"] for name in ("attempts", "cost-usd", "reason")}
    assert told == {"attempts": "0", "cost-usd": "0", "reason": "cached"}
    assert int(two.headers["age"]) < 60
    assert "x-gateway-budget-remaining-usd" not in two.headers, "no budget was asked"
    assert len(service.simulator.bill.calls) == 1
    await service.audit("acme")


@pytest.mark.parametrize("first", [False, True], ids=["asked whole", "asked as a stream"])
async def test_usage_is_the_answers_own_and_the_bill_is_empty(
    service: Running, first: bool
) -> None:
    text = next(TEXTS)
    usage: dict[str, Any] = {"stream_options": {"include_usage": True}}
    asked: dict[str, Any] = {"stream": True, **usage} if first else {}
    one = await ask(service, text, **asked)
    whole = await ask(service, text)
    streamed = await ask(service, text, stream=True, **usage)
    silent = await ask(service, text, stream=True)
    assert status(whole, streamed, silent) == ["hit"] * 3
    paid = chunks(one)[-1]["usage"] if first else one.json()["usage"]
    for told in (whole.json()["usage"], chunks(streamed)[-1]["usage"]):
        assert told["gateway"] == {"cost_usd": 0, "attempts": []}
        assert told["total_tokens"] == paid["total_tokens"] > 0
    assert all("usage" not in chunk or not chunk["usage"] for chunk in chunks(silent))


async def test_an_answer_that_was_whole_comes_back_byte_for_byte(service: Running) -> None:
    text = next(TEXTS)
    one, two = [(await ask(service, text)).json() for _ in range(2)]
    del one["usage"]["gateway"], two["usage"]["gateway"]
    assert one == two


async def test_tool_calls_come_back(service: Running) -> None:
    text = next(TEXTS)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    one = await ask(service, text, tools=[tool])
    two = await ask(service, text, tools=[tool])
    three = await ask(service, text, tools=[tool], stream=True)
    calls = one.json()["choices"][0]["message"].get("tool_calls")
    assert calls, one.text
    assert status(one, two, three) == ["miss", "hit", "hit"]
    assert two.json()["choices"] == one.json()["choices"]
    pieces = [c["delta"]["tool_calls"][0] for k in chunks(three) for c in k["choices"]
              if "tool_calls" in c["delta"]]  # fmt: skip
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    assert (pieces[0]["function"]["name"], arguments) == (
        "weather", calls[0]["function"]["arguments"],
    )  # fmt: skip


async def test_several_choices_come_back(service: Running) -> None:
    text = next(TEXTS)
    one = await ask(service, text, n=2, stream=True)
    two = await ask(service, text, n=2)
    assert status(one, two) == ["miss", "hit"]
    assert [choice["index"] for choice in two.json()["choices"]] == [0, 1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "then"),
    [("plain", "none"), ("refused", "miss"), ("truncated", "miss"), ("tiny", "miss")],
)
async def test_what_is_never_kept(service: Running, route: str, then: str, stream: bool) -> None:
    text = next(TEXTS)
    answers = [await ask(service, text, route, stream=stream) for _ in range(2)]
    assert status(*answers) == [then, then]


async def test_no_tenant_gets_anothers(service: Running) -> None:
    text = next(TEXTS)
    answers = [await ask(service, text, key=key) for key in (KEY, OTHER, KEY, OTHER)]
    assert status(*answers) == ["miss", "miss", "hit", "hit"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asks", "told"),
    [
        (["", ""], ["miss", "hit"]),
        (["no-store", ""], ["bypass", "miss"]),
        (["", "no-store", ""], ["miss", "bypass", "hit"]),
        (["", "no-cache"], ["miss", "bypass"]),
        (["no-cache", ""], ["bypass", "hit"]),
        (["", "max-age=0"], ["miss", "miss"]),
        (["", "max-age=1000"], ["miss", "hit"]),
        (["", "only-if-cached"], ["miss", "hit"]),
    ],
)
async def test_what_the_client_asks_is_done(
    service: Running, asks: list[str], told: list[str], stream: bool
) -> None:
    text = next(TEXTS)
    answers = []
    for each in asks:
        headers = {"cache-control": each} if each else {}
        answers.append(await ask(service, text, headers=headers, stream=stream))
    assert status(*answers) == told


async def test_a_region_or_a_bound_is_another_question(service: Running) -> None:
    text = next(TEXTS)
    bound = {"x-gateway-max-cost-usd": "1"}
    tags = {"x-gateway-tags": "team=a"}
    answers = [await ask(service, text, headers=headers) for headers in ({}, bound, bound, tags)]
    assert status(*answers) == ["miss", "miss", "hit", "hit"]


async def test_a_spent_budget_refuses_no_answer_that_is_kept(service: Running) -> None:
    text = next(TEXTS)
    one = await ask(service, text, "tight", key=POOR)
    assert one.status_code == 200
    again = await ask(service, text, "tight", key=POOR)
    assert status(one, again) == ["miss", "hit"]
    body = {"model": "tight", "messages": [{"role": "user", "content": next(TEXTS)}]}
    async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
        sent = {"authorization": f"Bearer {POOR}"}
        other = await client.post("/v1/chat/completions", json=body, headers=sent)
    assert (other.status_code, other.json()["error"]["code"]) == (429, "budget_exceeded")


async def test_it_is_counted(service: Running) -> None:
    await service.begin("acme")
    text = next(TEXTS)
    one = await ask(service, text)
    await ask(service, text)
    asked = [event for event in service.events if isinstance(event, CacheLookup)]
    assert [event.outcome for event in asked] == ["miss", "hit"]
    assert asked[1].saved == service.simulator.bill.cost > 0
    assert one.headers["x-gateway-cost-usd"] == usd(asked[1].saved)
    async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
        scraped = (await client.get("/metrics")).text
    assert 'gateway_cache_requests_total{outcome="hit",route="open",tenant="acme"}' in scraped
    assert 'gateway_cache_saved_usd_total{route="open",tenant="acme",tier="cheap"}' in scraped
    await service.audit("acme")
