"""What no provider should ever send: each is an UpstreamError of its class, or a right value.

Through the whole service, with what it costs, they are in tests/service/test_bad_upstreams.py.
"""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.core import billing as tally
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Throttled,
    UpstreamError,
)
from gateway.wire import openai
from gateway.wire.dialect import Target
from tests.folding import fold

JSON = dict[str, Any]

TARGET = Target("m", 100)
USAGE: JSON = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
HEAD: JSON = {"id": "c", "created": 5, "model": "m"}
MESSAGE: JSON = {"role": "assistant", "content": "hi", "refusal": None}
CHOICE: JSON = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": None}
ANSWER: JSON = {**HEAD, "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}
GOOD = json.dumps(ANSWER).encode()
PAGE = b"<html><body>502 Bad Gateway at 10.0.0.1</body></html>"
TEXT = "text/html; charset=utf-8"


def event(*choices: JSON, **fields: Any) -> bytes:
    chunk = {**HEAD, "object": "chat.completion.chunk", "choices": choices, **fields}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def piece(delta: JSON, finish: str | None = None, index: int = 0) -> JSON:
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


def call(**fields: Any) -> JSON:
    return {"tool_calls": [fields]}


FIRST = event(piece({"role": "assistant", "content": ""}))
HI = event(piece({"content": "hi"}))
END = event(piece({}, "stop"))
DONE = b"data: [DONE]\n\n"
FLOW = FIRST + HI + END + DONE


def whole(body: bytes, status: int = 200, **headers: str) -> Completion:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai.decode(status, named, body, TARGET)


def stream(body: bytes) -> list[Delta]:
    decoder = openai.decoder(TARGET)
    return decoder.feed(body) + decoder.finish()


BAD_WHOLE: dict[str, tuple[int, bytes, type[UpstreamError]]] = {
    "empty": (200, b"", Broken),
    "white space": (200, b" \r\n", Broken),
    "truncated": (200, GOOD[:-9], Broken),
    "truncated in a word": (200, GOOD[:20], Broken),
    "two of them": (200, GOOD + GOOD, Broken),
    "NaN": (200, GOOD.replace(b'"completion_tokens": 4', b'"completion_tokens": NaN'), Broken),
    "Infinity": (200, GOOD.replace(b'"created": 5', b'"created": Infinity'), Broken),
    "a number beyond all bounds": (200, GOOD.replace(b"5", b"1e999"), Broken),
    "not UTF-8": (200, GOOD.replace(b"hi", b"h\xff"), Broken),
    "half a surrogate": (200, GOOD.replace(b"hi", b"h\\ud800"), Broken),
    "a page": (200, PAGE, Broken),
    "a stream": (200, FLOW, Broken),
    "text": (200, b"upstream connect error", Broken),
    "no choices": (200, json.dumps({**ANSWER, "choices": []}).encode(), Broken),
    "null choices": (200, json.dumps({**ANSWER, "choices": None}).encode(), Broken),
    "choices of numbers": (200, json.dumps({**ANSWER, "choices": [1]}).encode(), Broken),
    "a call that nobody named": (
        200,
        json.dumps(
            {**ANSWER, "choices": [{**CHOICE, "message": {**MESSAGE, **call(id="a")}}]}
        ).encode(),
        Broken,
    ),
    "too deep": (200, b'{"choices":' + b"[" * 100_000, Broken),
    "204": (204, b"", Broken),
    "a redirect": (302, b"", Misconfigured),
    "a page with 401": (401, PAGE, Misconfigured),
    "a page with 404": (404, PAGE, Misconfigured),
    "a page with 429": (429, PAGE, Throttled),
    "a page with 500": (500, PAGE, Faulty),
    "a page with 502": (502, PAGE, Faulty),
    "a page with 503": (503, PAGE, Overloaded),
    "an answer with 500": (500, GOOD, Faulty),
    "half an error": (500, b'{"error": {"mess', Faulty),
}


@pytest.mark.parametrize(("status", "body", "kind"), BAD_WHOLE.values(), ids=BAD_WHOLE)
def test_a_bad_whole_answer(status: int, body: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as caught:
        whole(body, status, content_type=TEXT)
    assert type(caught.value) is kind
    assert "10.0.0.1" not in str(caught.value)
    assert "Bad Gateway" not in str(caught.value)


BAD_STREAMS: dict[str, bytes] = {
    "empty": b"",
    "white space": b"\r\n\r\n",
    "only an end": DONE,
    "truncated": FIRST + HI,
    "truncated in an event": FIRST + HI + END[:-20],
    "NaN": FIRST + HI.replace(b"5", b"NaN") + END + DONE,
    "not UTF-8 where it is read": FIRST + HI.replace(b"hi", b"h\xff") + END + DONE,
    "half a surrogate": FIRST + HI.replace(b"hi", b"h\\ud800") + END + DONE,
    "a page": PAGE,
    "a page midway": FIRST + b"data: " + PAGE + b"\n\n" + END + DONE,
    "no object": FIRST + b"data: 7\n\n" + END + DONE,
    "a call that nobody named": FIRST
    + event(piece(call(index=0, id="a", function={"arguments": "{}"})))
    + END
    + DONE,
    "a line beyond 4 MiB": FIRST + b"data: " + b"x" * (4 * 2**20 + 1),
    "too deep": FIRST + b'data: {"choices":' + b"[" * 100_000 + b"\n\n",
}


@pytest.mark.parametrize("body", BAD_STREAMS.values(), ids=BAD_STREAMS)
def test_a_bad_stream(body: bytes) -> None:
    with pytest.raises(Broken) as caught:
        stream(body)
    assert "10.0.0.1" not in str(caught.value)


def test_the_content_type_is_not_believed() -> None:
    """What the body is decides: hosts send JSON as text, and pages as JSON."""
    assert whole(GOOD, content_type=TEXT).first.text == "hi"
    assert whole(GOOD).first.text == "hi"


@pytest.mark.parametrize(
    ("twice", "text"),
    [
        (GOOD.replace(b'"content": "hi"', b'"content": "no", "content": "hi"'), "hi"),
        (GOOD.replace(b'"created": 5', b'"created": "x", "created": 5'), "hi"),
        (GOOD.replace(b'"index": 0', b'"index": 7, "index": 0'), "hi"),
        (GOOD.replace(b'"usage"', b'"usage": {"prompt_tokens": 9}, "usage"'), "hi"),
    ],
)
def test_of_a_key_that_is_there_twice_the_last_one_counts(twice: bytes, text: str) -> None:
    """As with every client's parser: what we judge and bill is what it will read."""
    assert twice != GOOD
    answer = whole(twice)
    assert (answer.first.index, answer.first.text, answer.usage) == (0, text, Usage(10, 4))
    assert json.loads(twice)["choices"][0]["message"]["content"] == text


INDEXES: dict[str, tuple[list[int], list[int]]] = {
    # indexes of choices as they were sent, and as they are read
    "twice": ([0, 0], [0, 1]),
    "large": ([128], [128]),
}
NO_INDEXES = (129, 2**31 - 1, 2**31, 10**30, -1, 129.0, 1e30)
"""A client may make a list so long."""


@pytest.mark.parametrize(("sent", "read"), INDEXES.values(), ids=INDEXES)
def test_indexes_of_choices(sent: list[int], read: list[int]) -> None:
    choices = [{**CHOICE, "index": index} for index in sent]
    answer = whole(json.dumps({**ANSWER, "choices": choices}).encode())
    assert [choice.index for choice in answer.choices] == read
    if len(sent) == 1:
        body = event(piece({"role": "assistant", "content": "hi"}, index=sent[0]))
        folded, _ = fold(stream(body + event(piece({}, "stop", sent[0])) + DONE))
        assert [(index, choice.text) for index, choice in folded.items()] == [(read[0], "hi")]


@pytest.mark.parametrize("strictly", [True, False], ids=["strict", "loose"])
@pytest.mark.parametrize("index", NO_INDEXES)
def test_an_absurd_index_is_no_answer(index: float, strictly: bool) -> None:
    """Of a choice or of a call; in what is valid otherwise, and in what is not."""
    fields: JSON = {} if strictly else {"created": "yesterday"}
    choices = [{**CHOICE, "index": index}]
    with pytest.raises(Broken, match="absurd index"):
        whole(json.dumps({**ANSWER, **fields, "choices": choices}).encode())
    spoken = {**piece({"role": "assistant", "content": "hi"}), "index": index}
    a_call = piece(call(index=index, id="a", type="function", function={"name": "f"}))
    for told in (spoken, a_call):
        decoder = openai.decoder(TARGET)
        assert decoder.feed(FIRST + HI)
        with pytest.raises(Broken, match="absurd index"):
            decoder.feed(event(told, **fields))


ABSURD: dict[str, Any] = {
    "negative": {**USAGE, "prompt_tokens": -1},
    "negative completion": {**USAGE, "completion_tokens": -7},
    "a billion": {**USAGE, "completion_tokens": 10**9},
    "a billion and more": {**USAGE, "prompt_tokens": 999_999_999_999},
    "beyond 64 bits": {**USAGE, "prompt_tokens": 10**30},
    "a fraction": {**USAGE, "completion_tokens": 0.5},
    "in words": {**USAGE, "prompt_tokens": "ten"},
    "true": {**USAGE, "prompt_tokens": True},
    "null": {**USAGE, "prompt_tokens": None},
    "half of it": {"prompt_tokens": 10},
    "empty": {},
    "a list": [10, 4],
    "a number": 14,
}
ASKED = ChatRequest({"messages": Raw(b'[{"role":"user","content":"What is 17*23?"}]')}, "m")


@pytest.mark.parametrize("usage", ABSURD.values(), ids=ABSURD)
def test_absurd_usage_is_none_and_is_counted(usage: Any) -> None:
    answer = whole(json.dumps({**ANSWER, "usage": usage}).encode())
    assert answer.usage is None
    billed, counted = tally.billed(answer, ASKED)
    assert counted
    for last in (event(usage=usage), event(piece({"content": ""}), usage=usage)):
        deltas = stream(FIRST + HI + END + last + DONE)
        assert [delta.usage for delta in deltas if delta.usage] == []
        seen = tally.Tally()
        seen.add(deltas)
        assert seen.billed(ASKED) == (billed, True)
    assert billed.prompt > 0
    assert billed.completion == 1


DETAILS: dict[str, tuple[JSON, Usage]] = {
    "cached beyond the prompt": (
        {"prompt_tokens_details": {"cached_tokens": 99}},
        Usage(10, 4, 10),
    ),
    "negative cached": ({"prompt_tokens_details": {"cached_tokens": -1}}, Usage(10, 4)),
    "thoughts beyond the answer": (
        {"completion_tokens_details": {"reasoning_tokens": 99}},
        Usage(10, 4, reasoning=4),
    ),
    "absurd thoughts": (
        {"completion_tokens_details": {"reasoning_tokens": 10**30}},
        Usage(10, 4),
    ),
    "a negative total": ({"total_tokens": -14}, Usage(10, 4)),
    "an absurd total": ({"total_tokens": 10**30}, Usage(10, 4)),
    "no total": ({"total_tokens": None}, Usage(10, 4)),
    "details that are none": ({"prompt_tokens_details": 7}, Usage(10, 4)),
    "sound beyond the prompt": (
        {"prompt_tokens_details": {"audio_tokens": 99}},
        Usage(10, 4, audio_prompt=10),
    ),
    "sound beyond the answer": (
        {"completion_tokens_details": {"audio_tokens": 99}},
        Usage(10, 4, audio_completion=4),
    ),
    "images beyond the answer": (
        {"completion_tokens_details": {"image_tokens": 99}},
        Usage(10, 4, image_completion=4),
    ),
    "negative sound": ({"prompt_tokens_details": {"audio_tokens": -1}}, Usage(10, 4)),
    "absurd sound": ({"completion_tokens_details": {"audio_tokens": 10**30}}, Usage(10, 4)),
}


@pytest.mark.parametrize(("fields", "usage"), DETAILS.values(), ids=DETAILS)
def test_details_that_make_no_sense(fields: JSON, usage: Usage) -> None:
    told = {**USAGE, **fields}
    assert whole(json.dumps({**ANSWER, "usage": told}).encode()).usage == usage
    assert fold(stream(FIRST + HI + END + event(usage=told) + DONE))[1] == usage


@pytest.mark.parametrize("strictly", [True, False], ids=["strict", "loose"])
def test_what_of_it_is_sound(strictly: bool) -> None:
    told = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 6},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 3,
            "image_tokens": 1,
        },
    }
    fields: JSON = {} if strictly else {"created": "yesterday"}
    usage = Usage(10, 4, 2, audio_prompt=6, audio_completion=3, image_completion=1)
    assert whole(json.dumps({**ANSWER, **fields, "usage": told}).encode()).usage == usage
    assert fold(stream(FIRST + HI + END + event(usage=told, **fields) + DONE))[1] == usage
