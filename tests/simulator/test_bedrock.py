"""Bedrock's Converse, by its bytes."""

from typing import Any

import httpx
import pytest

from gateway.simulator import Served
from gateway.simulator.eventstream import event, exception
from tests.recordings import recordings
from tests.simulator.wires import messages

ASK: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "2+2"}]}]
BOTH = [{"role": "user", "content": [{"text": "get_city and get_time"}]}]
CITY = {"type": "object", "properties": {"name": {"type": "string"}}}
CONFIG = {
    "tools": [
        {"toolSpec": {"name": "get_city", "inputSchema": {"json": CITY}}},
        {"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}},
    ]
}
KIND = "application/json"
EVENTS = [
    ("messageStart", b'{"p":"abcdefgh","role":"assistant"}'),
    ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"2+2"},"p":"abcdefgh"}'),
    ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":" ="},"p":"abcdefgh"}'),
    ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":" 4."},"p":"abcdefgh"}'),
    ("contentBlockStop", b'{"contentBlockIndex":0,"p":"abcdefgh"}'),
    ("messageStop", b'{"p":"abcdefgh","stopReason":"end_turn"}'),
    (
        "metadata",
        (
            b'{"metrics":{"latencyMs":1},"p":"abcdefgh",'
            b'"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}'
        ),
    ),
]
TOOL_EVENTS = [
    (
        "contentBlockStart",
        (
            b'{"contentBlockIndex":0,"p":"abcdefgh","start":{"toolUse":'
            b'{"name":"get_city","toolUseId":"tooluse_0000000001000"}}}'
        ),
    ),
    (
        "contentBlockDelta",
        b'{"contentBlockIndex":0,"delta":{"toolUse":{"input":""}},"p":"abcdefgh"}',
    ),
    (
        "contentBlockDelta",
        b'{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\\"name\\":"}},"p":"abcdefgh"}',
    ),
    (
        "contentBlockDelta",
        b'{"contentBlockIndex":0,"delta":{"toolUse":{"input":" \\"name\\"}"}},"p":"abcdefgh"}',
    ),
    ("contentBlockStop", b'{"contentBlockIndex":0,"p":"abcdefgh"}'),
    (
        "contentBlockStart",
        (
            b'{"contentBlockIndex":1,"p":"abcdefgh","start":{"toolUse":'
            b'{"name":"get_time","toolUseId":"tooluse_0000000001001"}}}'
        ),
    ),
    (
        "contentBlockDelta",
        b'{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}},"p":"abcdefgh"}',
    ),
    ("contentBlockStop", b'{"contentBlockIndex":1,"p":"abcdefgh"}'),
    ("messageStop", b'{"p":"abcdefgh","stopReason":"tool_use"}'),
]


async def post(
    http: httpx.AsyncClient, model: str = "mid-right", *, stream: bool = False, **fields: Any
) -> httpx.Response:
    verb = "converse-stream" if stream else "converse"
    return await http.post(f"/model/{model}/{verb}", json={"messages": ASK} | fields)


def test_one_message_byte_by_byte() -> None:
    assert event("messageStop", b"{}") == (
        b"\x00\x00\x00\x63\x00\x00\x00\x51\xa7\xdc\xb3\x96"
        b"\x0b:event-type\x07\x00\x0bmessageStop"
        b"\x0d:content-type\x07\x00\x10application/json"
        b"\x0d:message-type\x07\x00\x05event"
        b"{}"
        b"\x6c\x40\x1b\xbd"
    )


def test_recorded_messages_written_again_are_the_same_bytes() -> None:
    seen = 0
    for recording in recordings("bedrock"):
        if "eventstream" not in recording.headers.get("content-type", "") or not recording.body:
            continue
        again = b""
        for headers, payload in messages(recording.body):
            write = event if headers[":message-type"] == "event" else exception
            again += write(headers[f":{headers[':message-type']}-type"], payload)
        assert again == recording.body, recording.file
        seen += 1
    assert seen > 20


async def test_the_messages_of_a_stream(http: httpx.AsyncClient) -> None:
    got = await post(http, stream=True)
    assert messages(got.content) == [
        ({":event-type": name, ":content-type": KIND, ":message-type": "event"}, payload)
        for name, payload in EVENTS
    ]
    assert got.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert got.headers["x-amzn-requestid"] == "req_0000000001"


async def test_the_messages_of_streamed_tool_calls(http: httpx.AsyncClient) -> None:
    got = await post(http, messages=BOTH, toolConfig=CONFIG, stream=True)
    told = [(headers[":event-type"], payload) for headers, payload in messages(got.content)]
    assert told[1:-1] == TOOL_EVENTS


async def test_a_whole_answer(http: httpx.AsyncClient) -> None:
    assert (await post(http)).json() == {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"content": [{"text": "2+2 = 4."}], "role": "assistant"}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    }


async def test_a_model_is_one_segment_of_the_path(sim: Served, http: httpx.AsyncClient) -> None:
    arn = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprofile%2Fcheap-right-v1%3A0"
    assert (await post(http, arn)).status_code == 200
    assert sim.bill.calls[0].model == "arn:aws:bedrock:eu-west-1:1:profile/cheap-right-v1:0"


async def test_whole_tool_calls(http: httpx.AsyncClient) -> None:
    inputs = {
        "mid-right": [("get_city", {"name": "name"}), ("get_time", {})],
        "mid-badtool": [
            ("get_city", {"INVALID_JSON": '{"name": "name"'}),
            ("get_time", {"INVALID_JSON": "{"}),
        ],
    }
    for model, expected in inputs.items():
        got = (await post(http, model, messages=BOTH, toolConfig=CONFIG)).json()
        uses = [block["toolUse"] for block in got["output"]["message"]["content"]]
        assert [(use["name"], use["input"]) for use in uses] == expected
        assert got["stopReason"] == "tool_use"


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"inferenceConfig": {"maxTokens": 1}}, "2+2 ", "max_tokens"),
        ({"inferenceConfig": {"stopSequences": [" ="]}}, "2+2", "stop_sequence"),
        (
            {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {
                            "jsonSchema": {
                                "schema": '{"type":"object","properties":{"value":'
                                '{"type":"integer"}}}'
                            }
                        },
                    }
                }
            },
            '{"value": 4}',
            "end_turn",
        ),
    ],
)
async def test_how_it_stops(
    http: httpx.AsyncClient, fields: dict[str, Any], text: str, reason: str
) -> None:
    got = (await post(http, **fields)).json()
    assert got["output"]["message"]["content"] == [{"text": text}]
    assert got["stopReason"] == reason


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"toolConfig": CONFIG | {"toolChoice": {"any": {}}}}, ["get_city", "get_time"]),
        ({"toolConfig": CONFIG | {"toolChoice": {"tool": {"name": "get_time"}}}}, ["get_time"]),
        (
            {
                "toolConfig": CONFIG,
                "additionalModelRequestFields": {
                    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}
                },
            },
            ["get_city"],
        ),
    ],
)
async def test_tool_choice(
    http: httpx.AsyncClient, fields: dict[str, Any], names: list[str]
) -> None:
    got = (await post(http, messages=BOTH, **fields)).json()
    content = got["output"]["message"]["content"]
    assert [block["toolUse"]["name"] for block in content] == names


def said(*turns: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """Turns of user and assistant in turn, of one block or of several."""
    told = [turn if isinstance(turn, list) else [turn] for turn in turns]
    roles = ("user", "assistant") * len(told)
    return {"messages": [{"role": r, "content": c} for r, c in zip(roles, told, strict=False)]}


def result(*content: dict[str, Any], known: str = "t1") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": known, "content": list(content)}}


HELLO = {"text": "x"}
USE = {"toolUse": {"toolUseId": "t1", "name": "get_city", "input": {}}}


@pytest.mark.parametrize(
    ("content", "size"), [({"text": "Rome"}, 4), ({"json": {"city": "Rome", "at": 7}}, 22)]
)
async def test_after_a_result_comes_text_and_all_text_is_counted(
    sim: Served, http: httpx.AsyncClient, content: dict[str, Any], size: int
) -> None:
    fields = said({"text": "2+2"}, USE, [result(content), {"text": "3+3"}])
    system = [{"text": "Be very kind"}]
    got = (await post(http, **fields, toolConfig=CONFIG, system=system)).json()
    assert got["output"]["message"]["content"] == [{"text": "3+3 = 6."}]
    assert sim.bill.calls[0].prompt_tokens == -(-(3 + 3 + 12 + size) // 4)


async def test_a_line_break_may_stand_between_a_document_and_a_cache_point(
    http: httpx.AsyncClient,
) -> None:
    document: dict[str, Any] = {"name": "a", "format": "csv", "source": {"bytes": "QQ=="}}
    blocks: list[dict[str, Any]] = [
        {"text": "2+2"},
        {"document": document},
        {"text": "\n"},
        {"cachePoint": {"type": "default"}},
    ]
    assert (await post(http, **said(blocks))).status_code == 200


def tool(called: str, **schema: Any) -> dict[str, Any]:
    spec = {"name": called, "inputSchema": {"json": schema}}
    return {"toolConfig": {"tools": [{"toolSpec": spec}]}}


STARTS = "A conversation must start with a user message."
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, STARTS),
    ({"messages": []}, STARTS),
    ({"messages": [{"role": "assistant", "content": [HELLO]}]}, STARTS),
    ({"messages": [*ASK, *ASK]}, "must alternate between user and assistant roles"),
    ({"messages": [{"role": "system", "content": [HELLO]}]}, "Value 'system' at 'messages.1."),
    ({"messages": [{"role": "user", "content": "x"}]}, "messages.0 is empty"),
    (said({"text": " "}), "messages.0.content.0 is blank"),
    (said(HELLO | USE), "messages.0.content.0 must set one field"),
    (said(HELLO, {"toolUse": USE["toolUse"] | {"input": "{}"}}), "toolUse.input is invalid"),
    (said(HELLO, USE, HELLO), "Expected toolResult blocks at messages.2.content for the following"),
    (said(HELLO, HELLO, result()), "exceeds the number of toolUse blocks of previous turn"),
    (said(HELLO, USE, result()), "The toolConfig field must be defined"),
    ({"system": [{"text": ""}]}, "system.0 is blank"),
    ({"top_k": 1}, "extraneous key [top_k] is not permitted"),
    ({"inferenceConfig": {"maxTokens": 0}}, "greater than or equal to 1"),
    ({"inferenceConfig": {"temperature": 1.5}}, "less than or equal to 1"),
    ({"inferenceConfig": {"topP": "1"}}, "topP: a number is expected"),
    ({"toolConfig": {"tools": []}}, "'toolConfig.tools' failed to satisfy constraint"),
    (tool("no spaces", type="object"), "Member must satisfy regular expression pattern"),
    (tool("f", type="array"), "inputSchema.json.type must be one of the following: object."),
    (
        {"toolConfig": CONFIG | {"toolChoice": {"tool": {"name": "get_all"}}}},
        "get_all of toolChoice is not in toolConfig.tools",
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
async def test_a_refusal_costs_nothing(
    sim: Served, http: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    got = await post(http, **fields)
    assert got.status_code == 400
    assert got.headers["x-amzn-errortype"].startswith("ValidationException:http")
    assert message in got.json()["message"]
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@pytest.mark.parametrize(
    ("behaviour", "status", "name"),
    [
        ("throttle", 429, "ThrottlingException"),
        ("error500", 500, "InternalServerException"),
        ("overloaded", 503, "ServiceUnavailableException"),
    ],
)
async def test_errors(http: httpx.AsyncClient, behaviour: str, status: int, name: str) -> None:
    for stream in (False, True):
        got = await post(http, f"mid-{behaviour}", stream=stream)
        assert got.status_code == status
        assert got.headers["x-amzn-errortype"].partition(":")[0] == name
        assert got.json().keys() == {"message"}
