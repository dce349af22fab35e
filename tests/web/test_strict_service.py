"""The running gateway before simulated providers of every format: whatever they do, a response is
lawful. What it means, and what it costs, is the subject of tests/service.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import openai as sdk
import pytest
import pytest_asyncio

from gateway.simulator import BASES
from gateway.simulator.behaviours import BEHAVIOURS
from tests.openapi import faults
from tests.service.running import KEY, Running, running
from tests.web.strict import JSON, lawful_error, lawful_stream, lawful_whole, spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS: Final = [behaviour.name for behaviour in BEHAVIOURS]
FORMATS: Final = list(BASES)
WAYS: Final = ("whole", "flow", "plain", "held")
"""Whole; streamed; streamed without asking for usage; streamed from a route that judges."""
SILENT: Final = {"stall", "stallmid"}
CUT_SHORT: Final = {"stallmid", "resetmid", "errormid", "noend"}
NONE_AT_ALL: Final = {"throttle", "overloaded", "stall", "reset", "flaky"}
FUNCTIONS: Final = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}}, "required": ["city"]}}}
    for name in ("weather", "time")
]  # fmt: skip


def model(way: str, form: str, word: str) -> str:
    """A model of its own for every request: one's open circuit must not be another's."""
    return f"{way}-{form}-{word}"


def configuration() -> str:
    models = [(model(way, form, word), way, form, word)
              for way in WAYS for form in FORMATS for word in WORDS]  # fmt: skip
    sizes = "context: 9000, max_output: 900, capabilities: [tools, json_schema], price: free"
    return "\n".join(
        [
            "redis: {url: memory}",
            "timeouts: {connect_s: 5, answer_s: 5, idle_s: 3}",
            "providers:",
            *(
                f"  {form}: {{dialect: {form}, base_url: '${{SIMULATOR_URL}}{base}', api_key: x}}"
                for form, base in BASES.items()
            ),
            "models:",
            *(
                f"  {name}: {{deployments: [{{provider: {form}, upstream: cheap-{word}-{name}}}], "
                f"{sizes}}}"
                for name, _, form, word in models
            ),
            "tiers:",
            *(
                f"  tier-{name}: {{models: [{name}]}}"
                for name, way, _, _ in models
                if way == "held"
            ),
            "routes:",
            *(
                f"  route-{name}: {{tiers: [tier-{name}], checks: [complete, not_empty]}}"
                for name, way, _, _ in models
                if way == "held"
            ),
            "tenants:",
            "  acme: {keys: [{id: k1, hash: '${HASH}'}]}",
        ]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(configuration(), {}) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def http(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
        yield client


async def asked(
    http: httpx.AsyncClient, way: str, form: str, word: str, **fields: Any
) -> httpx.Response:
    name = model(way, form, word)
    body: JSON = {"model": f"route-{name}" if way == "held" else name, **fields}
    body.setdefault("messages", [{"role": "user", "content": "What is 17*23?"}])
    if way != "whole":
        body |= {"stream": True}
    if way in ("flow", "held"):
        body |= {"stream_options": {"include_usage": True}}
    return await http.post("/v1/chat/completions", json=body)


def lawful(way: str, name: str, response: httpx.Response) -> str:
    """What came: an answer, an error, or a part of an answer and an error."""
    where = f"{way} {name}"
    if response.status_code != 200:
        lawful_error(where, response.content)
        return "error"
    if way == "whole":
        lawful_whole(where, response.content, name)
        return "answer"
    whole = response.content.endswith(b"data: [DONE]\n\n")
    lawful_stream(where, response.content, name, usage=way != "plain", whole=whole)
    return "answer" if whole else "part"


def expected(way: str, word: str) -> str:
    if word in NONE_AT_ALL or word.startswith("error5") or word == "error400":
        return "error"
    if word not in CUT_SHORT or (word == "noend" and way in ("whole", "held")):
        return "answer"
    return "part" if way in ("flow", "plain") else "error"


async def answers(http: httpx.AsyncClient, cases: list[tuple[str, str, str]]) -> None:
    """Ways, formats and behaviours, all at once: each response is lawful, and what was expected."""
    responses = await asyncio.gather(*(asked(http, *case) for case in cases))
    found = {
        case: lawful(case[0], model(*case), response)
        for case, response in zip(cases, responses, strict=True)
    }
    assert found == {(way, form, word): expected(way, word) for way, form, word in cases}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMATS)
async def test_whatever_a_provider_does(http: httpx.AsyncClient, form: str, way: str) -> None:
    await answers(http, [(way, form, word) for word in WORDS if word not in SILENT])


async def test_a_provider_that_falls_silent(http: httpx.AsyncClient) -> None:
    """All at once, for each is a wait: a busy machine must not make a slow answer of it."""
    await answers(http, [(w, f, word) for w in WAYS for f in FORMATS for word in sorted(SILENT)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMATS)
async def test_tool_calls(http: httpx.AsyncClient, form: str, way: str) -> None:
    name = model(way, form, "right")
    choice = {} if form == "ollama" else {"tool_choice": "required"}
    response = await asked(http, way, form, "right", tools=FUNCTIONS, **choice)
    assert lawful(way, name, response) == "answer", response.text
    assert response.content.count(b'"weather"') == 1


@pytest.mark.parametrize("way", WAYS)
async def test_several_answers(http: httpx.AsyncClient, way: str) -> None:
    response = await asked(http, way, "openai", "right", n=3)
    assert lawful(way, model(way, "openai", "right"), response) == "answer", response.text
    if way == "whole":
        assert len(response.json()["choices"]) == 3
        return
    chunks = lawful_stream(way, response.content, model(way, "openai", "right"),
                           usage=way != "plain")  # fmt: skip
    assert [spoken(chunks, index) for index in range(4)] == ["17*23 = 391."] * 3 + [""]


REFUSED: dict[str, tuple[str, JSON, int]] = {
    "no model": ("POST", {"messages": []}, 400),
    "unknown model": ("POST", {"model": "no", "messages": [{"role": "user", "content": "a"}]}, 404),
    "no messages": ("POST", {"model": "whole-openai-right", "messages": []}, 400),
    "wrong method": ("PUT", {}, 405),
}


@pytest.mark.parametrize(("method", "body", "status"), REFUSED.values(), ids=REFUSED)
async def test_refusals(http: httpx.AsyncClient, method: str, body: JSON, status: int) -> None:
    response = await http.request(method, "/v1/chat/completions", json=body)
    assert response.status_code == status
    lawful_error(method, response.content)


async def test_other_refusals(http: httpx.AsyncClient) -> None:
    for path, headers, status in (
        ("/v1/nothing", {}, 404),
        ("/v1/models/nothing", {}, 404),
        ("/v1/models", {"authorization": "Bearer wrong"}, 401),
    ):
        response = await http.get(path, headers=headers)
        assert response.status_code == status, path
        lawful_error(path, response.content)


async def test_models(service: Running, http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/models")).json()
    assert faults("ListModelsResponse", listed) == []
    names = {each["id"] for each in listed["data"]}
    async with service.client() as client:
        assert {each.id async for each in client.models.list()} == names
        one = await client.models.retrieve("held-openai-right")
        with pytest.raises(sdk.NotFoundError):
            await client.models.retrieve("nothing")
    assert faults("Model", (await http.get("/v1/models/held-openai-right")).json()) == []
    assert {one.id, "route-held-openai-right", "tier-held-openai-right"} <= names
