"""The OpenAI format, by its bytes, and by the official SDK in strict mode."""

from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.simulator import Served
from gateway.simulator.behaviours import BEHAVIOURS, FAILURES

ASK: list[dict[str, Any]] = [{"role": "user", "content": "2+2"}]
PATH = "/v1/chat/completions"


def tool(called: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": called, "parameters": schema}}


TOOLS = [tool("get_city", name={"type": "string"}), tool("get_time")]

STREAM = (
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","system_fingerprint":"fp_simulated",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","system_fingerprint":"fp_simulated",'
    b'"choices":[{"index":0,"delta":{"content":"2+2"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","system_fingerprint":"fp_simulated",'
    b'"choices":[{"index":0,"delta":{"content":" ="},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","system_fingerprint":"fp_simulated",'
    b'"choices":[{"index":0,"delta":{"content":" 4."},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","system_fingerprint":"fp_simulated",'
    b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-0000000001","object":"chat.completion.chunk","created":1767225601,'
    b'"model":"mid-right","service_tier":"default","choices":[],"usage":{"prompt_tokens":1,'
    b'"completion_tokens":2,"total_tokens":3,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}\n\n'
    b"data: [DONE]\n\n"
)


async def test_the_bytes_of_a_stream(http: httpx.AsyncClient) -> None:
    fields = {"model": "mid-right", "messages": ASK, "stream": True}
    got = await http.post(PATH, json=fields | {"stream_options": {"include_usage": True}})
    assert got.content == STREAM
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (got.headers["x-request-id"], got.headers["openai-version"]) == (
        "req_0000000001",
        "2020-10-01",
    )
    without = await http.post(PATH, json=fields)
    assert b'"usage"' not in without.content, "usage comes only when asked for"


async def create(sdk: openai.AsyncOpenAI, model: str, **fields: Any) -> ChatCompletion:
    asked: dict[str, Any] = {"model": model, "messages": ASK, **fields}
    answer = await sdk.chat.completions.create(**asked)
    assert isinstance(answer, ChatCompletion)
    return answer


async def stream(sdk: openai.AsyncOpenAI, model: str, **fields: Any) -> list[ChatCompletionChunk]:
    asked: dict[str, Any] = {"model": model, "messages": ASK, "stream": True, **fields}
    return [chunk async for chunk in await sdk.chat.completions.create(**asked)]


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS}], ids=["text", "tools"])
async def test_the_strict_sdk_takes_every_whole_answer(
    sdk: openai.AsyncOpenAI, more: dict[str, Any]
) -> None:
    broken = {*FAILURES, "flaky"} | {"stall", "stallmid", "reset", "resetmid", "errormid"}
    for behaviour in (one.name for one in BEHAVIOURS if one.name not in broken):
        answer = await create(sdk, f"cheap-{behaviour}", **more)
        assert answer.model == f"cheap-{behaviour}"
        chunks = await stream(sdk, f"cheap-{behaviour}", **more)
        said = "".join(c.choices[0].delta.content or "" for c in chunks)
        assert said == (answer.choices[0].message.content or ""), behaviour
        ended = chunks[-1].choices[0].finish_reason
        assert ended == (None if behaviour == "noend" else answer.choices[0].finish_reason)


async def test_what_the_sdk_raises(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        await stream(sdk, "cheap-errormid")
    for behaviour, error in (
        ("throttle", openai.RateLimitError),
        ("error500", openai.InternalServerError),
        ("overloaded", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ):
        with pytest.raises(error):
            await create(sdk, f"cheap-{behaviour}")
        with pytest.raises(error):
            await stream(sdk, f"cheap-{behaviour}")


async def test_parallel_tool_calls_stream_by_index(sdk: openai.AsyncOpenAI) -> None:
    messages = [{"role": "user", "content": "get_city and get_time"}]
    chunks = await stream(sdk, "cheap-right", messages=messages, tools=TOOLS)
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            if call.id:
                calls[call.index] = [call.id, call.function.name or "", ""]
            calls[call.index][2] += call.function.arguments or ""
    assert calls == {
        0: ["call_0000000001000000", "get_city", '{"name": "name"}'],
        1: ["call_0000000001000001", "get_time", "{}"],
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_after_a_tool_result_comes_text(sdk: openai.AsyncOpenAI) -> None:
    first = await create(sdk, "cheap-right", tools=TOOLS)
    message = first.choices[0].message.model_dump(exclude_none=True, exclude={"annotations"})
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Rome"}
    second = await create(sdk, "cheap-right", tools=TOOLS, messages=[*ASK, message, result])
    assert (second.choices[0].message.content, second.choices[0].finish_reason) == (
        "2+2 = 4.",
        "stop",
    )
    assert second.usage is not None
    assert second.usage.prompt_tokens == 2  # "2+2" and "Rome": 7 bytes


async def test_tool_choice(sdk: openai.AsyncOpenAI) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    got = {}
    for kind, choice in (("none", "none"), ("required", "required"), ("named", named)):
        answer = await create(sdk, "cheap-right", tools=TOOLS, tool_choice=choice)
        calls: list[Any] = list(answer.choices[0].message.tool_calls or ())
        got[kind] = ([call.function.name for call in calls], answer.choices[0].finish_reason)
    assert got == {
        "none": ([], "stop"),
        "required": (["get_city"], "tool_calls"),
        "named": (["get_time"], "stop"),
    }


async def test_n_choices_are_billed_together(sim: Served, sdk: openai.AsyncOpenAI) -> None:
    answer = await create(sdk, "cheap-right", n=3)  # 3 times 8 bytes
    chunks = await stream(sdk, "cheap-right", n=3, stream_options={"include_usage": True})
    assert [choice.message.content for choice in answer.choices] == ["2+2 = 4."] * 3
    said = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == ["2+2 = 4."] * 3
    assert chunks[-1].usage == answer.usage
    assert [call.completion_tokens for call in sim.bill.calls] == [6, 6]


async def test_limits_and_stops(sdk: openai.AsyncOpenAI) -> None:
    for fields, content, finish in (
        ({"max_tokens": 1}, "2+2 ", "length"),
        ({"max_completion_tokens": 1}, "2+2 ", "length"),
        ({"max_tokens": 2}, "2+2 = 4.", "stop"),
        ({"stop": [" ="]}, "2+2", "stop"),
        ({"stop": "4"}, "2+2 = ", "stop"),
    ):
        answer = (await create(sdk, "cheap-right", **fields)).choices[0]
        assert (answer.message.content, answer.finish_reason) == (content, finish), fields


async def test_what_is_counted(sim: Served, sdk: openai.AsyncOpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "2+2"}, image]
    messages = [{"role": "system", "content": "\u20acab"}, {"role": "user", "content": parts}]
    await create(sdk, "cheap-right", messages=messages, tools=TOOLS, tool_choice="none")
    assert sim.bill.calls[0].prompt_tokens == 2  # 5 and 3 bytes; no image, no tools


async def test_the_models_are_listed(sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in sdk.models.list()]
    assert len(listed) == 3 * len(BEHAVIOURS)
    assert {"cheap-right", "smart-flaky"} <= set(listed)


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"model": None}, None, "you must provide a model parameter"),
    ({"messages": None}, "messages", "Missing required parameter: 'messages'."),
    ({"messages": []}, "messages", "empty array"),
    ({"messages": "x"}, "messages", "expected an array of objects, but got a string"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing required"),
    ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role", "Supported values"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "got null"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "Missing"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "Missing"),
    (
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "c1"}]},
        "messages.[0].role",
        "must be a response to a preceeding message",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [CALL]}, *ASK]},
        "messages",
        "did not have response messages: c1",
    ),
    (
        {"messages": [*ASK, {"role": "assistant", "tool_calls": "x"}]},
        "messages[1].tool_calls",
        "expected an array of objects, but got a string",
    ),
    (
        {"messages": [*ASK, {"role": "assistant", "tool_calls": [1]}]},
        "messages[1].tool_calls[0]",
        "expected an object",
    ),
    (
        {"messages": [*ASK, {"role": "assistant", "tool_calls": [{"id": None}]}]},
        "messages[1].tool_calls[0].id",
        "Missing",
    ),
    ({"stream": "yes"}, "stream", "expected a boolean, but got a string"),
    ({"n": True}, "n", "expected an integer, but got a boolean"),
    ({"n": 0}, "n", "Expected a value >= 1, but got 0"),
    ({"max_tokens": 0}, "max_tokens", "Expected a value >= 1"),
    ({"temperature": 3}, "temperature", "Expected a value <= 2"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, None, "at the same time"),
    ({"stream_options": {}}, "stream_options", "only allowed when 'stream' is enabled"),
    ({"tools": []}, "tools", "empty array"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing"),
    ({"tools": [tool("no spaces")]}, "tools[0].function.name", "does not match pattern"),
    ({"tool_choice": "auto"}, "tool_choice", "only allowed when 'tools' are specified"),
    ({"response_format": {"type": "json_object"}}, "messages", "must contain the word 'json'"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "Supported values"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        "response_format.json_schema.schema",
        "Missing",
    ),
]


@pytest.mark.parametrize(("fields", "param", "message"), REFUSED, ids=str)
async def test_a_refusal_costs_nothing(
    sim: Served, http: httpx.AsyncClient, fields: dict[str, Any], param: str | None, message: str
) -> None:
    got = await http.post(PATH, json={"model": "cheap-right", "messages": ASK} | fields)
    assert got.status_code == 400
    error = got.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": "\\ud800"}'])
async def test_a_body_that_is_no_object(http: httpx.AsyncClient, body: bytes) -> None:
    got = await http.post(PATH, content=body)
    assert got.status_code == 400
    assert "could not parse the JSON body" in got.json()["error"]["message"]


@pytest.mark.parametrize(
    ("host", "told", "nanos"),
    [
        ("openrouter", {"cost": 0.000009, "is_byok": False}, 9_000),
        ("perplexity", {"cost": {"request_cost": 0.005, "total_cost": 0.005009}}, 5_009_000),
        ("xai", {"cost_in_usd_ticks": 90_000}, 9_000),
        ("groq", {}, 9_000),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_some_hosts_tell_what_a_call_costs(
    sim: Served, http: httpx.AsyncClient, host: str, told: Any, nanos: int, stream: bool
) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    got = await http.post(f"/{host}{PATH}", json={"model": "mid-right", "messages": ASK, **options})
    last = got.text.split("data: ")[-2] if stream else got.text
    usage = msgspec.json.decode(last)["usage"]
    known = {"prompt_tokens", "completion_tokens", "total_tokens"}
    known |= {"prompt_tokens_details", "completion_tokens_details"}
    assert {name: value for name, value in usage.items() if name not in known} == told
    assert [call.cost for call in sim.bill.calls] == [nanos]
