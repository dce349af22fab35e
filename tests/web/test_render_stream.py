"""Relaying a provider's chunks, and writing our own."""

import json

import pytest

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta, Usage
from gateway.web.render_stream import ChunkWriter
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
    delta = Delta((ChoiceDelta(0),), id="c1", created=5, raw=raw)
    chunk_writer = writer()
    for _ in range(2):  # the second one goes the short way
        event = chunk_writer.delta(delta)
        assert event.startswith(b"data: ")
        assert event.endswith(b"\n\n")
        assert json.loads(event[6:]) == {**json.loads(raw), "model": "catalog-name"}


def test_a_chunk_that_does_not_follow_is_written_anew() -> None:
    chunk_writer = writer()
    first = chunk_writer.delta(Delta((ChoiceDelta(0, "a"),)))
    raw = MODELS[0]
    then = chunk_writer.delta(Delta((ChoiceDelta(0, "b"),), id="c1", created=5, raw=raw))
    for event, text in ((first, "a"), (then, "b")):
        chunk = json.loads(event[6:])
        assert (chunk["id"], chunk["created"]) == ("chatcmpl-r1", 7)
        assert chunk["choices"][0]["delta"]["content"] == text


def test_a_delta_that_only_tells_usage_is_no_event() -> None:
    assert writer().delta(Delta(usage=Usage(10, 4))) == b""


def test_tool_deltas() -> None:
    delta = ChoiceDelta(0, tool_calls=(ToolDelta(0, "c1", "f", "{"), ToolDelta(0, arguments="}")))
    chunk = json.loads(writer().delta(Delta((delta,)))[6:])
    assert faults(CHUNK, chunk) == []
    assert chunk["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]
