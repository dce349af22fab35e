"""The judges of tests/web/strict.py do judge: one thing amiss is found."""

from typing import Final

import openai as sdk
import pytest

from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, Usage
from gateway.web.render import completion_body
from gateway.web.render_stream import DONE, ChunkWriter
from tests.web.strict import MODEL, lawful_error, lawful_stream, lawful_whole

EXTENSION: Final = b'{"cost_usd":0.0001,"attempts":[]}'
USAGE: Final = Usage(10, 4, 3, 2, 1)


def stream(*, usage: bool) -> bytes:
    chunks = ChunkWriter(MODEL, request_id="r", created=7)
    body = chunks.delta(Delta((ChoiceDelta(0, "a"),)))
    body += chunks.delta(Delta((ChoiceDelta(0, finish="stop"),)))
    return body + (chunks.usage(USAGE, EXTENSION) if usage else b"") + DONE


GOOD: Final = stream(usage=True)
WHOLE: Final = completion_body(
    Completion((Choice(0, "a"),)), MODEL, EXTENSION, usage=USAGE, request_id="r", created=7
)
ERROR: Final = b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}'
FOUND: Final = (AssertionError, KeyError, ValueError, sdk.APIError)

STREAMS: dict[str, bytes] = {
    "no [DONE]": GOOD.removesuffix(DONE),
    "an unknown finish": GOOD.replace(b'"finish_reason":"stop"', b'"finish_reason":"eos"'),
    "no finish": GOOD.replace(b'"finish_reason":"stop"', b'"finish_reason":null'),
    "finished twice": GOOD.replace(b'"finish_reason":null', b'"finish_reason":"stop"'),
    "no role": GOOD.replace(b'"role":"assistant",', b""),
    "no time": GOOD.replace(b'"created":7', b'"created":null'),
    "another model": GOOD.replace(b"catalog-name", b"upstream"),
    "no usage": stream(usage=False),
    "a wrong sum": GOOD.replace(b'"total_tokens":14', b'"total_tokens":15'),
    "too much cached": GOOD.replace(b'"cached_tokens":3', b'"cached_tokens":11'),
    "too much thought": GOOD.replace(b'"reasoning_tokens":1', b'"reasoning_tokens":5'),
    "nothing of ours": GOOD.replace(b',"gateway":' + EXTENSION, b""),
    "text that is none": GOOD.replace(b'"content":"a"', b'"content":["a"]'),
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
def test_an_unlawful_stream_is_found(body: bytes) -> None:
    lawful_stream("good", GOOD)
    assert body != GOOD
    with pytest.raises(FOUND):
        lawful_stream("bad", body)


def test_usage_that_nobody_asked_for_is_found() -> None:
    lawful_stream("good", stream(usage=False), usage=False)
    with pytest.raises(FOUND):
        lawful_stream("bad", GOOD, usage=False)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b'"finish_reason":"stop"', b'"finish_reason":""'),
        (b'"logprobs":null,', b""),
        (b'"role":"assistant"', b'"role":"model"'),
        (b'"object":"chat.completion"', b'"object":""'),
        (b'"prompt_tokens":10', b'"prompt_tokens":null'),
        (b',"gateway":' + EXTENSION, b""),
    ],
)
def test_an_unlawful_answer_is_found(there: bytes, instead: bytes) -> None:
    lawful_whole("good", WHOLE)
    assert there in WHOLE
    with pytest.raises(FOUND):
        lawful_whole("bad", WHOLE.replace(there, instead))


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b'"no"', b"null"),
        (b'"param":null,', b""),
        (b'"code":null', b'"code":7'),
        (b"}}", b'},"x":1}'),
    ],
)
def test_an_unlawful_error_is_found(there: bytes, instead: bytes) -> None:
    lawful_error("good", ERROR)
    assert there in ERROR
    with pytest.raises(FOUND):
        lawful_error("bad", ERROR.replace(there, instead))
