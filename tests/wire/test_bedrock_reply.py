"""Whole answers and failures of Converse, and what is made of any bytes."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Completion, ToolCall, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import DIALECTS, bedrock
from tests.wire.bedrock_streams import CLAUDE, JSON, PROPERTY, kept


def answer(*content: Any, reason: str = "end_turn", **usage: Any) -> Completion:
    message = {"role": "assistant", "content": list(content)}
    said = {"output": {"message": message}, "stopReason": reason, "usage": usage}
    return bedrock.decode(200, {"x-amzn-requestid": "r1"}, json.dumps(said).encode(), CLAUDE)


def test_an_answer_is_its_blocks() -> None:
    found = answer(
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "RXVvQg=="}},
        {"reasoningContent": {"reasoningText": {"text": "So."}}},
        {"text": "It is "},
        {"citationsContent": {"content": [{"text": "sunny"}], "citations": [{"title": "T"}]}},
        {"toolUse": {"toolUseId": "t", "name": "weather", "input": {"a": 1.50}}},
        {"image": {"format": "png"}},
        reason="tool_use",
        inputTokens=1,
        outputTokens=2,
        cacheReadInputTokens=3,
        cacheWriteInputTokens=4,
        totalTokens=10,
    )
    choice = found.first
    assert (choice.text, choice.reasoning, choice.finish) == ("It is sunny", "Hm.So.", "tool_calls")
    assert choice.tool_calls == (ToolCall("t", "weather", '{"a":1.5}'),)
    assert kept(choice.extra) == {
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "EuoB"},
        ],
        "citations": [{"title": "T"}],
        "server_tool_blocks": [{"image": {"format": "png"}}],
    }
    assert (found.id, found.usage) == ("r1", Usage(8, 2, cached=3, cache_write=4))


@pytest.mark.parametrize(
    ("details", "an_hour"),
    [
        ([{"inputTokens": 3, "ttl": "1h"}, {"inputTokens": 1, "ttl": "5m"}], 3),
        ([{"inputTokens": 1, "ttl": "5m"}], 0),
        ([{"inputTokens": 9, "ttl": "1h"}], 4),
        ([{"inputTokens": -3, "ttl": "1h"}, {"ttl": "1h"}, 7], 0),
        ({"ttl": "1h"}, 0),
    ],
)
def test_what_is_kept_for_an_hour_is_told(details: Any, an_hour: int) -> None:
    found = answer(
        {"text": "Hi"}, inputTokens=1, outputTokens=2, cacheWriteInputTokens=4, cacheDetails=details
    )
    assert found.usage == Usage(5, 2, cache_write=4, cache_write_1h=an_hour)


INPUTS: Final = [
    ('{"n": 1e400, "d": 0.1000}', '{"n":1e400,"d":0.1000}'),
    ('{"a": " b  c "}', '{"a":" b  c "}'),
    ("null", "{}"),
    ('""', "{}"),
    ("{}", "{}"),
]


@pytest.mark.parametrize(("sent", "arguments"), INPUTS)
def test_arguments_lose_white_space_and_nothing_else(sent: str, arguments: str) -> None:
    use = f'{{"toolUse":{{"toolUseId":"t","name":"f","input":{sent}}}}}'
    body = f'{{"output":{{"message":{{"content":[{use}]}}}},"stopReason":"tool_use"}}'
    found = bedrock.decode(200, {}, body.encode(), CLAUDE)
    assert found.first.tool_calls == (ToolCall("t", "f", arguments),)


USAGES: Final[list[tuple[JSON, Usage | None]]] = [
    ({"inputTokens": 1, "outputTokens": 2}, Usage(1, 2)),
    ({"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokenCount": 5}, Usage(6, 2, cached=5)),
    ({}, None),
    ({"inputTokens": 1}, None),
    ({"inputTokens": -1, "outputTokens": 2}, None),
    ({"inputTokens": 1, "outputTokens": 10**9}, None),
    ({"inputTokens": 1.5, "outputTokens": 2}, None),
    ({"inputTokens": True, "outputTokens": 2}, None),
    ({"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": -5}, None),
]


@pytest.mark.parametrize(("said", "usage"), USAGES)
def test_usage_is_right_or_absent(said: JSON, usage: Usage | None) -> None:
    assert answer({"text": "a"}, **said).usage == usage


BROKEN: Final = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"message":"odd"}',
    b'{"output":{}}',
    b'{"output":{"message":{"content":null}}}',
    b'{"output":{"message":{"content":[{"text":5}]}}}',
    b'{"output":{"message":{"content":["a"]}}}',
    b'{"output":{"message":{"content":[]}},"stopReason":"malformed_tool_use"}',
    b'{"output":{"message":{"content":[{"reasoningContent":{"redactedContent":"!"}}]}}}',
    b"<html>",
    b"\xff",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_an_answer_that_cannot_be_read_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        bedrock.decode(200, {}, body, CLAUDE)


NAMED: Final[list[tuple[int, str, str, type[UpstreamError]]]] = [
    (429, "ThrottlingException", "Too many requests", Throttled),
    (429, "ModelNotReadyException", "Loading", Overloaded),
    (429, "TooManyRequestsException", "Too many", Throttled),
    (400, "ServiceQuotaExceededException", "Too many tokens", Throttled),
    (503, "ServiceUnavailableException", "Busy", Overloaded),
    (500, "InternalServerException", "Oops", Faulty),
    (500, "InternalFailure", "Oops", Faulty),
    (408, "ModelTimeoutException", "Slow", Faulty),
    (424, "ModelErrorException", "Oops", Faulty),
    (424, "ModelStreamErrorException", "Oops", Faulty),
    (403, "AccessDeniedException", "You don't have access", Misconfigured),
    (404, "ResourceNotFoundException", "No such model", Misconfigured),
    (403, "UnrecognizedClientException", "The security token is invalid", Misconfigured),
    (403, "InvalidSignatureException", "The signature does not match", Misconfigured),
    (403, "ExpiredTokenException", "The token is expired", Misconfigured),
    (400, "ValidationException", "messages.1.role: odd", Rejected),
    (400, "ValidationException", "Input is too long for requested model.", Unsuitable),
    (400, "ValidationException", "The compiled grammar is too large.", Unsuitable),
    (400, "ValidationException", "prompt is too long: 5 tokens > 4 maximum", Unsuitable),
    (400, "ValidationException", "This model doesn't support tool use.", Unsuitable),
    (400, "ValidationException", "Expected `thinking`, but found `text`.", Unsuitable),
    (400, "ValidationException", "User messages cannot contain reasoning content.", Unsuitable),
    (400, "ValidationException", "too many images and documents: 21 + 0 > 20", Unsuitable),
    (400, "ValidationException",
        "image exceed max allowed size for many-image requests: 2000 pixels",
        Unsuitable),
    (400, "ValidationException", "A maximum of 100 PDF pages may be provided.", Unsuitable),
    (400, "ValidationException", "invalid beta flag", Unsuitable),
    (400, "ValidationException",
        "input_schema.properties: Property keys should match pattern '^[a-z]{1,64}$'",
        Unsuitable),
    (400, "ValidationException", "context_management: Extra inputs are not permitted", Unsuitable),
    (400, "ValidationException", "stop_sequences: each stop sequence must contain non-whitespace",
        Unsuitable),
    (400, "ValidationException", "The provided model identifier is invalid.", Misconfigured),
    (400, "ValidationException", "On-demand throughput isn't supported.", Misconfigured),
    (400, "ValidationException",
        "data retention mode 'default' is not available for this model", Misconfigured),
    (400, "ValidationException",
        "You have not filled out the required use-case form for this model.", Misconfigured),
    (400, "NewerException", "odd", Rejected),
    (500, "NewerException", "odd", Faulty),
]  # fmt: skip


@pytest.mark.parametrize(("status", "name", "message", "kind"), NAMED)
@pytest.mark.parametrize("place", ["header", "type", "output"])
def test_a_failure_is_told_by_name(
    status: int, name: str, message: str, kind: type[UpstreamError], place: str
) -> None:
    headers = {"x-amzn-errortype": f"{name}:http://internal.example/"} if place == "header" else {}
    said: JSON = {"message": message}
    if place == "type":
        said["__type"] = f"com.amazon.coral.service#{name}"
    if place == "output":
        said["Output"] = {"__type": f"com.amazon.coral.service#{name}"}
    with pytest.raises(UpstreamError) as caught:
        bedrock.decode(status, headers, json.dumps(said).encode(), CLAUDE)
    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.upstream_code) == (message, name)


NAMELESS: Final[list[tuple[int, type[UpstreamError]]]] = [
    (204, Broken),
    (302, Misconfigured),
    (400, Rejected),
    (401, Misconfigured),
    (403, Misconfigured),
    (404, Misconfigured),
    (413, Rejected),
    (429, Throttled),
    (500, Faulty),
    (502, Faulty),
    (503, Overloaded),
]


@pytest.mark.parametrize(("status", "kind"), NAMELESS)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message":5,"__type":[]}', b"[]"])
def test_a_failure_without_a_name_is_told_by_its_status(
    status: int, kind: type[UpstreamError], body: bytes
) -> None:
    with pytest.raises(UpstreamError, match=f"status {status}") as caught:
        bedrock.decode(status, {}, body, CLAUDE)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("said", "seconds"), [("2", 2.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("soon", None)]
)
def test_when_to_come_back(said: str, seconds: float | None) -> None:
    with pytest.raises(Throttled) as caught:
        bedrock.decode(429, {"retry-after": said}, b"", CLAUDE)
    assert caught.value.retry_after == seconds


def test_a_long_message_is_cut() -> None:
    with pytest.raises(Rejected) as caught:
        bedrock.decode(400, {}, json.dumps({"message": "x" * 5_000}).encode(), CLAUDE)
    assert len(str(caught.value)) == 500


FIELDS: Final = st.sampled_from([
    "output", "message", "content", "stopReason", "usage", "inputTokens", "text", "toolUse",
    "toolUseId", "name", "input", "type", "reasoningContent", "reasoningText", "redactedContent",
    "citationsContent", "citations", "__type", "completion", "generation", "outputs", "results",
])  # fmt: skip
LIKELY: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["end_turn", "tool_use", "message", "error", 0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)  # fmt: skip
BODIES: Final = st.binary() | LIKELY.map(lambda value: json.dumps(value).encode())
WRAPPED: Final = LIKELY.map(
    lambda content: json.dumps({"output": {"message": {"content": [content]}}}).encode()
)


@PROPERTY
@given(
    st.sampled_from(["bedrock", "bedrock-invoke"]),
    st.sampled_from([200, 200, 200, 204, 302, 400, 429, 500]),
    BODIES | WRAPPED,
)
def test_any_bytes_are_an_answer_or_an_upstream_error(name: str, status: int, body: bytes) -> None:
    headers = {"retry-after": body[:3].decode("latin-1"), "x-amzn-errortype": str(body[:9])}
    headers |= {"x-amzn-bedrock-input-token-count": "9" * len(body)}
    try:
        DIALECTS[name].decode(status, headers, body, CLAUDE)
    except UpstreamError:
        return
    assert status == 200
