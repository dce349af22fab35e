"""Ollama's chat, by its bytes."""

from typing import Any

import httpx
import pytest

from gateway.simulator import Served

ASK: list[dict[str, Any]] = [{"role": "user", "content": "2+2"}]
BOTH = [{"role": "user", "content": "get_city and get_time"}]
CITY = {"type": "object", "properties": {"name": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {"name": "get_city", "parameters": CITY}},
    {"type": "function", "function": {"name": "get_time"}},
]

STREAM = """\
{"model":"mid-right","created_at":"2026-01-01T00:00:01Z",\
"message":{"role":"assistant","content":"2+2"},"done":false}
{"model":"mid-right","created_at":"2026-01-01T00:00:01Z",\
"message":{"role":"assistant","content":" ="},"done":false}
{"model":"mid-right","created_at":"2026-01-01T00:00:01Z",\
"message":{"role":"assistant","content":" 4."},"done":false}
{"model":"mid-right","created_at":"2026-01-01T00:00:01Z",\
"message":{"role":"assistant","content":""},"done_reason":"stop","done":true,\
"total_duration":1000000,"load_duration":100000,"prompt_eval_count":1,\
"prompt_eval_duration":400000,"eval_count":2,"eval_duration":500000}
"""


async def post(http: httpx.AsyncClient, model: str = "mid-right", **fields: Any) -> httpx.Response:
    asked = {"model": model, "messages": ASK, "stream": False} | fields
    return await http.post("/api/chat", json=asked)


@pytest.mark.parametrize("stream", [True, None], ids=["asked", "unsaid"])
async def test_the_bytes_of_a_stream(http: httpx.AsyncClient, stream: bool | None) -> None:
    got = await post(http, stream=stream)
    assert got.text == STREAM
    assert got.headers["content-type"] == "application/x-ndjson"


async def test_a_whole_answer(http: httpx.AsyncClient) -> None:
    assert (await post(http)).json() == {
        "model": "mid-right",
        "created_at": "2026-01-01T00:00:01Z",
        "message": {"role": "assistant", "content": "2+2 = 4."},
        "done_reason": "stop",
        "done": True,
        "total_duration": 1_000_000,
        "load_duration": 100_000,
        "prompt_eval_count": 1,
        "prompt_eval_duration": 400_000,
        "eval_count": 2,
        "eval_duration": 500_000,
    }


def call(called: str, /, **arguments: Any) -> dict[str, Any]:
    return {"function": {"name": called, "arguments": arguments}}


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("mid-right", [call("get_city", name="name"), call("get_time")]),
        (
            "mid-badtool",
            [
                call("get_city", INVALID_JSON='{"name": "name"'),
                call("get_time", INVALID_JSON="{"),
            ],
        ),
    ],
)
async def test_calls_come_whole_and_finish_with_stop(
    http: httpx.AsyncClient, model: str, calls: list[dict[str, Any]]
) -> None:
    whole = (await post(http, model, messages=BOTH, tools=TOOLS)).json()
    assert whole["message"] == {"role": "assistant", "content": "", "tool_calls": calls}
    assert whole["done_reason"] == "stop"
    stream = (await post(http, model, messages=BOTH, tools=TOOLS, stream=True)).text
    assert [line.count("tool_calls") for line in stream.splitlines()] == [1, 1, 0]


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"options": {"num_predict": 1}}, "2+2 ", "length"),
        ({"options": {"num_predict": -1}}, "2+2 = 4.", "stop"),
        ({"options": {"stop": [" ="]}}, "2+2", "stop"),
        ({"format": "json"}, '{"answer": 4}', "stop"),
        ({"format": ""}, "2+2 = 4.", "stop"),
        ({"format": {"properties": {"result": {"type": "string"}}}}, '{"result": "4"}', "stop"),
    ],
)
async def test_what_is_asked_for(
    http: httpx.AsyncClient, fields: dict[str, Any], text: str, reason: str
) -> None:
    got = (await post(http, **fields)).json()
    assert (got["message"]["content"], got["done_reason"]) == (text, reason)


async def test_after_a_result_comes_text_and_all_text_is_counted(
    sim: Served, http: httpx.AsyncClient
) -> None:
    turns = [
        {"role": "system", "content": "Be kind"},
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": [call("get_city", name="Rome")]},
        {"role": "tool", "content": "sunny", "tool_name": "get_city"},
    ]
    got = (await post(http, messages=turns, tools=TOOLS)).json()
    assert got["message"]["content"] == "2+2 = 4."
    assert sim.bill.calls[0].prompt_tokens == 4  # 7 + 3 + 5 bytes


TEXT_CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model is required"),
    ({"messages": "x"}, "cannot unmarshal string into Go struct field ChatRequest.messages"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "cannot unmarshal array"),
    ({"messages": [{"role": "bot", "content": "x"}]}, "invalid role: bot"),
    ({"messages": [TEXT_CALL]}, "function.arguments of type api.ToolCallFunctionArguments"),
    ({"stream": "no"}, "cannot unmarshal string into Go struct field ChatRequest.stream of type"),
    ({"tools": [{"name": "f"}]}, "cannot unmarshal object into Go struct field ChatRequest.tools"),
    ({"format": "xml"}, 'invalid format: "xml"'),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
async def test_a_refusal_costs_nothing(
    sim: Served, http: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    got = await post(http, **fields)
    assert (got.status_code, message in got.json()["error"]) == (400, True), got.text
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@pytest.mark.parametrize(
    ("behaviour", "status", "message"),
    [
        ("throttle", 429, "too many requests, please try again in 1s"),
        ("error500", 500, "llama runner process has terminated: exit status 2"),
        ("overloaded", 503, "server busy, please try again.  maximum pending requests exceeded"),
    ],
)
async def test_errors(http: httpx.AsyncClient, behaviour: str, status: int, message: str) -> None:
    for stream in (False, True):
        got = await post(http, f"mid-{behaviour}", stream=stream)
        assert (got.status_code, got.json()) == (status, {"error": message})
