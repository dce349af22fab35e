"""Streams of the openai dialect at their edges: what no recording shows."""

import json
from typing import Any

import pytest

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta, Usage
from gateway.core.errors import Broken, Overloaded, UpstreamError
from gateway.wire import openai
from gateway.wire.dialect import Target
from tests.folding import fold

TARGET = Target("gpt-x", 500)
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}


def event(*choices: dict[str, Any], **fields: Any) -> bytes:
    return b"data: " + json.dumps({**HEAD, "choices": choices, **fields}).encode() + b"\n\n"


def piece(delta: Any, finish: Any = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


FIRST = piece({"role": "assistant", "content": ""})
DONE = b"data: [DONE]\n\n"
STOP = event(piece({}, "stop"))


def call(*, name: Any = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "tool_calls": [{**fields, "function": {k: v for k, v in function.items() if v is not None}}]
    }


def feed(body: bytes) -> list[Delta]:
    decoder = openai.decoder(TARGET)
    return decoder.feed(body) + decoder.finish()


def test_strict_chunks_are_relayed_as_they_are() -> None:
    events = [event(FIRST), event(piece({"content": "hi"})), STOP]
    deltas = feed(b"".join(events) + DONE)
    assert [delta.raw for delta in deltas] == [e[6:-2] for e in events]
    assert {(delta.id, delta.created) for delta in deltas} == {("c1", 5)}


REBUILT = {
    "no role at first": event(piece({"content": "hi"})) + STOP,
    "another id": event(FIRST) + event(piece({"content": "hi"}), id="c2") + STOP,
    "another time": event(FIRST) + event(piece({"content": "hi"}), created=6) + STOP,
    "usage beside a delta": event(FIRST)
    + event(
        piece({"content": "hi"}),
        usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    )
    + STOP,
    "null tool calls": event(FIRST) + event(piece({"content": "hi", "tool_calls": None})) + STOP,
    "list content": event(FIRST)
    + event(piece({"content": [{"type": "text", "text": "hi"}]}))
    + STOP,
    "unknown tier": event(FIRST) + event(piece({"content": "hi"}), service_tier="on_demand") + STOP,
    "no index": event(FIRST) + event({"delta": {"content": "hi"}}) + STOP,
    "no object": event(FIRST) + event(piece({"content": "hi"}), object=None) + STOP,
    "a line break in it": event(FIRST)
    + event(piece({"content": "hi"})).replace(b', "choices"', b'\ndata: , "choices"')
    + STOP,
    "not UTF-8": event(FIRST)
    + event(piece({"content": "hi"}), other="?").replace(b"?", b"\xff")
    + STOP,
}


@pytest.mark.parametrize("body", REBUILT.values(), ids=REBUILT)
def test_what_a_client_could_stumble_over_is_rebuilt(body: bytes) -> None:
    folded, _ = fold(feed(body + DONE))
    assert (folded[0].text, folded[0].finishes) == ("hi", ["stop"])
    assert [d for d in feed(body + DONE) if d.raw is None and d.choices[0].text]


def test_an_id_in_every_piece_is_told_once() -> None:
    """Clients join the pieces of any field, an id's as well."""
    pieces = [call(index=0, id="a", type="function", name="f", arguments=""),
              call(index=0, id="a", type="function", arguments="{"),
              call(index=0, id="a", type="function", arguments="}")]  # fmt: skip
    deltas = feed(event(FIRST) + b"".join(event(piece(each)) for each in pieces) + STOP + DONE)
    assert [delta.raw is None for delta in deltas] == [False, False, True, True, False]
    told = [part for d in deltas for choice in d.choices for part in choice.tool_calls]
    assert [(part.id, part.arguments) for part in told] == [("a", ""), (None, "{"), (None, "}")]


CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "OpenAI's own": (
        [call(index=0, id="a", type="function", name="f", arguments="{"),
         call(index=0, arguments="}")],
        [("f", "{}")],
    ),
    "two, both with index 0": (
        [call(index=0, id="a", name="f", arguments="{}"),
         call(index=0, id="b", name="g", arguments="[]")],
        [("f", "{}"), ("g", "[]")],
    ),
    "no index": (
        [call(id="a", name="f", arguments='{"x":'), call(id="b", name="g", arguments="{}"),
         call(arguments=" "), call(id="a", arguments="1}")],
        [("f", '{"x":1}'), ("g", "{} ")],
    ),
    "no index, no id": (
        [call(name="f", arguments="{"), call(arguments="}"), call(name="f", arguments="{}")],
        [("f", "{}"), ("f", "{}")],
    ),
    "two calls at index 0 without ids": (
        [call(index=0, name="f", arguments='{"x":'), call(index=0, arguments="1}"),
         call(index=0, name="g", arguments="{}")],
        [("f", '{"x":1}'), ("g", "{}")],
    ),
    "an index that does not begin at 0": (
        [call(index=3, id="a", name="f", arguments="{}")],
        [("f", "{}")],
    ),
    "an object for arguments": (
        [call(index=0, id="a", name="f", arguments={"x": 1})],
        [("f", '{"x":1}')],
    ),
    "no arguments": ([call(index=0, id="a", type="function", name="f")], [("f", "{}")]),
    "id and name with every piece": (
        [call(index=0, id="a", name="f", arguments="{"),
         call(index=0, id="a", name="f", arguments="}")],
        [("f", "{}")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pieces", "expected"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("fields", [{}, {"service_tier": "odd"}], ids=["strict", "tolerant"])
def test_tool_calls(
    pieces: list[dict[str, Any]], expected: list[tuple[str, str]], fields: dict[str, Any]
) -> None:
    body = b"".join(event(piece(delta), **fields) for delta in pieces)
    folded, _ = fold(feed(event(FIRST) + body + event(piece({}, "tool_calls")) + DONE))
    calls = [folded[0].calls[index] for index in sorted(folded[0].calls)]
    assert [(call.name, call.arguments) for call in calls] == expected
    assert sorted(folded[0].calls) == list(range(len(expected)))
    assert len({call.id for call in calls} - {""}) == len(calls), "each call has an id"


def test_usage_is_the_last_one_told() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    more = {**usage, "completion_tokens": 2, "total_tokens": 5}
    body = event(FIRST, usage=usage) + STOP + event(usage=more) + DONE
    assert fold(feed(body))[1] == Usage(3, 2)


ENDS = {
    "finish, no [DONE]": (event(FIRST) + STOP, "stop"),
    "[DONE], no finish": (event(FIRST) + DONE, "stop"),
    "[DONE], a call, no finish": (
        event(FIRST) + event(piece(call(index=0, id="a", name="f", arguments="{}"))) + DONE,
        "tool_calls",
    ),
    "empty finish": (event(FIRST) + event(piece({}, "")) + DONE, "stop"),
    "finish twice": (event(FIRST) + STOP + STOP + DONE, "stop"),
    "[DONE] with spaces": (event(FIRST) + b"data:  [DONE] \n\n", "stop"),
    "after [DONE]": (event(FIRST) + STOP + DONE + b"data: junk\n\n", "stop"),
    "cut off after the finish": (event(FIRST) + STOP + b'data: {"usage": {', "stop"),
    "no empty line at the end": (event(FIRST) + STOP.rstrip(), "stop"),
    "eos": (event(FIRST) + event(piece({}, "eos")), "stop"),
    "MAX_TOKENS": (event(FIRST) + event(piece({}, "MAX_TOKENS")), "length"),
}


@pytest.mark.parametrize(("body", "finish"), ENDS.values(), ids=ENDS)
def test_whole_streams_finish_once(body: bytes, finish: str) -> None:
    assert fold(feed(body))[0][0].finishes == [finish]


@pytest.mark.parametrize("cut", range(5))
def test_a_byte_order_mark_takes_nothing_with_it_wherever_it_is_cut(cut: int) -> None:
    body = b"\xef\xbb\xbf" + event(piece({"role": "assistant", "content": "hi"})) + STOP + DONE
    decoder = openai.decoder(TARGET)
    deltas = decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish()
    assert fold(deltas)[0][0].text == "hi"


TORN = {
    "nothing": b"",
    "only comments": b": a\n\n: b\n\n",
    "only [DONE]": DONE,
    "no end": event(FIRST) + event(piece({"content": "hi"})),
    "only one of two choices ended": event(FIRST)
    + event(piece({"role": "assistant", "content": "and"}, index=1)) + STOP,
    "half an event": event(FIRST) + b'data: {"id": "c1", "cho',
    "not JSON": event(FIRST) + b"data: <html>\n\n",
    "not an object": event(FIRST) + b"data: [1]\n\n",
    "too deep": event(FIRST) + b"data: " + b"[" * 100_000 + b"\n\n",
    "finish_reason error": event(FIRST) + event(piece({}, "error")) + DONE,
    "HTML": b"<html><body>Bad gateway</body></html>",
}  # fmt: skip


@pytest.mark.parametrize("body", TORN.values(), ids=TORN)
def test_torn_streams_are_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        feed(body)


def test_an_error_comes_after_the_deltas_ahead_of_it() -> None:
    error = {"error": {"message": "busy", "type": "overloaded_error"}}
    body = event(FIRST) + b"data: " + json.dumps(error).encode() + b"\n\n"
    decoder = openai.decoder(TARGET)
    assert len(decoder.feed(body)) == 1
    with pytest.raises(Overloaded, match="busy"):
        decoder.finish()


def test_an_error_event_need_not_hold_an_error_object() -> None:
    with pytest.raises(UpstreamError, match="no more"):
        feed(b'event: error\ndata: {"message": "no more"}\n\n')


def test_pieces_of_a_legacy_call_are_kept() -> None:
    first = event(piece({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}))
    last = feed(first + DONE)[-1]
    assert last.choices == (ChoiceDelta(finish="function_call"),)
    assert dict(feed(first + DONE)[0].choices[0].extra).keys() == {"function_call"}


def test_missing_arguments_are_told_with_the_finish() -> None:
    body = event(FIRST) + event(piece(call(index=0, id="a", type="function", name="f")))
    last = feed(body + event(piece({}, "tool_calls")))[-1]
    assert last.choices[0].tool_calls == (ToolDelta(0, arguments="{}"),)


@pytest.mark.parametrize("told_first", [False, True])
def test_what_moderation_found_is_relayed(told_first: bool) -> None:
    found = {"type": "moderation_results", "model": "omni", "results": []}
    moderated = event(moderation={"input": found, "output": found}, usage=None)
    said = [event(FIRST), event(piece({"content": "hi"})), STOP]
    said.insert(0 if told_first else 3, moderated)
    deltas = feed(b"".join(said) + DONE)
    assert [b"data: %b\n\n" % (delta.raw or b"") for delta in deltas] == said


COUNTED = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
FILTERED = {"prompt_filter_results": [{"prompt_index": 0}]}
TIMED = {"timings": {"predicted_n": 1}}


@pytest.mark.parametrize("nameless", [False, True])
def test_what_is_said_beside_no_choices_is_kept(nameless: bool) -> None:
    """As by Azure in the first chunk, which has not even a name, and by others in the last."""
    empty = {"id": "", "object": "", "created": 0, "model": ""} if nameless else {}
    said = [event(**empty, **FILTERED), event(FIRST), event(piece({"content": "hi"})), STOP]
    *_, last = feed(b"".join((*said, event(usage=COUNTED, **TIMED), DONE)))
    assert {name: json.loads(bytes(raw)) for name, raw in last.extra.items()} == FILTERED | TIMED
    assert (last.choices, last.usage) == ((), Usage(1, 1))
    *deltas, last = feed(b"".join((*said, DONE)))
    assert {name: json.loads(bytes(raw)) for name, raw in last.extra.items()} == FILTERED
    assert all(delta.raw for delta in deltas), "the others are relayed"


def test_what_moderation_found_is_kept_beside_the_usage() -> None:
    found = {"type": "moderation_results", "model": "omni", "results": []}
    moderation = {"input": found, "output": found}
    last = feed(event(FIRST) + STOP + event(moderation=moderation, usage=COUNTED) + DONE)[-1]
    assert json.loads(bytes(last.extra["moderation"])) == moderation


@pytest.mark.parametrize("kind", ["chat.completion", "chat"])
def test_a_whole_answer_instead_of_a_stream_keeps_its_other_fields(kind: str) -> None:
    message = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    [told] = feed(json.dumps({**HEAD, "object": kind, "choices": [choice], **TIMED}).encode())
    assert {name: json.loads(bytes(raw)) for name, raw in told.extra.items()} == TIMED
