"""`invoke`: bodies of the Messages API in Bedrock's frame."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Usage
from gateway.core.errors import Broken, Faulty, InvalidRequest, Overloaded, Throttled, UpstreamError
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect, Target
from tests.wire.bedrock_streams import CLAUDE, JSON, PROPERTY, broke, comparable, event, read
from tests.wire.chats import assembled, chat, cut

INVOKE: Final[Dialect] = DIALECTS["bedrock-invoke"]


def body(target: Target = CLAUDE, **fields: Any) -> JSON:
    found: JSON = json.loads(INVOKE.encode(chat(**fields), target, stream=False).body)
    return found


def test_a_request_is_of_the_messages_api_without_model_and_stream() -> None:
    for stream, operation in ((False, "invoke"), (True, "invoke-with-response-stream")):
        call = INVOKE.encode(chat(seed=5), CLAUDE, stream=stream)
        assert call.path == f"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/{operation}"
        assert call.headers == {"content-type": "application/json"}
        assert call.dropped == ("seed",)
        assert json.loads(call.body) == {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 8_192,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        }


def test_betas_are_in_the_body() -> None:
    assert body(betas=["a-1", "b"])["anthropic_beta"] == ["a-1", "b"]


def picture(url: str) -> list[JSON]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


REFUSED: Final[list[tuple[JSON, str]]] = [
    ({"messages": picture("https://a.b/c.png")}, "messages"),
    ({"mcp_servers": [{"url": "https://a.b"}]}, "mcp_servers"),
    ({"container": "c"}, "container"),
    ({"n": 2}, "n"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_said_is_refused_by_name(fields: JSON, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body(**fields)
    assert refused.value.param == param


def test_a_picture_is_sent_as_data() -> None:
    [turn] = body(messages=picture("data:image/png;base64,iVBO"))["messages"]
    assert turn["content"][0]["source"]["data"] == "iVBO"


def test_calls_carry_a_bedrock_key_or_are_signed() -> None:
    assert INVOKE.auth("k") == {"authorization": "Bearer k"}
    assert INVOKE.auth("") == {}


# ---- Streams


def chunk(said: Mapping[str, Any] | bytes) -> bytes:
    inner = said if isinstance(said, bytes) else json.dumps(said, indent=1).encode()
    return event("chunk", bytes=base64.b64encode(inner).decode())


def messages(*said: str) -> list[bytes]:
    usage = {"input_tokens": 3, "output_tokens": 1}
    return [
        chunk({"type": "message_start", "message": {"id": "m", "usage": usage}}),
        chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
        *(chunk({"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": each}}) for each in said),
        chunk({"type": "content_block_stop", "index": 0}),
        chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
               "usage": {"output_tokens": 9}}),
        chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": {}}),
    ]  # fmt: skip


def test_a_stream_of_messages() -> None:
    found = assembled(read(messages("a\n", "\u2028b"), INVOKE.decoder))
    assert (found.first.text, found.first.finish) == ("a\n\u2028b", "stop")
    assert found.usage == Usage(3, 9)


ACTION: Final = {"amazon-bedrock-guardrailAction": "INTERVENED"}


def test_what_a_guardrail_puts_in_place_of_an_answer_is_no_answer() -> None:
    answer: JSON = {"type": "message", "content": [{"type": "text", "text": "Sorry."}]}
    for more, finish in (
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stop_reason": "end_turn", "amazon-bedrock-guardrailAction": "NONE"}, "stop"),
        ({"stop_reason": "end_turn", **ACTION}, "content_filter"),
        ({"stop_reason": "guardrail_intervened"}, "content_filter"),
    ):
        whole = json.dumps(answer | more).encode()
        first = INVOKE.decode(200, {}, whole, CLAUDE).first
        assert (first.text, first.finish) == ("Sorry.", finish)


def test_a_guardrail_that_steps_in_is_seen_in_a_stream() -> None:
    *head, _ = messages("Sorry.")
    stopped = chunk({"type": "message_stop", **ACTION})
    for chunks in ([*head, stopped], [chunk({"type": "ping", **ACTION}), *head]):
        first = assembled(read(chunks, INVOKE.decoder)).first
        assert (first.text, first.finish) == ("Sorry.", "content_filter")


LLAMA: Final = [
    chunk({"generation": "Hel", "stop_reason": None}),
    chunk({"generation": "lo", "stop_reason": "length",
           "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}}),
]  # fmt: skip
CLAUDE_2: Final = [
    chunk({"type": "completion", "completion": "Hello", "stop_reason": None}),
    chunk({"type": "completion", "completion": "", "stop_reason": "max_tokens",
           "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}}),
]  # fmt: skip
MISTRAL: Final = [
    chunk({"outputs": [{"text": "Hello", "stop_reason": None}]}),
    chunk({"outputs": [{"text": "", "stop_reason": "length"}],
           "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}}),
]  # fmt: skip


@pytest.mark.parametrize("chunks", [LLAMA, CLAUDE_2, MISTRAL], ids=["llama", "claude", "mistral"])
def test_a_stream_of_continued_text(chunks: list[bytes]) -> None:
    found = assembled(read(chunks, INVOKE.decoder))
    assert (found.first.text, found.first.finish) == ("Hello", "length")
    assert found.usage == Usage(3, 2)
    with pytest.raises(Broken, match="ended before"):
        read(chunks[:1], INVOKE.decoder)


FAILURES: Final[dict[str, tuple[list[bytes], type[UpstreamError]]]] = {
    "exception": ([*messages()[:2], broke("throttlingException")], Throttled),
    "error event": ([chunk({"type": "error", "error": {"type": "overloaded_error"}})], Overloaded),
    "unknown exception": ([broke("oddException")], Faulty),
    "no base64": ([event("chunk", bytes="!")], Broken),
    "no bytes": ([event("chunk")], Broken),
    "no JSON": ([chunk(b"{")], Broken),
    "no end": (messages("a")[:4], Broken),
    "nothing": ([], Broken),
    "other events": ([event("news", a=1)], Broken),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_in_a_stream(name: str) -> None:
    chunks, kind = FAILURES[name]
    with pytest.raises(UpstreamError) as caught:
        read(chunks, INVOKE.decoder)
    assert type(caught.value) is kind


@PROPERTY
@given(
    st.lists(st.text('a\n"\\\u2028', max_size=5), max_size=5),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_a_stream_reads_the_same_however_it_is_cut(said: list[str], places: list[int]) -> None:
    body = b"".join(messages(*said))
    once = read([body], INVOKE.decoder)
    assert comparable(read(cut(body, places), INVOKE.decoder)) == comparable(once)
    assert (assembled(once).first.text or "") == "".join(said)


INNER: Final = st.binary(max_size=20) | st.dictionaries(
    st.sampled_from(["type", "contentBlockDelta", "messageStop", "generation", "outputs", "delta"]),
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from(["delta", "text", "stopReason"]), st.text(max_size=3)),
    max_size=3,
)  # fmt: skip


@PROPERTY
@given(st.lists(INNER.map(chunk) | st.sampled_from([*messages("a"), *LLAMA]), max_size=6))
def test_any_chunks_raise_nothing_but_upstream_errors(chunks: list[bytes]) -> None:
    outcomes: list[Any] = []
    for pieces in (chunks, [b"".join(chunks)]):
        try:
            outcomes.append(comparable(read(pieces, INVOKE.decoder)))
        except UpstreamError as failure:
            outcomes.append((failure.kind, str(failure)))
    assert outcomes[0] == outcomes[1]
