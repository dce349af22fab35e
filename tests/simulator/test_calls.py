"""Every behaviour over a real connection, in every format, whole and streamed, with its bill."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from gateway.simulator import BilledCall, Served, Simulator, serve_simulator
from gateway.simulator.behaviours import BEHAVIOURS
from tests.simulator.connect import connect
from tests.simulator.wires import (
    BY_ID,
    FAMILIES,
    WIRES,
    events,
    messages,
    request,
    tells_usage,
    text_of,
)


@dataclass
class Got:
    """What a client saw: `broke` names the httpx error that ended it."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    broke: str | None


async def call(http: httpx.AsyncClient, wire: str, model: str, *, stream: bool, **more: Any) -> Got:
    """One call. Where a silence is to come, one of 100 ms ends it; more, where bytes come first."""
    got = Got(None, {}, b"", None)
    path, fields = request(wire, model, stream=stream, **more)
    read = 0.3 if "stallmid" in model else 0.1 if "stall" in model else 5
    patience = httpx.Timeout(5, read=read)
    try:
        async with http.stream("POST", path, json=fields, timeout=patience) as response:
            got.status, got.headers = response.status_code, dict(response.headers)
            async for chunk in response.aiter_raw():
                got.body += chunk
    except httpx.TransportError as error:
        got.broke = type(error).__name__
    return got


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
ERRORS = {
    "throttle": 429,
    "error400": 400,
    "error500": 500,
    "error502": 502,
    "error503": 503,
    "error504": 504,
    "overloaded": 529,
}
BREAKS = {"stall", "stallmid", "reset", "resetmid", "errormid"}
BUSY = {"openai": 529, "anthropic": 529, "anthropic-vertex": 529}
"""All others say 503."""
LATE = {"bedrock": 408, "bedrock-invoke": 408, "ollama": 500}


def test_the_tables_of_these_tests_know_every_behaviour() -> None:
    assert {*ANSWERS, *ERRORS, *BREAKS, "flaky"} == {one.name for one in BEHAVIOURS}


def told_id(wire: str, got: Got, *, stream: bool) -> str:
    if wire == "ollama":  # it tells none
        return "req_0000000001"
    if FAMILIES[wire] != "gemini":
        return got.headers[BY_ID[wire]]
    said = events(wire, got.body) if stream else [json.loads(got.body)]
    [found] = {each["responseId"] for each in said} or {"req_0000000001"}
    return str(found)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", WIRES)
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
            id=told_id(wire, got, stream=stream),
            format=wire.removesuffix("-array"),
            model=f"cheap-{behaviour}",
            behaviour=behaviour,
            prompt_tokens=4,
            completion_tokens=tokens,
            cost=400 * 1 + 400 * tokens,
            status=200,
            whole=ends or not stream,
        )
    ]


@pytest.mark.parametrize("wire", WIRES)
async def test_usage_is_told_by_all_but_nousage(http: httpx.AsyncClient, wire: str) -> None:
    for behaviour in ANSWERS:
        told = behaviour != "nousage"
        got = await call(http, wire, f"cheap-{behaviour}", stream=False)
        assert tells_usage(wire, got.body) is told, behaviour
        got = await call(http, wire, f"cheap-{behaviour}", stream=True)
        if behaviour != "noend" or FAMILIES[wire] in ("anthropic", "gemini"):  # others' comes last
            assert tells_usage(wire, got.body) is told, behaviour


ODD: Final[Mapping[str, dict[str, Any]]] = {
    # fields of a type that they cannot have
    "anthropic": {"output_config": {"format": 5}},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": 1.5}, {"text": "a"}]}]},
    "bedrock": {"inferenceConfig": {"maxTokens": 1.5}},
    "ollama": {"format": {"type": "array", "items": "x", "minItems": "y"}},
}


@pytest.mark.parametrize("wire", ODD)
async def test_what_no_check_foresaw_is_refused_in_the_providers_words(
    sim: Served, http: httpx.AsyncClient, wire: str
) -> None:
    path, fields = request(wire, "cheap-right", stream=False)
    got = await http.post(path, json=fields | ODD[wire])
    assert got.status_code == 400
    assert "of a type that it cannot have" in got.text
    assert (await http.get("/bill")).json()["calls"] == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("behaviour", ERRORS)
async def test_an_error_costs_nothing(
    sim: Served, http: httpx.AsyncClient, wire: str, behaviour: str, stream: bool
) -> None:
    got = await call(http, wire, f"cheap-{behaviour}", stream=stream)
    told = {"overloaded": BUSY.get(wire, 503), "error504": LATE.get(wire, 504)}
    assert got.status == told.get(behaviour, ERRORS[behaviour])
    if behaviour == "error502":
        assert got.headers["content-type"] == "text/html"
        assert got.body.startswith(b"<html>")
    else:
        assert text_of(wire, got.body, stream=False) == ""
        assert got.headers["content-type"].startswith("application/json")
    throttled = behaviour == "throttle"
    in_s = "1" if throttled and wire in ("openai", "anthropic", "azure") else None
    assert got.headers.get("retry-after") == in_s
    in_ms = "1000" if throttled and wire in ("openai", "azure") else None
    assert got.headers.get("retry-after-ms") == in_ms
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@dataclass
class Break:
    """How a call ends for its client, and the answer tokens that are billed (None: no bill)."""

    behaviour: str
    stream: bool
    error: str | None
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
    Break("errormid", stream=True, error=None, status=200, text="17*23 =", tokens=2),
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.behaviour}-{case.stream}")
async def test_a_break_and_its_bill(
    sim: Served, http: httpx.AsyncClient, wire: str, case: Break
) -> None:
    got = await call(http, wire, f"mid-{case.behaviour}", stream=case.stream)
    await sim.idle()
    assert (got.broke, got.status) == (case.error, case.status)
    if case.stream:
        assert text_of(wire, got.body, stream=True) == case.text
        for end in (b"[DONE]", b"message_stop", b"STOP", b"messageStop", b'"done":true'):
            assert end not in got.body
    elif case.status == 200:
        assert 0 < len(got.body) < int(got.headers["content-length"])
    if case.tokens is None:
        assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)
        return
    [billed] = sim.bill.calls
    assert (billed.prompt_tokens, billed.completion_tokens) == (4, case.tokens)
    assert billed.cost == 4_000 + 4_000 * case.tokens
    assert (billed.status, billed.whole, sim.bill.unbilled) == (case.status, False, 0)


async def test_an_error_in_the_middle_is_its_last_event(http: httpx.AsyncClient) -> None:
    ends = {wire: (await call(http, wire, "mid-errormid", stream=True)).body for wire in WIRES}
    assert events("openai", ends["openai"])[-1] == {
        "error": {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
    assert ends["anthropic"].endswith(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
        b'"message":"Overloaded"},"request_id":"req_0000000002"}\n\n'
    )
    assert ends["gemini"].endswith(
        b'data: {"error":{"code":503,"message":"The model is overloaded. Please try again later.",'
        b'"status":"UNAVAILABLE"}}\r\n\r\n'
    )
    headers, payload = messages(ends["bedrock"])[-1]
    assert headers == {
        ":exception-type": "modelStreamErrorException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(payload)["originalStatusCode"] == 529
    assert ends["ollama"].endswith(
        b'{"error":"an error was encountered while running the model: unexpected EOF"}\n'
    )


@pytest.mark.parametrize("wire", WIRES)
async def test_without_a_stream_there_is_no_middle(
    sim: Served, http: httpx.AsyncClient, wire: str
) -> None:
    got = await call(http, wire, "mid-errormid", stream=False)
    assert got.status == BUSY.get(wire, 503)
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


async def test_a_reset_is_a_reset(sim: Served) -> None:
    """Not an end of the connection, which a client could take for the end of an answer."""
    host, port = sim.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path, fields = request("openai", "cheap-reset", stream=False)
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("wire", WIRES)
async def test_flaky_fails_once_for_each_prompt(
    sim: Served, http: httpx.AsyncClient, wire: str
) -> None:
    other = {"question": "What is 2+2?"}
    again: tuple[dict[str, Any], ...] = ({}, {}, other, other, {})
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
        path, fields = request("openai", "cheap-slow", stream=True)
        with pytest.raises(httpx.ReadTimeout):
            await http.post(path, json=fields, timeout=0.1)
        await sim.idle()
        billed = [(one.cost, one.status, one.whole) for one in sim.bill.calls]
        assert billed == [(400, None, False)]


async def test_who_leaves_a_stream_pays_what_was_sent() -> None:
    """The stream pauses for long after its first piece: nothing else can have been sent."""
    async with serve_simulator(Simulator(pause_s=60)) as sim:
        for wire in WIRES:
            async with connect(sim.base_url) as http:
                path, fields = request(wire, "cheap-right", stream=True)
                async with http.stream("POST", path, json=fields) as response:
                    await anext(response.aiter_raw())
            await sim.idle()
            billed = [(one.completion_tokens, one.status, one.whole) for one in sim.bill.calls]
            opens = FAMILIES[wire] in ("openai", "anthropic", "bedrock")  # with an event of no text
            assert billed == [(0 if opens else 2, 200, False)], wire
            sim.bill.clear()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("behaviour", "arguments"), [("right", '{"city": "city"}'), ("badtool", '{"city": "city"')]
)
async def test_tool_calls_and_their_bill(
    sim: Served, http: httpx.AsyncClient, behaviour: str, arguments: str, stream: bool
) -> None:
    for wire in WIRES:
        got = await call(http, wire, f"cheap-{behaviour}", stream=stream, tool=True)
        assert got.status == 200, got.body
        said = events(wire, got.body) if stream else [json.loads(got.body)]
        assert "weather" in json.dumps(said)
    tokens = -(-len(arguments) // 4)
    assert [one.completion_tokens for one in sim.bill.calls] == [tokens] * len(WIRES)


async def test_the_end_of_the_simulator_completes_the_bill() -> None:
    async with connect("") as http, AsyncExitStack() as open_stream:
        async with serve_simulator() as sim:
            path, fields = request("openai", "cheap-stallmid", stream=True)
            url = sim.base_url + path
            response = await open_stream.enter_async_context(http.stream("POST", url, json=fields))
            chunks = response.aiter_raw()
            got = b""
            while b'" ="' not in got:
                got += await anext(chunks)
            assert sim.bill.calls == []
        assert [(one.completion_tokens, one.whole) for one in sim.bill.calls] == [(2, False)]
