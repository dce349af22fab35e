"""Whole answers and failures: bytes in, values or errors out."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.core.billing import Tally, billed
from gateway.core.chat import Completion, ToolCall, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    TimedOut,
    Unsuitable,
    UpstreamError,
)
from gateway.core.usage import NOT_BILLED
from gateway.wire import anthropic
from tests.wire import anthropic_streams
from tests.wire.anthropic_streams import PROPERTY, TARGET, WORDS, sse, start, text
from tests.wire.chats import chat

JSON = dict[str, Any]


def decode(content: list[JSON], stop_reason: str | None = "end_turn", **more: Any) -> Completion:
    message = {"type": "message", "id": "msg_1", "content": content, "stop_reason": stop_reason}
    return anthropic.decode(200, {}, json.dumps(message | more).encode(), TARGET)


def test_texts_are_joined_and_tools_kept_in_order() -> None:
    found = decode(
        [
            {"type": "text", "text": "Let "},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            {"type": "text", "text": "me."},
            {"type": "tool_use", "id": "b", "name": "g", "input": {"x": [1, {"y": " z "}]}},
        ],
        "tool_use",
    )
    assert found.id == "msg_1"
    assert found.raw is UNSET
    assert found.first.text == "Let me."
    assert found.first.finish == "tool_calls"
    assert found.first.tool_calls == (
        ToolCall("a", "f", "{}"),
        ToolCall("b", "g", '{"x":[1,{"y":" z "}]}'),
    )


def test_numbers_in_arguments_stay_as_they_were_written() -> None:
    body = (
        b'{"content": [{"type": "tool_use", "id": "a", "name": "f",'
        b' "input": {"a": 1.0, "b": 0.10000000000000000001}}]}'
    )
    found = anthropic.decode(200, {}, body, TARGET)
    assert found.first.tool_calls[0].arguments == '{"a":1.0,"b":0.10000000000000000001}'


def test_thoughts_keep_their_signatures() -> None:
    blocks: list[JSON] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thinking", "thinking": "", "signature": "YWxvbmU="},
        {"type": "redacted_thinking", "data": "Y2lwaGVy"},
    ]
    found = decode([*blocks, {"type": "text", "text": "4"}]).first
    assert found.reasoning == "Hm."
    assert json.loads(bytes(found.extra["thinking_blocks"])) == blocks
    assert found.text == "4"


@pytest.mark.parametrize(
    ("content", "details", "is_billed"),
    [
        ([], {"category": "cyber", "explanation": "No."}, False),
        ([], {"category": "general_harms"}, False),
        ([], {"category": None}, False),
        ([], {"category": ["odd"]}, True),
        ([], None, False),
        ([], {"category": "bio", "explanation": "No."}, True),
        ([], {"category": "frontier_llm"}, True),
        ([], {"category": "reasoning_extraction"}, True),
        ([{"type": "text", "text": "Well"}], {"category": "cyber"}, True),
    ],
)
def test_a_refusal_before_any_output_is_not_billed(
    content: list[JSON], details: Any, is_billed: bool
) -> None:
    counts = {"input_tokens": 106, "output_tokens": 1}
    answer = decode(content, "refusal", stop_details=details, usage=counts)
    assert answer.usage == (Usage(106, 1) if is_billed else NOT_BILLED)
    assert billed(answer, chat()) == (answer.usage, False)
    ending = {"stop_reason": "refusal", "stop_details": details}
    deltas = anthropic_streams.read([
        sse(
            start(**counts),
            *(text(0, "Well") if content else []),
            {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        )
    ])  # fmt: skip
    tally = Tally()
    tally.add(deltas)
    assert tally.billed(chat())[0] == answer.usage
    assert tally.counted(chat()).prompt == (106 if is_billed else 0)


def test_tools_that_ran_at_the_provider_are_no_calls() -> None:
    blocks: list[JSON] = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "something_new", "text": 7},
    ]
    cited = {"type": "web_search_result_location", "url": "https://example.com"}
    found = decode([*blocks, {"type": "text", "text": "x", "citations": [cited]}]).first
    assert found.tool_calls == ()
    assert json.loads(bytes(found.extra["server_tool_blocks"])) == blocks
    assert json.loads(bytes(found.extra["citations"])) == [cited]
    assert found.text == "x"


TOOL: Final = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
FINISHES: Final = [
    ("end_turn", [], "stop"),
    ("stop_sequence", [], "stop"),
    ("pause_turn", [], "stop"),
    ("max_tokens", [], "length"),
    ("model_context_window_exceeded", [], "length"),
    ("tool_use", [TOOL], "tool_calls"),
    ("tool_use", [], "stop"),
    ("refusal", [], "content_filter"),
    ("something_new", [], "stop"),
    (None, [], "stop"),
]


@pytest.mark.parametrize(("reason", "content", "finish"), FINISHES)
def test_finish(reason: str | None, content: list[JSON], finish: str) -> None:
    assert decode(content, reason).first.finish == finish


def test_a_refusal_says_why_when_it_does() -> None:
    said = {"type": "refusal", "category": "cyber", "explanation": "No."}
    assert decode([], "refusal", stop_details=said).first.refusal == "No."
    assert decode([], "refusal").first.refusal is None
    assert decode([], "end_turn", stop_details=said).first.refusal is None


USAGES: Final[list[tuple[Any, Usage | None]]] = [
    ({"input_tokens": 3, "output_tokens": 5}, Usage(3, 5)),
    (
        {
            "input_tokens": 3,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 100,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 4},
        },
        Usage(prompt=123, completion=5, cached=20, cache_write=100, reasoning=4),
    ),
    (
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            "output_tokens": 5,
        },
        Usage(prompt=103, completion=5, cache_write=100, cache_write_1h=40),
    ),
    (
        {"input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 4}, "output_tokens": 5},
        Usage(3, 5),
    ),
    (
        {"input_tokens": 3, "cache_read_input_tokens": None, "output_tokens": 5},
        Usage(3, 5),
    ),
    (
        {"input_tokens": 3, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 6}},
        Usage(3, 5),
    ),
    ({"input_tokens": -3, "output_tokens": 5}, None),
    # what is billed beside
    (
        {
            "input_tokens": 3,
            "output_tokens": 5,
            "iterations": [
                {
                    "type": "compaction",
                    "input_tokens": 70,
                    "output_tokens": 20,
                    "cache_read_input_tokens": 7,
                },
                {"type": "message", "input_tokens": 3, "output_tokens": 5},
                {"type": "advisor_message", "input_tokens": 2, "output_tokens": 1},
                {"type": "compaction", "input_tokens": -1, "output_tokens": 20},
                7,
            ],
        },
        Usage(82, 26, cached=7),
    ),
    (
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "iterations": [{"type": "compaction", "input_tokens": 70, "output_tokens": 20}],
        },
        Usage(70, 20),
    ),
    ({"input_tokens": 3, "output_tokens": 5, "iterations": "many"}, Usage(3, 5)),
    ({"input_tokens": 3, "output_tokens": 10**12}, None),
    ({"input_tokens": 3.5, "output_tokens": 5}, None),
    ({"input_tokens": True, "output_tokens": 5}, None),
    ({"input_tokens": 3}, None),
    ({}, None),
    (None, None),
    ("many", None),
]


@pytest.mark.parametrize(("said", "expected"), USAGES)
def test_usage(said: Any, expected: Usage | None) -> None:
    assert decode([], usage=said).usage == expected


def error(kind: str, message: str = "why") -> JSON:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}


FAILURES: Final[list[tuple[int, JSON, type[UpstreamError]]]] = [
    (400, error("invalid_request_error", "max_tokens: required"), Rejected),
    (400, error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), Unsuitable),
    (
        400,
        error("invalid_request_error", "messages.0.content.0: image exceeds 5 MB maximum: 6 > 5"),
        Unsuitable,
    ),
    *(
        (400, error("invalid_request_error", words), Unsuitable)
        for words in (
            "Your request exceeded model token limit: 8192",
            "Prompt exceeds max length",
            "Schemas contains too many optional parameters (41), which would make [...]",
            "Schemas contains too many parameters with union types (41 parameters).",
            "The compiled grammar is too large, which would cause performance issues.",
            "Schema is too complex.",
            "messages.1: Expected `thinking` or `redacted_thinking`, but found `text`.",
            "`thinking` blocks in the latest assistant message cannot be modified.",
            "data: At least one of the image dimensions exceed max allowed size: 8000 pixels",
            "messages.4.content.0.pdf: A maximum of 100 PDF pages may be provided.",
            "output_config.format: Extra inputs are not permitted",
            "Unexpected value(s) `a-1` for the `anthropic-beta` header.",
            "invalid beta flag",
            "Unable to download the file. Please verify the URL and try again.",
            "tools.9: input_schema does not support oneOf, allOf, or anyOf at the top level",
            "input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
            "This URL is disallowed by the website's robots.txt file.",
        )
    ),
    (
        400,
        error("invalid_request_error", 'messages: first message must use the "user" role'),
        Unsuitable,
    ),
    (
        400,
        error(
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 9 + 8 > 10",
        ),
        Unsuitable,
    ),
    (
        400,
        error("invalid_request_error", "Output blocked by content filtering policy"),
        Unsuitable,
    ),
    (
        400,
        error("invalid_request_error", "`temperature` is deprecated for this model."),
        Unsuitable,
    ),
    (
        400,
        error("invalid_request_error", "Your credit balance is too low to access the API"),
        Misconfigured,
    ),
    (400, error("api_error"), Faulty),
    (401, error("authentication_error"), Misconfigured),
    (402, error("billing_error"), Misconfigured),
    (403, error("permission_error"), Misconfigured),
    (404, error("not_found_error"), Misconfigured),
    (410, error("invalid_request_error", "The model was retired."), Misconfigured),
    (408, error("timeout_error"), TimedOut),
    (413, error("request_too_large"), Rejected),
    (413, error("request_too_large", "Request exceeds the maximum size"), Unsuitable),
    (422, error("something_new"), Rejected),
    (429, error("rate_limit_error"), Throttled),
    (500, error("api_error"), Faulty),
    (500, error("overloaded_error"), Overloaded),
    (500, error("invalid_request_error"), Faulty),
    (503, error("api_error"), Overloaded),
    (504, error("timeout_error"), Faulty),
    (529, error("overloaded_error"), Overloaded),
    (200, error("overloaded_error"), Overloaded),
    (200, error("something_new"), Faulty),
]


@pytest.mark.parametrize(("status", "body", "expected"), FAILURES)
def test_failures(status: int, body: JSON, expected: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as caught:
        anthropic.decode(status, {}, json.dumps(body).encode(), TARGET)
    assert type(caught.value) is expected
    assert str(caught.value) == body["error"]["message"]
    assert caught.value.upstream_code == body["error"]["type"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(302, Misconfigured), (400, Rejected), (403, Misconfigured), (429, Throttled),
     (502, Faulty), (503, Overloaded), (204, Broken)],
)  # fmt: skip
def test_a_page_of_somebody_else_is_not_repeated(
    status: int, expected: type[UpstreamError]
) -> None:
    with pytest.raises(UpstreamError) as caught:
        anthropic.decode(status, {}, b"<html>https://secret.example</html>", TARGET)
    assert type(caught.value) is expected
    assert str(caught.value) == f"the provider answered with HTTP status {status}"


def test_a_long_message_is_cut() -> None:
    body = json.dumps(error("api_error", "x" * 10_000)).encode()
    with pytest.raises(Faulty) as caught:
        anthropic.decode(500, {}, body, TARGET)
    assert str(caught.value) == "x" * 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("inf", None),
     ("Fri, 31 Dec 2027 23:59:59 GMT", None), (None, None)],
)  # fmt: skip
def test_retry_after(header: str | None, seconds: float | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    with pytest.raises(Throttled) as caught:
        anthropic.decode(429, headers, b"{}", TARGET)
    assert caught.value.retry_after == seconds


BROKEN: Final = [
    b"", b"null", b"[]", b"{}", b"{", b'{"content": 7}', b'{"content": [7]}',
    b'{"content": [{"type": "text", "text": null}]}', b"[" * 100_000,
    b'{"content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"a": "\xff"}}]}',
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_bytes_that_are_no_answer_are_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        anthropic.decode(200, {}, body, TARGET)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "id", "name", "input", "error", "message"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
messages = st.dictionaries(
    st.sampled_from(["type", "id", "content", "stop_reason", "stop_details", "usage", "error"]),
    json_values
    | st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "tool_use", "thinking", "x"])},
            optional={"text": json_values, "input": json_values, "thinking": json_values},
        ),
        max_size=3,
    ),
)


@PROPERTY
@given(
    st.integers(100, 599), st.binary(max_size=60) | messages.map(lambda m: json.dumps(m).encode())
)
def test_any_bytes_are_an_answer_or_an_upstream_error(status: int, body: bytes) -> None:
    try:
        found = anthropic.decode(status, {}, body, TARGET)
    except UpstreamError:
        return
    assert status == 200
    for call in found.first.tool_calls:
        json.loads(call.arguments)
