"""Every behaviour over a real connection, in both formats, whole and streamed, with its bill."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.simulator import BilledCall, Served, Simulator, serve_simulator
from gateway.simulator.behaviours import BEHAVIOURS
from tests.simulator.connect import connect

PATHS = {"openai": "/openai/v1/chat/completions", "anthropic": "/anthropic/v1/messages"}
QUESTION = "What is 17*23?"  # 14 bytes: 4 tokens
TOOL: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = {
    "openai": [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}],
    "anthropic": [{"name": "weather", "input_schema": TOOL}],
}


@dataclass
class Got:
    """What a client saw: `broke` names the httpx error that ended it."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    broke: str | None


def request(wire: str, model: str, *, stream: bool, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": QUESTION}]
    fields = {"model": model, "messages": messages, "max_tokens": 100, "stream": stream}
    return fields | more


async def call(http: httpx.AsyncClient, wire: str, model: str, *, stream: bool, **more: Any) -> Got:
    """One call; a silence of 100 ms ends it."""
    got = Got(None, {}, b"", None)
    fields = request(wire, model, stream=stream, **more)
    patience = httpx.Timeout(5, read=0.1 if "stall" in model else 5)
    try:
        async with http.stream("POST", PATHS[wire], json=fields, timeout=patience) as response:
            got.status, got.headers = response.status_code, dict(response.headers)
            async for chunk in response.aiter_raw():
                got.body += chunk
    except httpx.TransportError as error:
        got.broke = type(error).__name__
    return got


def text_of(wire: str, body: bytes, *, stream: bool) -> str:
    if not stream:
        answer = json.loads(body)
        if wire == "openai":
            return str(answer["choices"][0]["message"]["content"])
        return "".join(block["text"] for block in answer["content"])
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    texts = []
    for event in map(json.loads, events):
        if wire == "openai":
            texts += [choice["delta"].get("content") or "" for choice in event["choices"]]
        else:
            texts.append(event.get("delta", {}).get("text", ""))
    return "".join(texts)


def tells_usage(body: bytes) -> bool:
    return b'"prompt_tokens"' in body or b'"output_tokens"' in body


# behaviour: the text that comes, its tokens, whether everything comes
ANSWERS = {
    "right": ("17*23 = 391.", 3, True),
    "unsure": ("17*23 = 392.\nCONFIDENCE: LOW", 7, True),
    "refuse": ("I'm sorry, but I can't help with that.", 10, True),
    "brokenjson": ('{"answe', 2, True),
    "cut": ("17*2", 1, True),
    "noend": ("17*23 = 391.", 3, False),
    "slow": ("17*23 = 391.", 3, True),
    "nousage": ("17*23 = 391.", 3, True),
    "emptyanswer": ("", 0, True),
    "badtool": ("17*23 = 391.", 3, True),
}
ERRORS = {"throttle": 429, "error500": 500, "overloaded": 529}
BREAKS = {"stall", "stallmid", "reset", "resetmid"}


def test_the_tables_of_these_tests_know_every_behaviour() -> None:
    assert {*ANSWERS, *ERRORS, *BREAKS, "flaky"} == {one.name for one in BEHAVIOURS}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", PATHS)
@pytest.mark.parametrize("behaviour", ANSWERS)
async def test_an_answer_and_its_bill(
    sim: Served, http: httpx.AsyncClient, wire: str, behaviour: str, stream: bool
) -> None:
    text, tokens, ends = ANSWERS[behaviour]
    got = await call(http, wire, f"cheap-{behaviour}", stream=stream)
    assert (got.status, got.broke) == (200, None)
    assert text_of(wire, got.body, stream=stream) == text
    assert sim.bill.calls == [
        BilledCall(
            id=got.headers["x-request-id" if wire == "openai" else "request-id"],
            format=wire,
            model=f"cheap-{behaviour}",
            behaviour=behaviour,
            prompt_tokens=4,
            completion_tokens=tokens,
            cost=400 * 1 + 400 * tokens,
            status=200,
            whole=ends or not stream,
        )
    ]


@pytest.mark.parametrize("wire", PATHS)
async def test_usage_is_told_by_all_but_nousage(http: httpx.AsyncClient, wire: str) -> None:
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}} if wire == "openai" else {}
    for behaviour in ANSWERS:
        told = behaviour != "nousage"
        got = await call(http, wire, f"cheap-{behaviour}", stream=False)
        assert tells_usage(got.body) is told, behaviour
        got = await call(http, wire, f"cheap-{behaviour}", stream=True, **asked)
        if (wire, behaviour) != ("openai", "noend"):  # its usage comes last
            assert tells_usage(got.body) is told, behaviour


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", PATHS)
@pytest.mark.parametrize("behaviour", ERRORS)
async def test_an_error_costs_nothing(
    sim: Served, http: httpx.AsyncClient, wire: str, behaviour: str, stream: bool
) -> None:
    got = await call(http, wire, f"cheap-{behaviour}", stream=stream)
    assert (got.status, got.headers["content-type"]) == (ERRORS[behaviour], "application/json")
    error = json.loads(got.body)
    kinds = {
        ("openai", 429): "requests",
        ("openai", 500): "server_error",
        ("openai", 529): "server_error",
        ("anthropic", 429): "rate_limit_error",
        ("anthropic", 500): "api_error",
        ("anthropic", 529): "overloaded_error",
    }
    assert error["error"]["type"] == kinds[wire, ERRORS[behaviour]]
    if wire == "anthropic":
        assert (error["type"], error["request_id"]) == ("error", got.headers["request-id"])
    throttled = behaviour == "throttle"
    assert got.headers.get("retry-after") == ("1" if throttled else None)
    in_ms = "1000" if throttled and wire == "openai" else None
    assert got.headers.get("retry-after-ms") == in_ms
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@dataclass
class Break:
    """How a call ends for its client, and the answer tokens that are billed (None: no bill)."""

    behaviour: str
    stream: bool
    error: str
    status: int | None = None
    text: str = ""
    tokens: int | None = None


BROKEN = [
    Break("stall", stream=False, error="ReadTimeout", tokens=0),
    Break("stall", stream=True, error="ReadTimeout", tokens=0),
    Break("stallmid", stream=False, error="ReadTimeout", status=200, tokens=0),
    Break("stallmid", stream=True, error="ReadTimeout", status=200, text="17*23 =", tokens=2),
    Break("reset", stream=False, error="ReadError"),
    Break("reset", stream=True, error="ReadError"),
    Break("resetmid", stream=False, error="ReadError"),
    Break("resetmid", stream=True, error="ReadError", status=200, text="17*23 =", tokens=2),
]


@pytest.mark.parametrize("wire", PATHS)
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.behaviour}-{case.stream}")
async def test_a_break_and_its_bill(
    sim: Served, http: httpx.AsyncClient, wire: str, case: Break
) -> None:
    got = await call(http, wire, f"mid-{case.behaviour}", stream=case.stream)
    await sim.idle()
    assert (got.broke, got.status) == (case.error, case.status)
    if case.stream:
        assert text_of(wire, got.body, stream=True) == case.text
        assert b"[DONE]" not in got.body
        assert b"message_stop" not in got.body
    elif case.status == 200:
        assert 0 < len(got.body) < int(got.headers["content-length"])
    if case.tokens is None:
        assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)
        return
    [billed] = sim.bill.calls
    assert (billed.prompt_tokens, billed.completion_tokens) == (4, case.tokens)
    assert billed.cost == 4_000 + 4_000 * case.tokens
    assert (billed.status, billed.whole, sim.bill.unbilled) == (case.status, False, 0)


async def test_a_reset_is_a_reset(sim: Served) -> None:
    """Not an end of the connection, which a client could take for the end of an answer."""
    host, port = sim.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(request("openai", "cheap-reset", stream=False)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("wire", PATHS)
async def test_flaky_fails_once_for_each_prompt(
    sim: Served, http: httpx.AsyncClient, wire: str
) -> None:
    other = [{"role": "user", "content": "What is 2+2?"}]
    again: tuple[dict[str, Any], ...] = ({}, {}, {"messages": other}, {"messages": other}, {})
    statuses = [
        (await call(http, wire, "cheap-flaky", stream=False, **more)).status for more in again
    ]
    assert statuses == [500, 200, 500, 200, 200]
    assert (len(sim.bill.calls), sim.bill.unbilled) == (3, 2)


async def test_slow_waits_before_its_first_byte(http: httpx.AsyncClient) -> None:
    begun = asyncio.get_running_loop().time()
    for stream in (False, True):
        assert (await call(http, "openai", "cheap-slow", stream=stream)).status == 200
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_who_leaves_a_slow_answer_pays_the_prompt() -> None:
    async with (
        serve_simulator(Simulator(slow_s=60)) as sim,
        connect(sim.base_url) as http,
    ):
        fields = request("openai", "cheap-slow", stream=True)
        with pytest.raises(httpx.ReadTimeout):
            await http.post(PATHS["openai"], json=fields, timeout=0.1)
        await sim.idle()
        billed = [(one.cost, one.status, one.whole) for one in sim.bill.calls]
        assert billed == [(400, None, False)]


async def test_who_leaves_a_stream_pays_what_was_sent() -> None:
    """The stream pauses for long after its first piece: nothing else can have been sent."""
    async with serve_simulator(Simulator(pause_s=60)) as sim:
        for wire, path in PATHS.items():
            async with connect(sim.base_url) as http:
                fields = request(wire, "cheap-right", stream=True)
                async with http.stream("POST", path, json=fields) as response:
                    await anext(response.aiter_raw())
            await sim.idle()
            billed = [(one.completion_tokens, one.status, one.whole) for one in sim.bill.calls]
            assert billed == [(0, 200, False)], wire
            sim.bill.clear()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("behaviour", "arguments"), [("right", '{"city": "city"}'), ("badtool", '{"city": "city"')]
)
async def test_tool_calls_and_their_bill(
    sim: Served, http: httpx.AsyncClient, behaviour: str, arguments: str, stream: bool
) -> None:
    for wire in PATHS:
        model = f"cheap-{behaviour}"
        got = await call(http, wire, model, stream=stream, tools=TOOLS[wire])
        assert got.status == 200, got.body
        assert b"weather" in got.body
    tokens = -(-len(arguments) // 4)
    assert [one.completion_tokens for one in sim.bill.calls] == [tokens, tokens]


async def test_the_end_of_the_simulator_completes_the_bill() -> None:
    async with connect("") as http, AsyncExitStack() as open_stream:
        async with serve_simulator() as sim:
            fields = request("openai", "cheap-stallmid", stream=True)
            url = sim.base_url + PATHS["openai"]
            response = await open_stream.enter_async_context(http.stream("POST", url, json=fields))
            chunks = response.aiter_raw()
            got = b""
            while b'" ="' not in got:
                got += await anext(chunks)
            assert sim.bill.calls == []
        assert [(one.completion_tokens, one.whole) for one in sim.bill.calls] == [(2, False)]
