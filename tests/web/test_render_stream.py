"""Relaying a provider's chunks, and writing our own."""

import json
from typing import Any

import pytest
from msgspec import UNSET, Raw

from gateway.core.assembly import Assembly
from gateway.core.chat import ChoiceDelta, Completion, Delta, ToolDelta, Usage
from gateway.web.render import completion_body
from gateway.web.render_stream import DONE, ChunkWriter
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.sse import SseDecoder
from tests.openapi import CHUNK, faults


def writer() -> ChunkWriter:
    return ChunkWriter("catalog-name", request_id="r1", created=7)


HEAD = b'"id":"c1","object":"chat.completion.chunk","created":5,'
BODY = (
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"\\"model\\":\\"x\\""},'
    b'"finish_reason":null}]'
)
MODELS = [
    b"{" + HEAD + b'"model":"up",' + BODY + b"}",
    b"{" + BODY + b"," + HEAD + b'"model":"up"}',
    b"{" + HEAD + b'"model" : "u\\"p",' + BODY + b"}",
    b"{" + HEAD + b'"\\u006dodel":"up",' + BODY + b"}",
    b"{" + HEAD + b'"x":{"model":"nested"},"model":"up",' + BODY + b"}",
    b"{" + HEAD + b'"model":"up","x":{"model":"nested"},' + BODY + b"}",
    b'{"x":"{","y":"model","model":"up",' + HEAD + BODY + b"}",
    b'{"z":[{"model":"nested"}],' + HEAD + BODY + b',"model":"up"}',
]


@pytest.mark.parametrize("raw", MODELS)
def test_the_model_of_a_relayed_chunk_is_replaced_at_the_top_level_only(raw: bytes) -> None:
    first = Delta((ChoiceDelta(0),), id="c1", created=5, raw=raw)
    plain = Delta((ChoiceDelta(0),), id="c1", created=5, raw=raw, size=0)
    chunk_writer = writer()
    for delta in (first, first, plain, plain):  # all but the first one go the short way
        event = chunk_writer.delta(delta)
        assert event.startswith(b"data: ")
        assert event.endswith(b"\n\n")
        assert json.loads(event[6:]) == {**json.loads(raw), "model": "catalog-name"}


def test_a_chunk_that_does_not_follow_is_written_anew() -> None:
    chunk_writer = writer()
    first = chunk_writer.delta(Delta((ChoiceDelta(0, "a"),)))
    raw = MODELS[0]
    then = chunk_writer.delta(Delta((ChoiceDelta(0, "b"),), id="c1", created=5, raw=raw, size=1))
    for event, text in ((first, "a"), (then, "b")):
        chunk = json.loads(event[6:])
        assert (chunk["id"], chunk["created"]) == ("chatcmpl-r1", 7)
        assert chunk["choices"][0]["delta"]["content"] == text


def test_a_delta_that_only_tells_usage_is_no_event() -> None:
    assert writer().delta(Delta(usage=Usage(10, 4))) == b""


def test_what_is_said_beside_no_choices_is_told_with_the_usage() -> None:
    chunks, moderation = writer(), Raw(b'{"input":{},"output":{}}')
    first, last = {"timings": Raw(b'{"n":\n1}')}, {"sources": Raw(b"[2]"), "moderation": moderation}
    assert chunks.delta(Delta((ChoiceDelta(0, "a"),)))
    assert chunks.delta(Delta(extra=first)) == b""
    [found] = events(
        chunks.delta(Delta(usage=Usage(1, 2), extra={**last, "moderation": moderation}))
    )
    assert (found["choices"], found["moderation"]) == ([], {"input": {}, "output": {}})
    [told] = events(chunks.usage(Usage(1, 2)))
    assert (told["timings"], told["sources"], told["choices"]) == ({"n": 1}, [2], [])
    assert told.keys() & {"moderation", "usage"} == {"usage"}
    assert faults(CHUNK, told) == []


def test_tool_deltas() -> None:
    delta = ChoiceDelta(0, tool_calls=(ToolDelta(0, "c1", "f", "{"), ToolDelta(0, arguments="}")))
    chunk = json.loads(writer().delta(Delta((delta,)))[6:])
    assert faults(CHUNK, chunk) == []
    assert chunk["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]


# What an answer has that OpenAI's have not --------------------------------------------------------

FOUND = {
    "citations": ["https://x.test/a"],
    "search_results": [{"title": "A\n\u2028", "date": None, "score": 1.5}],
}
WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 5, "model": "sonar",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a" * 900},
                 "finish_reason": "stop", "delta": {"role": "assistant", "content": ""}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    **FOUND,
}  # fmt: skip
LOOSE = {**WHOLE, "object": "chat", "service_tier": "on_demand", "images": [], "x": None}
TARGET = Target("sonar", 100)


def events(body: bytes) -> list[dict[str, object]]:
    return [json.loads(data) for _, data in SseDecoder().feed(body)]


def understood(said: dict[str, object], indent: int | None) -> Completion:
    return openai.decode(200, {}, json.dumps(said, indent=indent).encode(), TARGET)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("said", [WHOLE, LOOSE], ids=["strict", "loose"])
def test_other_fields_of_an_answer_are_told_once_where_it_is_cut(
    said: dict[str, object], indent: int | None
) -> None:
    answer = understood(said, indent)
    assert (answer.raw is UNSET) is (said is LOOSE)
    *before, last = events(b"".join(writer().recut(answer)))
    assert all(not FOUND.keys() & chunk.keys() for chunk in before)
    assert {name: last[name] for name in FOUND} == FOUND
    assert last.keys() - FOUND.keys() == {"id", "object", "created", "model", "choices"}
    assert faults(CHUNK, last) == []


@pytest.mark.parametrize("said", [WHOLE, LOOSE], ids=["strict", "loose"])
def test_other_fields_of_an_answer_are_told_whole(said: dict[str, object]) -> None:
    body = completion_body(
        understood(said, None), "m", b"", usage=Usage(1, 2), request_id="r1", created=7
    )
    told = json.loads(body)
    assert {name: told[name] for name in FOUND} == FOUND
    assert (told["object"], told["model"]) == ("chat.completion", "m")


@pytest.mark.parametrize("kind", ["chat.completion.chunk", "chat.completion.done"])
def test_other_fields_of_a_chunk_are_told_where_it_is_written_anew(kind: str) -> None:
    delta = {"role": "assistant", "content": "a"}
    chunk = {
        **WHOLE, "object": kind,
        "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}],
    }  # fmt: skip
    decoder = openai.decoder(TARGET)
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    deltas = [*decoder.feed(data + DONE), *decoder.finish()]
    assert [delta.raw for delta in deltas] == [None]  # for it tells usage beside a delta
    chunks = writer()
    [told] = events(b"".join(chunks.delta(delta) for delta in deltas))
    assert {name: told[name] for name in FOUND} == FOUND
    assert "usage" not in told
    assert faults(CHUNK, told) == []


# What is said of a choice beside its message ------------------------------------------------------

FILTERED: dict[str, Any] = {
    "content_filter_results": {"hate": {"filtered": True, "severity": "high"}}
}
UNSAID: dict[str, Any] = {"stop_reason": None, "token_ids": [], "content_filter_offsets": {}}
PIECES: list[dict[str, Any]] = [
    {"delta": {"role": "assistant", "content": ""}, "finish_reason": None},
    {"delta": {"content": "a"}, "finish_reason": None, **UNSAID},
    {"delta": {}, "finish_reason": "content_filter", **FILTERED, **UNSAID},
]


def choices_of(body: bytes) -> list[dict[str, object]]:
    chunks: list[Any] = [json.loads(data) for _, data in SseDecoder().feed(body)]
    assert [fault for chunk in chunks for fault in faults(CHUNK, chunk)] == []
    return [choice for chunk in chunks for choice in chunk["choices"]]


@pytest.mark.parametrize("said", [WHOLE, LOOSE], ids=["strict", "loose"])
def test_fields_of_a_choice_are_told_at_its_end_where_it_is_cut(said: dict[str, Any]) -> None:
    [choice] = said["choices"]
    answer = understood({**said, "choices": [{**choice, **FILTERED, **UNSAID}]}, None)
    assert (answer.raw is UNSET) is (said is LOOSE)
    *before, last = choices_of(b"".join(writer().recut(answer)))
    assert last.keys() - FILTERED.keys() == {"index", "delta", "logprobs", "finish_reason"}
    assert last["content_filter_results"] == FILTERED["content_filter_results"]
    assert all(not FILTERED.keys() & each.keys() for each in before)
    if said is LOOSE:
        body = completion_body(answer, "m", b"", usage=Usage(1, 2), request_id="r1", created=7)
        [told] = json.loads(body)["choices"]
        assert told["content_filter_results"] == FILTERED["content_filter_results"]


@pytest.mark.parametrize("kind", ["chat.completion.chunk", "chat.completion.done"])
@pytest.mark.parametrize("usage", [None, WHOLE["usage"]], ids=["", "usage with the finish"])
def test_fields_of_a_choice_are_told_of_a_stream_that_is_held_or_written_anew(
    kind: str, usage: object
) -> None:
    head = {"id": "c", "object": kind, "created": 5, "model": "m"}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "logprobs": None, **piece}]} for piece in PIECES
    ]
    chunks[-1]["usage"] = usage
    decoder = openai.decoder(TARGET)
    data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    deltas = [*decoder.feed(data + DONE), *decoder.finish()]
    flowing, held = writer(), Assembly()
    held.add(deltas)
    for body in (
        b"".join(map(flowing.delta, deltas)),
        b"".join(writer().recut(held.completion(None))),
    ):
        last = choices_of(body)[-1]
        assert (last["finish_reason"], last["delta"]) == ("content_filter", {})
        assert last["content_filter_results"] == FILTERED["content_filter_results"]


def test_what_a_filter_says_later_is_told() -> None:
    """Azure's asynchronous filter: a choice without a delta."""
    decoder = openai.decoder(TARGET)
    later = {"index": 0, "finish_reason": None, **FILTERED}
    chunk = {"id": "", "object": "", "created": 0, "model": "", "choices": [later]}
    decoder.feed(b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
    [delta] = decoder.feed(b"data: %b\n\n" % json.dumps(chunk).encode())
    [choice] = choices_of(writer().delta(delta))
    assert choice["content_filter_results"] == FILTERED["content_filter_results"]
