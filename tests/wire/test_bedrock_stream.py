"""Streams that nobody recorded: broken, interleaved, with exceptions in their middle."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Usage
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
from gateway.wire import anthropic, bedrock
from gateway.wire.dialect import Dialect
from gateway.wire.eventstream import Message, encode
from tests.wire.bedrock_streams import (
    BEGIN,
    CLAUDE,
    JSON,
    PROPERTY,
    add,
    broke,
    call,
    comparable,
    end,
    event,
    kept,
    read,
    start,
    stop,
    text,
)
from tests.wire.chats import assembled, cut

TOOLS: Final = stop("tool_use", inputTokens=3, outputTokens=4)


def error(code: str, message: str) -> bytes:
    headers = {":message-type": "error", ":error-code": code, ":error-message": message}
    return encode(Message(headers, b""))


EXCEPTIONS: Final[list[tuple[bytes, type[UpstreamError], str, int, str]]] = [
    # what a stream breaks off with: its class, whether it is asked again, what a client sees
    (broke("throttlingException"), Throttled, "elsewhere", 502, "sorry"),
    (broke("modelStreamErrorException"), Faulty, "elsewhere", 502, "sorry"),
    (broke("internalServerException"), Faulty, "elsewhere", 502, "sorry"),
    (broke("modelTimeoutException"), Faulty, "elsewhere", 502, "sorry"),
    (broke("serviceUnavailableException"), Overloaded, "elsewhere", 502, "sorry"),
    (broke("validationException"), Rejected, "never", 400, "sorry"),
    (broke("validationException", "Input is too long for requested model."), Unsuitable,
     "elsewhere", 400, "Input"),
    (broke("accessDeniedException"), Misconfigured, "elsewhere", 502, "sorry"),
    (broke("newerException"), Faulty, "elsewhere", 502, "sorry"),
    (error("InternalError", "odd"), Faulty, "elsewhere", 502, "odd"),
    (encode(Message({":message-type": "exception"}, b"<html>")), Broken, "elsewhere", 502, "off"),
]  # fmt: skip


@pytest.mark.parametrize(
    "dialect", [bedrock, bedrock.Invoke(anthropic)], ids=["converse", "invoke"]
)
@pytest.mark.parametrize(("frame", "kind", "retry", "status", "words"), EXCEPTIONS)
def test_an_exception_is_of_its_class(
    dialect: Dialect, frame: bytes, kind: type[UpstreamError], retry: str, status: int, words: str
) -> None:
    with pytest.raises(UpstreamError, match=words) as caught:
        dialect.decoder(CLAUDE).feed(BEGIN + frame)
    assert type(caught.value) is kind
    assert (caught.value.retry, caught.value.status) == (retry, status)


def test_what_came_before_an_exception_is_given_first() -> None:
    decoder = bedrock.decoder(CLAUDE)
    [delta] = decoder.feed(BEGIN + add(0, text="Hel") + broke("throttlingException"))
    assert delta.choices[0].text == "Hel"
    with pytest.raises(Throttled) as caught:
        decoder.feed(text(0, "lo"))
    assert caught.value.upstream_code == "throttlingException"
    with pytest.raises(Throttled):
        decoder.finish()


def test_calls_are_counted_among_their_like() -> None:
    body = BEGIN + text(0, "So.") + call(2, '{"a":', "1}") + call(5, id_="t2") + TOOLS
    found = assembled(read([body]))
    assert [(c.id, c.name, c.arguments) for c in found.first.tool_calls] == [
        ("t1", "weather", '{"a":1}'),
        ("t2", "weather", "{}"),
    ]
    assert (found.first.text, found.first.finish) == ("So.", "tool_calls")
    assert found.usage == Usage(3, 4)


def test_calls_may_come_interleaved() -> None:
    begun = [start(i, toolUse={"toolUseId": f"t{i}", "name": "f"}) for i in (0, 1)]
    pieces = [add(i, toolUse={"input": said}) for said in ('{"a"', ":2}") for i in (1, 0)]
    found = assembled(read([BEGIN, *begun, *pieces, end(0), end(1), TOOLS]))
    assert [call.arguments for call in found.first.tool_calls] == ['{"a":2}', '{"a":2}']


ARGUMENTS: Final = [
    ([], "{}"),
    ([""], "{}"),
    (['""'], "{}"),
    (["", '""'], "{}"),
    (['{"a": 1.50}'], '{"a": 1.50}'),
    (['""', " "], '"" '),
    (["{", '""', ":1}"], '{"":1}'),
]


@pytest.mark.parametrize(("pieces", "arguments"), ARGUMENTS)
def test_arguments_are_as_written_and_none_is_an_object(pieces: list[str], arguments: str) -> None:
    [made] = assembled(read([BEGIN, call(0, *pieces), TOOLS])).first.tool_calls
    assert made.arguments == arguments


@PROPERTY
@given(st.lists(st.text('ab{}":\\ 1.0e\n\u2028', max_size=6), min_size=1, max_size=5))
def test_no_argument_is_altered(pieces: list[str]) -> None:
    said = "".join(pieces)
    [made] = assembled(read([BEGIN, call(0, *pieces), TOOLS])).first.tool_calls
    assert made.arguments == said or (said in {"", '""'} and made.arguments == "{}")


FINISHES: Final = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("tool_use", "stop"),  # without a tool called
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("guardrail_intervened", "content_filter"),
    ("content_filtered", "content_filter"),
    ("something_newer", "stop"),
]


@pytest.mark.parametrize(("reason", "finish"), FINISHES)
def test_reasons_to_stop(reason: str, finish: str) -> None:
    assert assembled(read([BEGIN + text(0, "a") + stop(reason)])).first.finish == finish


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_what_bedrock_could_not_read_is_no_answer(reason: str) -> None:
    with pytest.raises(Broken, match=reason):
        read([BEGIN, stop(reason)])


def test_thoughts_are_shown_and_kept_with_their_signature() -> None:
    thought = [add(0, reasoningContent=each) for each in (
        {"text": "Hm"}, {"text": "."}, {"signature": "c2"}, {"signature": "ln"})]  # fmt: skip
    sealed = [add(1, reasoningContent={"redactedContent": each}) for each in ("RXVv", "Qg==")]
    unsigned = [add(2, reasoningContent={"text": "So"}), end(2)]
    choice = assembled(
        read([BEGIN, *thought, end(0), *sealed, end(1), *unsigned, text(3, "a"), stop()])
    ).first
    assert (choice.reasoning, choice.text) == ("Hm.So", "a")
    assert kept(choice.extra) == {
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "EuoB"},
        ]
    }


def test_citations_come_with_the_end() -> None:
    cited = add(0, text="a") + add(0, citation={"title": "T"}) + end(0)
    choice = assembled(read([BEGIN, cited, stop()])).first
    assert (choice.text, kept(choice.extra)) == ("a", {"citations": [{"title": "T"}]})


def test_a_server_tool_cut_off_has_no_input() -> None:
    begun = start(0, toolUse={"toolUseId": "s", "name": "n", "type": "server_tool_use"})
    found = assembled(read([BEGIN, begun, add(0, toolUse={"input": '{"a'}), stop("max_tokens")]))
    assert found.first.tool_calls == ()
    [block] = kept(found.first.extra)["server_tool_blocks"]
    assert block["toolUse"] == {"toolUseId": "s", "name": "n", "type": "server_tool_use"}


def test_what_was_asked_for_beside_the_answer_is_told() -> None:
    asked: JSON = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    trace: JSON = {"trace": {"guardrail": {"actionReason": "No action."}}}
    usage = {"inputTokens": 1, "outputTokens": 1}
    said = {"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn"}
    whole = bedrock.decode(200, {}, json.dumps({**said, **asked, **trace}).encode(), CLAUDE)
    assert kept(whole.extra) == asked | trace
    ended = event("messageStop", stopReason="end_turn", **asked)
    *_, last, told = read([BEGIN, text(0, "a"), ended, event("metadata", usage=usage, **trace)])
    assert (kept(last.extra), kept(told.extra), told.usage) == (asked, trace, Usage(1, 1))
    *_, told = read([BEGIN, text(0, "a"), ended, event("metadata", **trace)])
    assert (kept(told.extra), told.usage) == (trace, None)


WHOLE: Final = {
    "usage is absent": (BEGIN + text(0, "a") + stop(), None),
    "usage is absurd": (BEGIN + stop(inputTokens=-1, outputTokens=5), None),
    "usage is beyond belief": (BEGIN + stop(inputTokens=10**9, outputTokens=5), None),
    "the cache is in the prompt": (
        BEGIN + stop(inputTokens=1, outputTokens=2, cacheReadInputTokens=3),
        Usage(4, 2, cached=3),
    ),
    "the end comes twice": (BEGIN + stop() + stop("max_tokens", inputTokens=1, outputTokens=2),
                            Usage(1, 2)),
    "blocks are not ended": (BEGIN + add(0, text="a") + stop(), None),
    "newer events": (BEGIN + event("news", a=1) + stop() + encode(Message({}, b"\xff")), None),
    "the last message is cut off": (BEGIN + stop() + stop(inputTokens=1)[:-9], None),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_whole_though(name: str) -> None:
    body, usage = WHOLE[name]
    found = assembled(read([body]))
    assert found.usage == usage
    assert found.first.finish == "stop"


BROKEN: Final[dict[str, bytes]] = {
    "nothing at all": b"",
    "no end": BEGIN + text(0, "a"),
    "a piece of a tool not begun": BEGIN + add(0, toolUse={"input": "{"}) + stop(),
    "a piece of no shape": BEGIN + event("contentBlockDelta", contentBlockIndex=0) + stop(),
    "a number for text": BEGIN + add(0, text=5) + stop(),
    "not JSON": BEGIN + encode(Message({":event-type": "metadata"}, b"{")) + stop(),
    "no base64": BEGIN + add(0, reasoningContent={"redactedContent": "!"}) + stop(),
    "an HTML page": b"<html>502 Bad Gateway</html>",
    "an error in JSON": json.dumps({"message": "odd"}).encode(),
    "a long page": b"<" + b" " * 70_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_streams(name: str) -> None:
    with pytest.raises(Broken):
        read([BROKEN[name]])


def test_an_error_in_json_is_told_in_its_words() -> None:
    body = json.dumps({"__type": "x#ThrottlingException", "message": "Slow down."}).encode()
    with pytest.raises(Throttled, match="Slow down") as caught:
        read([body[:1], body[1:]])
    assert caught.value.upstream_code == "ThrottlingException"


# ---- Anything


KINDS: Final = st.sampled_from([
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
    "metadata", "chunk", "",
])  # fmt: skip
NAMES: Final = st.sampled_from([
    "contentBlockIndex", "start", "delta", "toolUse", "toolResult", "input", "toolUseId", "name",
    "type", "text", "reasoningContent", "signature", "redactedContent", "citation", "stopReason",
    "usage", "inputTokens", "outputTokens", "message", "bytes", "content", "p",
])  # fmt: skip
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["server_tool_use", "tool_use", "end_turn", "malformed_tool_use", "{", 0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
PAYLOADS: Final = st.binary(max_size=30) | st.dictionaries(NAMES, VALUES, max_size=5).map(
    lambda value: json.dumps(value).encode()
)
FRAMES: Final = st.builds(
    lambda kind, type_, payload: encode(
        Message({":event-type": kind, ":exception-type": kind, ":message-type": type_}, payload)
    ),
    KINDS,
    st.sampled_from(["event", "event", "event", "exception", "error"]),
    PAYLOADS,
)
LIKELY: Final = st.lists(FRAMES | st.sampled_from([text(0, "a"), call(1, "{}"), TOOLS]), max_size=6)
BODIES: Final = LIKELY.map(lambda frames: BEGIN + b"".join(frames)) | st.binary(max_size=80)


def outcome(pieces: list[bytes]) -> tuple[str, list[Any]]:
    """The class of error, and what was told before it; other errors are let through."""
    decoder = bedrock.decoder(CLAUDE)
    deltas: list[Any] = []
    try:
        for piece in pieces:
            deltas += decoder.feed(piece)
        deltas += decoder.finish()
    except UpstreamError as failure:
        return f"{failure.kind}: {failure}", comparable(deltas)
    return "ok", comparable(deltas)


@PROPERTY
@given(BODIES, st.lists(st.integers(0, 10_000), max_size=8))
def test_any_bytes_read_the_same_however_they_are_cut(body: bytes, places: list[int]) -> None:
    assert outcome(cut(body, places)) == outcome([body])


def test_the_pieces_of_an_image_are_one() -> None:
    pieces = [add(0, image={"source": {"bytes": each}}) for each in ("aA==", "aWo=")]
    begun = start(0, image={"format": "png"})
    deltas = read([BEGIN, begun, *pieces, end(0), stop("end_turn", inputTokens=1, outputTokens=2)])
    assert kept(deltas[0].choices[0].extra)["server_tool_blocks"] == [
        {"image": {"format": "png", "source": {"bytes": "aGlq"}}}
    ]


def test_an_image_that_is_none_is_told_as_it_came() -> None:
    failed = add(0, image={"error": {"message": "blocked"}})
    begun = start(0, image={"format": "png"})
    deltas = read([BEGIN, begun, failed, end(0), stop("end_turn", inputTokens=1, outputTokens=2)])
    assert kept(deltas[0].choices[0].extra)["server_tool_blocks"] == [
        {"image": {"format": "png", "error": {"message": "blocked"}}}
    ]


def test_an_image_that_is_not_in_base64_is_broken() -> None:
    piece = add(0, image={"source": {"bytes": "?"}})
    with pytest.raises(Broken):
        read([BEGIN, start(0, image={"format": "png"}), piece, end(0)])
