"""Traces, as a collector gets them from the whole service: streamed and not."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.semconv.schemas import Schemas

from gateway.drivers.traces.names import CONVENTIONS, REQUEST_FIELDS, SCHEMA_URL
from gateway.simulator import Simulator
from gateway.simulator.answers import Answer, answer_of
from gateway.simulator.simulated_request import SimulatedRequest
from tests.service.collector import Collector, collecting
from tests.service.running import KEY, Running, running
from tests.service.test_logs import CONFIG, PROMPT, SAYS

OTEL = CONFIG.replace("log: {to: '${LOG}', log_content: CONTENT, sample: 0}", "otel: {OTEL}")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Listening(Simulator):
    """`heads` are the traceparents that came, by the format they came in."""

    heads: dict[str, set[str]]

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            known = dict(scope["headers"]).get(b"traceparent", b"").decode()
            self.heads.setdefault(scope["path"].split("/")[1], set()).add(known)
        await super().app(scope, receive, send)


class Told:
    """The service, what it sent while it ran, and the simulated providers."""

    def __init__(self, service: Running, collector: Collector, simulator: Listening) -> None:
        self.service = service
        self.collector = collector
        self.simulator = simulator

    async def ask(
        self, model: str, *, stream: bool = False, trace: str = "", **more: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
        headers = {"authorization": f"Bearer {KEY}"} | ({"traceparent": trace} if trace else {})
        async with httpx.AsyncClient(base_url=self.service.url, timeout=10) as client:
            return await client.post(
                "/v1/chat/completions", json=body | {"stream": stream}, headers=headers
            )


@asynccontextmanager
async def tracing(more: str = "", text: str = OTEL) -> AsyncIterator[Told]:
    """At the end all has been sent."""

    def answer(ask: SimulatedRequest, behaviour: str) -> Answer:
        return Answer(SAYS[ask.model]) if ask.model in SAYS else answer_of(ask, behaviour)

    async with collecting() as collector:
        text = text.replace("otel: {OTEL}", f"otel: {{endpoint: '{collector.url}'{more}}}")
        simulator = Listening(answers=answer)
        simulator.heads = {}
        async with running(text, {}, simulator) as service:
            yield Told(service, collector, simulator)


@both
async def test_a_request_and_its_call(stream: bool) -> None:
    async with tracing() as told:
        got = await told.ask("climb", stream=stream, temperature=0.5, max_tokens=9)
    (server,), (call,) = told.collector.of("SERVER"), told.collector.of("CLIENT")
    assert server.name == "POST /v1/chat/completions"
    assert (server.parent, call.parent, call.trace) == ("", server.id, server.trace)
    assert call.name == "chat cheap-small"
    assert call.ns <= server.ns
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "tollgate.request.id": got.headers["x-request-id"],
        "tollgate.tenant": "acme",
        "tollgate.route": "climb",
        "tollgate.tier": "cheap",
        "tollgate.reason": "passed",
        "tollgate.plan.rungs": 2,
        "gen_ai.request.stream": stream,
    }
    assert expected.items() <= server.attributes.items()
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "one",
        "gen_ai.request.model": "cheap-small",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1",
        "tollgate.purpose": "answer",
    }
    assert expected.items() <= call.attributes.items()
    assert ("gen_ai.response.time_to_first_chunk" in call.attributes) == stream
    assert ("judged", {"tollgate.model": "small", "tollgate.tier": "cheap",
                       "tollgate.checks.failed": []}) in server.events  # fmt: skip


@both
async def test_climbs_votes_and_failures_are_told(stream: bool) -> None:
    async with tracing() as told:
        for model in ("high", "vote", "aside"):
            await told.ask(model, stream=stream)
        await told.ask("nope", stream=stream)
    high, vote, aside, nope = told.collector.of("SERVER")
    (climb,) = [about for name, about in high.events if name == "escalation"]
    assert climb == {"tollgate.from": "cheap", "tollgate.to": "smart", "tollgate.reason": "regex"}
    votes = [name for name, _ in vote.events if name in ("vote", "arbitration")]
    assert votes == ["vote", "vote", "arbitration"]
    assert [name for name, _ in aside.events][-1] == "fallback"
    failed = [span for span in told.collector.of("CLIENT") if span.failed]
    assert {span.attributes["error.type"] for span in failed} == {"faulty"}
    assert nope.attributes["http.response.status_code"] == 404
    assert nope.attributes["error.type"] == "model_not_found"
    assert not nope.failed
    children = {span.parent for span in told.collector.of("CLIENT")}
    assert children == {high.id, vote.id, aside.id}


@both
@pytest.mark.parametrize(
    ("header", "goes_on"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-more", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        ("junk", False),
        ("", False),
    ],
)
async def test_the_clients_trace_goes_on(header: str, goes_on: bool, stream: bool) -> None:
    async with tracing() as told:
        await told.ask("climb", stream=stream, trace=f"00-{TRACE}-{SPAN}-01")
        await told.ask("climb", stream=stream, trace=header)
    _, server = told.collector.of("SERVER")
    assert ((server.trace, server.parent) == (TRACE, SPAN)) == goes_on
    assert goes_on or server.parent == ""


async def test_a_trace_that_is_not_sampled_is_not_sent() -> None:
    async with tracing() as told:
        await told.ask("climb", trace=f"00-{TRACE}-{SPAN}-00")
    assert told.collector.spans == []


async def test_a_sample_of_none() -> None:
    async with tracing(", sample: 0") as told:
        await told.ask("climb")
        await told.ask("climb", trace=f"00-{TRACE}-{SPAN}-01")
    assert [span.trace for span in told.collector.of("SERVER")] == [TRACE]


@both
async def test_a_provider_is_told_only_where_it_says_so(stream: bool) -> None:
    text = OTEL.replace("dialect: anthropic,", "dialect: anthropic, forward_traceparent: true,")
    async with tracing(text=text) as told:
        await told.ask("vote", stream=stream)
    call = next(s for s in told.collector.of("CLIENT") if s.name == "chat cheap-quick")
    assert told.simulator.heads == {
        "openai": {""},
        "anthropic": {f"00-{call.trace}-{call.id}-01"},
    }


@both
async def test_a_provider_is_told_that_a_trace_is_not_sampled(stream: bool) -> None:
    text = OTEL.replace("dialect: anthropic,", "dialect: anthropic, forward_traceparent: true,")
    async with tracing(text=text) as told:
        await told.ask("vote", stream=stream, trace=f"00-{TRACE}-{SPAN}-00")
    (head,) = told.simulator.heads["anthropic"]
    version, trace, span, flags = head.split("-")
    assert (version, trace, flags) == ("00", TRACE, "00")
    assert span not in {SPAN, ""}, "it is a span of ours that asks"


@both
@pytest.mark.parametrize("content", ["false", "true"])
async def test_words_are_sent_only_when_asked_for(content: str, stream: bool) -> None:
    async with tracing(f", content: {content}") as told:
        await told.ask("high", stream=stream, user="canary-user")
    sent = content == "true"
    raw = told.collector.raw
    assert [word.encode() in raw for word in (PROMPT, *SAYS.values())] == [sent] * 4
    assert b"canary-user" not in raw
    if sent:
        (server,) = told.collector.of("SERVER")
        asked = json.loads(server.attributes["gen_ai.input.messages"])
        assert asked == [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
        calls = told.collector.of("CLIENT")
        said = [json.loads(span.attributes["gen_ai.output.messages"])[0] for span in calls]
        texts = [each["parts"][0]["content"] for each in said]
        assert texts == [SAYS["cheap-small"], SAYS["smart-large"]]
        assert calls[0].attributes["gen_ai.response.finish_reasons"] == ["stop"]


async def test_numbers_of_a_request_have_the_types_of_the_conventions() -> None:
    """A backend that took the first `1` for a whole number loses each `0.5` after it."""
    asked: dict[str, Any] = {"temperature": 1, "top_p": 1, "frequency_penalty": 0}
    async with tracing() as told:
        await told.ask("climb", seed=5, **asked)
    attributes = told.collector.of("CLIENT")[0].attributes
    for field, number in asked.items():
        value = attributes[f"gen_ai.request.{field}"]
        assert (value, type(value)) == (number, float), field
    assert type(attributes["gen_ai.request.seed"]) is int


@both
async def test_what_came_of_looking_in_the_cache_is_told(stream: bool) -> None:
    async with tracing() as told:
        for route in ("kept", "kept", "climb"):
            await told.ask(route, stream=stream)
    looked = [server.attributes.get("tollgate.cache") for server in told.collector.of("SERVER")]
    assert looked == ["miss", "hit", None]


ODD: dict[str, dict[str, Any]] = {
    "no list of calls": {"messages": [{"role": "assistant", "tool_calls": 5}]},
    "calls by name": {"messages": [{"role": "assistant", "tool_calls": {"a": 1}}]},
    "a call that is none": {"messages": [{"role": "assistant", "tool_calls": [5]}]},
    "no function": {"messages": [{"role": "assistant", "tool_calls": [{"function": "f"}]}]},
    "parts that are none": {"messages": [{"role": "user", "content": [5, None]}]},
    "beyond 64 bits": {"seed": 2**63, "frequency_penalty": -(2**63) - 1},
}


@both
@pytest.mark.parametrize("odd", ODD)
async def test_whatever_a_client_sends_is_answered_as_without_traces(
    odd: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with tracing(", content: true") as told:
        answer = await told.ask("climb", stream=stream, **ODD[odd])
        assert answer.status_code == (200 if odd == "beyond 64 bits" else 400), answer.text
        metrics = told.service.gateway.metrics.render().decode()
        assert "\ngateway_inflight_requests 0.0\n" in metrics
    assert len(told.collector.of("SERVER")) == 1
    assert [each.name for each in caplog.records if each.levelname == "ERROR"] == []


async def test_headers_the_resource_and_the_schema() -> None:
    headers = "{x-api-key: secret-of-the-collector, authorization: 'Basic bmFtZTpzZWNyZXQ='}"
    more = f", headers: {headers}, service_name: gate"
    async with tracing(more) as told:
        await told.ask("climb")
    assert told.collector.schemas == {SCHEMA_URL}
    assert told.collector.resources[0]["service.name"] == "gate"
    assert "x-api-key: secret-of-the-collector" in told.collector.heads[0].lower()
    assert "authorization: basic bmftztpzzwnyzxq=" in told.collector.heads[0].lower()


async def test_a_collector_that_is_away_is_no_fault_of_a_request() -> None:
    text = OTEL.replace("otel: {OTEL}", "otel: {endpoint: 'http://127.0.0.1:9/v1/traces'}")
    async with tracing(text=text) as told:
        assert (await told.ask("climb")).status_code == 200


def test_names_are_those_of_the_conventions() -> None:
    """As OpenTelemetry's own package for that schema has them."""
    modules = (
        gen_ai_attributes, error_attributes, http_attributes, server_attributes, url_attributes,
    )  # fmt: skip
    known = {value for each in modules for value in vars(each).values() if isinstance(value, str)}
    assert {*CONVENTIONS.values(), *REQUEST_FIELDS.values()} <= known
    assert SCHEMA_URL in {each.value for each in Schemas}


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    script = "import sys, gateway.app; print([m for m in sys.modules if 'otel' in m or m.startswith('opentelemetry.sdk') or m.startswith('opentelemetry.exporter')])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"['gateway.config.otel']"
