"""Streams: server-sent events and JSON arrays, cut anywhere."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Usage
from gateway.core.errors import Broken, Faulty, Overloaded, Throttled, UpstreamError
from gateway.wire import gemini
from gateway.wire.gemini.array import MAX_OBJECT, ArrayDecoder
from tests.folding import fold
from tests.wire.anthropic_streams import PROPERTY
from tests.wire.chats import cut
from tests.wire.gemini_answers import (
    JSON,
    SIGNATURE,
    TARGET,
    answer,
    as_array,
    as_sse,
    called,
    candidate,
    read,
    told,
)
from tests.wire.test_gemini_reply import BODIES

OPEN: JSON = answer(candidate("Hi", reason=None))
END: JSON = answer(candidate(reason="STOP"), prompt=6)
FRAMINGS = pytest.mark.parametrize("framed", [as_sse, as_array])


@FRAMINGS
def test_a_call_in_one_piece_and_stop_in_a_later_one(framed: Any) -> None:
    call = answer(candidate(called(), reason=None))
    choices, usage = fold(read([framed(OPEN, call, END)]))
    assert choices[0].finishes == ["tool_calls"]
    assert (choices[0].text, choices[0].calls[0].name) == ("Hi", "weather")
    assert usage == Usage(6, 2)


@FRAMINGS
def test_a_reason_with_every_piece_is_told_once_at_the_end(framed: Any) -> None:
    deltas = read([framed(answer(candidate("A")), answer(candidate("B")), answer(candidate("C")))])
    choices, _ = fold(deltas)
    assert (choices[0].text, choices[0].finishes) == ("ABC", ["stop"])
    assert deltas[-1].choices[0].finish == "stop"


def test_calls_are_counted_over_the_pieces_and_every_id_is_another() -> None:
    pieces = [answer(candidate(called(), reason=None)) for _ in range(3)]
    choices, _ = fold(read([as_sse(*pieces, END)]))
    assert sorted(choices[0].calls) == [0, 1, 2]
    assert len({call.id for call in choices[0].calls.values()}) == 3


def test_a_stream_makes_the_ids_that_a_whole_answer_makes() -> None:
    whole = gemini.decode(
        200, {}, json.dumps(answer(candidate(called(), called()))).encode(), TARGET
    )
    pieces = [answer(candidate(called(), reason=None)), answer(candidate(called()))]
    choices, _ = fold(read([as_sse(*pieces)]))
    assert [call.id for call in choices[0].calls.values()] == [
        call.id for call in whole.first.tool_calls
    ]


def test_candidates_end_each_on_its_own() -> None:
    pieces = [
        answer(candidate("A", reason=None, index=0), candidate("B", index=1)),
        answer(candidate(called(), index=0)),
    ]
    choices, _ = fold(read([as_sse(*pieces)]))
    assert [(at, c.text, c.finishes) for at, c in sorted(choices.items())] == [
        (0, "A", ["tool_calls"]),
        (1, "B", ["stop"]),
    ]


def test_signatures_and_what_the_provider_did_come_with_the_end() -> None:
    pieces = [
        answer(candidate({"executableCode": {"code": "1"}}, reason=None)),
        answer(candidate({"text": "2", "thoughtSignature": SIGNATURE}, reason=None)),
        answer(candidate({"text": ""}, groundingMetadata={"a": 1})),
    ]
    *early, last = read([as_sse(*pieces)])
    assert [delta.choices[0].text for delta in early] == ["2"]
    assert json.loads(bytes(last.choices[0].extra["extra_content"])) == {
        "google": {
            "thought_signature": SIGNATURE,
            "grounding_metadata": {"a": 1},
            "server_tool_parts": [{"executableCode": {"code": "1"}}],
        }
    }


@FRAMINGS
def test_nothing_is_told_before_there_is_output(framed: Any) -> None:
    """Until then a failure can go elsewhere."""
    decoder = gemini.decoder(TARGET)
    empty = answer(candidate(reason=None))
    assert decoder.feed(b"data:\n\n" if framed is as_sse else b"") == []
    assert decoder.feed(framed(empty, {"usageMetadata": {"promptTokenCount": 5}})) == []


@FRAMINGS
def test_what_a_failed_answer_cost_is_told_before_it_fails(framed: Any) -> None:
    counts = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 900}
    end = answer(candidate(reason="MALFORMED_FUNCTION_CALL"), usageMetadata=counts)
    decoder = gemini.decoder(TARGET)
    _, usage = fold(decoder.feed(framed(OPEN, end)))
    assert usage == Usage(5, 902, reasoning=900)
    with pytest.raises(Broken):
        decoder.finish()


@FRAMINGS
@pytest.mark.parametrize("feedback", [{"blockReason": "SAFETY", "blockReasonMessage": "No."}])
def test_a_blocked_prompt_is_filtered(framed: Any, feedback: Any) -> None:
    body = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9}}
    choices, usage = fold(read([framed(body)]))
    assert (choices[0].finishes, choices[0].refusal) == (["content_filter"], "No.")
    assert usage == Usage(9)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\r\n", b"data: ", b"[", b"[]", b"<html>", b"{}", b"[1]", b'["a"]', b"[[[", b"[}",
        as_sse(OPEN), as_array(OPEN), as_array(OPEN, END)[:-40], as_sse(OPEN, END)[:-60],
        as_sse(answer()), as_sse([END]), as_sse(answer(candidate("A", index=-1))),
        as_sse(answer(candidate("A", index=10**9))), as_array(OPEN) + b"nonsense",
        as_sse(OPEN, answer(candidate(reason="MALFORMED_FUNCTION_CALL"))),
        as_sse(answer(candidate("A"), candidate("B", index=1, reason=None))),
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        read([body])


@FRAMINGS
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, Overloaded),
        ({"code": 500, "message": "Internal", "status": "INTERNAL"}, Faulty),
        ({"status": "RESOURCE_EXHAUSTED"}, Throttled),
        ({"code": "?"}, Faulty),
        ("oh", Faulty),
    ],
)
def test_an_error_inside_a_stream_comes_after_what_was_good(
    framed: Any, error: Any, kind: type[UpstreamError]
) -> None:
    decoder = gemini.decoder(TARGET)
    assert [delta.choices[0].text for delta in decoder.feed(framed(OPEN, {"error": error}))] == [
        "Hi"
    ]
    with pytest.raises(UpstreamError) as caught:
        decoder.feed(as_sse(END))
    assert type(caught.value) is kind


@pytest.mark.parametrize("reason", [None, "STOP"])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_an_error_without_data_before_it_breaks_the_stream(step: int, reason: str | None) -> None:
    """Google's own SDK expects it so: one object over several lines, after the events."""
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    body = as_sse(answer(candidate("Hi", reason=reason)))
    body += json.dumps(error, indent=2).replace("\n", "\r\n").encode()
    for end in (b"", b"\r\n", b"\r\n\r\n"):
        whole = body + end
        with pytest.raises(Overloaded, match=r"Overloaded\."):
            read(whole[at : at + step] for at in range(0, len(whole), step))


def test_an_object_is_given_as_soon_as_it_is_whole() -> None:
    decoder = gemini.decoder(TARGET)
    body = as_array(answer(candidate('a "}]{[ \\', reason=None)), END)
    end = body.index(b"}\n,") if b"}\n," in body else body.index(b"},\r\n") + 1
    assert decoder.feed(body[: end - 1]) == []
    assert [d.choices[0].text for d in decoder.feed(body[end - 1 : end])] == ['a "}]{[ \\']


@pytest.mark.parametrize("step", [1 << 20, MAX_OBJECT + 100])
def test_an_object_has_a_bound(step: int) -> None:
    body = b'[{"a":1},{"a":"' + b"x" * MAX_OBJECT + b'"}]'
    decoder = ArrayDecoder()
    given_: list[bytes] = []

    def feed() -> None:
        for start in [*range(0, len(body), step), len(body)]:
            given_.extend(decoder.feed(body[start : start + step]))

    with pytest.raises(Broken, match="4 MiB"):
        feed()
    assert given_ == [b'{"a":1}']


WORDS = st.text('ab{}[]," \n\\é\u2028\U0001f600', max_size=6)
PIECES = st.lists(
    st.builds(lambda text: answer(candidate(text, reason=None)), WORDS)
    | st.builds(
        lambda text, value: answer(
            candidate({"functionCall": {"name": "f", "args": {text: value}}}, reason=None)
        ),
        WORDS,
        WORDS,
    )
    | st.builds(lambda text: answer(candidate({"text": text, "thought": True}, reason=None)), WORDS)
    | st.sampled_from(
        [{"usageMetadata": {"promptTokenCount": 5}}, answer(candidate("x", index=1))]
    ),
    max_size=4,
)


@PROPERTY
@given(PIECES, st.sampled_from([as_sse, as_array]), st.lists(st.integers(0, 10_000), max_size=6))
def test_any_cut_reads_alike(pieces: list[Any], framed: Any, places: list[int]) -> None:
    body = framed(*pieces, END)
    whole, ending = told([body])
    assert ending == "whole"
    assert told(cut(body, places)) == (whole, ending)
    assert told([body[i : i + 1] for i in range(len(body))]) == (whole, ending)


@PROPERTY
@given(st.lists(BODIES, max_size=4), st.sampled_from([b"data: %b\r\n\r\n", b"%b,", b"%b"]),
       st.lists(st.integers(0, 10_000), max_size=5))  # fmt: skip
def test_anything_at_all_raises_nothing_but_upstream_errors(
    bodies: list[bytes], frame: bytes, places: list[int]
) -> None:
    opening = b"" if frame.startswith(b"data") else b"["
    first = frame % json.dumps(OPEN).encode()
    body = opening + first + b"".join(frame % each for each in bodies)
    assert told(cut(body, places)) == told([body])
