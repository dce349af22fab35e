"""The Anthropic format, by its bytes."""

from typing import Any

import httpx
import pytest

from gateway.simulator import Served

ASK: list[dict[str, Any]] = [{"role": "user", "content": "2+2"}]
PATH = "/v1/messages"
CITY = {"type": "object", "properties": {"name": {"type": "string"}}}
TOOLS = [
    {"name": "get_city", "input_schema": CITY},
    {"name": "get_time", "input_schema": {"type": "object"}},
]
USAGE = {
    "input_tokens": 1,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 2,
    "service_tier": "standard",
}

STREAM = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_0000000001","type":"message","role":"assistant",\
"model":"mid-right","content":[],"stop_reason":null,"stop_sequence":null,\
"usage":{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,\
"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},\
"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"2+2"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" ="}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" 4."}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},\
"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

"""

TOOL_STREAM = """\
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use",\
"id":"toolu_0000000001000","name":"get_city","input":{}}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta",\
"partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta",\
"partial_json":"{\\"name\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta",\
"partial_json":" \\"name\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use",\
"id":"toolu_0000000001001","name":"get_time","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta",\
"partial_json":""}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},\
"usage":{"output_tokens":4}}

event: message_stop
data: {"type":"message_stop"}

"""


async def post(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post(
        PATH, json={"model": "mid-right", "messages": ASK, "max_tokens": 50} | fields
    )


async def test_the_bytes_of_a_stream(http: httpx.AsyncClient) -> None:
    got = await post(http, stream=True)
    assert got.text == STREAM
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.headers["request-id"] == "req_0000000001"


async def test_the_bytes_of_streamed_tool_calls(http: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "get_city and get_time"}]
    got = await post(http, messages=messages, tools=TOOLS, stream=True)
    _, begun, rest = got.text.partition("event: content_block_start\n")
    assert begun + rest == TOOL_STREAM


async def test_a_whole_answer(http: httpx.AsyncClient) -> None:
    got = await post(http)
    assert got.json() == {
        "id": "msg_0000000001",
        "type": "message",
        "role": "assistant",
        "model": "mid-right",
        "content": [{"type": "text", "text": "2+2 = 4."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }


async def test_whole_tool_calls(http: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "get_city and get_time"}]
    got = (await post(http, messages=messages, tools=TOOLS)).json()
    assert got["stop_reason"] == "tool_use"
    assert [(block["name"], block["input"]) for block in got["content"]] == [
        ("get_city", {"name": "name"}),
        ("get_time", {}),
    ]
    bad = (await post(http, model="mid-badtool", messages=messages, tools=TOOLS)).json()
    assert [block["input"] for block in bad["content"]] == [
        {"INVALID_JSON": '{"name": "name"'},
        {"INVALID_JSON": "{"},
    ]


@pytest.mark.parametrize(
    ("fields", "text", "reason", "sequence"),
    [
        ({"max_tokens": 1}, "2+2 ", "max_tokens", None),
        ({"stop_sequences": [" ="]}, "2+2", "stop_sequence", " ="),
        ({"model": "mid-cut"}, "2+2 ", "max_tokens", None),
    ],
)
async def test_how_it_stops(
    http: httpx.AsyncClient, fields: dict[str, Any], text: str, reason: str, sequence: str | None
) -> None:
    whole = (await post(http, **fields)).json()
    assert [block["text"] for block in whole["content"]] == [text]
    assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)
    streamed = (await post(http, stream=True, **fields)).text
    assert f'"stop_reason":"{reason}"' in streamed


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "auto"}, ["get_city", "get_time"]),
        ({"type": "any", "disable_parallel_tool_use": True}, ["get_city"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
        ({"type": "none"}, []),
    ],
)
async def test_tool_choice(
    http: httpx.AsyncClient, choice: dict[str, Any], names: list[str]
) -> None:
    messages = [{"role": "user", "content": "get_city and get_time"}]
    got = (await post(http, messages=messages, tools=TOOLS, tool_choice=choice)).json()
    assert [block["name"] for block in got["content"] if block["type"] == "tool_use"] == names


async def test_an_empty_answer_has_no_blocks(http: httpx.AsyncClient) -> None:
    assert (await post(http, model="mid-emptyanswer")).json()["content"] == []
    assert "content_block" not in (await post(http, model="mid-emptyanswer", stream=True)).text


USE = {"type": "tool_use", "id": "t1", "name": "get_city", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Rome"}]}


async def test_after_a_tool_result_comes_text_and_all_text_is_counted(
    sim: Served, http: httpx.AsyncClient
) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "2+2"}]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "3+3"}]},
    ]
    system = [{"type": "text", "text": "Be kind"}]
    got = (await post(http, messages=turns, tools=TOOLS, system=system)).json()
    assert got["content"][0]["text"] == "3+3 = 6."
    assert sim.bill.calls[0].prompt_tokens == 5  # 3 + 4 + 3 + 7 bytes


def turn(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


def said(*content: Any) -> dict[str, Any]:
    roles = ("user", "assistant", "user")
    return {"messages": [{"role": r, "content": c} for r, c in zip(roles, content, strict=False)]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"model": None}, "model: Field required"),
    ({"messages": None}, "messages: Field required"),
    ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    (
        {"metadata": {"user_id": "jo@example.com"}},
        "metadata.user_id: user_id appears to contain an email address.",
    ),
    ({"messages": []}, "messages: at least one message is required"),
    (turn("system", "user"), 'messages: Unexpected role "system"'),
    (turn("tool"), "messages.0.role: Input should be 'user' or 'assistant'"),
    (turn("assistant"), 'messages: first message must use the "user" role'),
    (turn("user", "user"), "messages: roles must alternate"),
    (said(""), "messages.0: all messages must have non-empty content"),
    (
        said("a", [{"type": "thinking", "thinking": "b", "signature": "c"}], "d"),
        "messages.1: The final block in an assistant message cannot be `thinking`.",
    ),
    (said(" "), "messages: text content blocks must contain non-whitespace text"),
    (said([{"type": "text", "text": ""}]), "messages: text content blocks must contain"),
    (said("x", "y "), "messages: final assistant content cannot end with trailing whitespace"),
    (said([{"type": "image_url"}]), "messages.0.content.0: Input tag 'image_url'"),
    (said([USE]), "messages.0.content.0: Input tag 'tool_use'"),
    (said("x", [USE], "y"), "messages.1: `tool_use` ids were found without `tool_result`"),
    (said("x", "y", [RESULT]), "messages.2: unexpected `tool_use_id` found"),
    (said("x", [USE | {"id": "a.b"}]), "messages.1.content.0.tool_use.id: String should match"),
    (said("x", [USE | {"input": "{}"}]), "messages.1.content.0.tool_use.input: Input should be"),
    (
        said("x", [USE], [{"type": "text", "text": "first"}, RESULT]),
        "messages.2: `tool_result` blocks must come first",
    ),
    ({"system": [{"type": "image"}]}, "system.0: Input tag 'image'"),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type"),
    ({"tools": [TOOLS[0] | {"name": "a b"}]}, "tools.0.custom.name: String should match"),
    ({"tool_choice": {"type": "any"}}, "tool_choice may only be specified while"),
    ({"tools": TOOLS, "tool_choice": {"type": "required"}}, "Input tag 'required'"),
    ({"tools": TOOLS, "tool_choice": "auto"}, "tool_choice a valid dictionary"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
async def test_a_refusal_costs_nothing(
    sim: Served, http: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    got = await post(http, **fields)
    assert got.status_code == 400
    error = got.json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert message in error["error"]["message"]
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


async def test_the_version_header_is_required(http: httpx.AsyncClient) -> None:
    del http.headers["anthropic-version"]
    got = await post(http)
    assert (got.status_code, got.json()["error"]["message"]) == (
        400,
        "anthropic-version: header is required",
    )
