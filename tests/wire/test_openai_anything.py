"""The openai dialect, fed anything: it raises UpstreamError, and nothing else."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from gateway.wire import openai
from gateway.wire.dialect import Target

TARGET = Target("gpt-x", 500)
FIRST = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'
)
STOP = FIRST.replace(b"null", b'"stop"')
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["id", "object", "created", "model", "choices", "usage", "error", "index", "delta", "message",
     "finish_reason", "role", "content", "tool_calls", "function", "name", "arguments", "type",
     "function_call", "logprobs", "refusal", "text", "prompt_tokens", "completion_tokens", "code"]
)  # fmt: skip
LIKELY = st.recursive(
    JUNK | st.sampled_from(["assistant", "chat.completion", "stop", "error", "function", 0, 1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)
BODIES = st.binary() | LIKELY.map(lambda value: json.dumps(value).encode())


def outcome(read: Any) -> str:
    """The class of error; anything but an UpstreamError is let through."""
    try:
        read()
    except UpstreamError as error:
        return error.kind
    return "ok"


@given(st.sampled_from([200, 204, 302, 400, 401, 413, 429, 500, 529]), BODIES)
def test_whole_answers_raise_nothing_but_upstream_errors(status: int, body: bytes) -> None:
    headers = {"retry-after": body[:3].decode("latin-1")}
    kind = outcome(lambda: openai.decode(status, headers, body, TARGET))
    assert kind != "ok" or status == 200


@given(st.lists(BODIES, max_size=4), st.lists(st.integers(0, 10_000), max_size=5))
def test_streams_raise_nothing_but_upstream_errors(bodies: list[bytes], places: list[int]) -> None:
    body = FIRST + b"".join(b"data: " + body + b"\n\n" for body in bodies) + STOP

    def read(pieces: list[bytes], deltas: list[Delta]) -> None:
        decoder = openai.decoder(TARGET)
        for part in pieces:
            deltas += decoder.feed(part)
        deltas += decoder.finish()

    ends = sorted({place % len(body) for place in places})
    pieces = [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]
    whole: list[Delta] = []
    cut: list[Delta] = []
    assert outcome(lambda: read([body], whole)) == outcome(lambda: read(pieces, cut))
    assert whole == cut
