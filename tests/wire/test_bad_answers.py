"""Answers that cannot be true, in every dialect, whole and streamed: each is an error of its class,
or read as far as it can be believed. A usage that cannot be is missing: then tokens are counted.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from gateway.core.chat import Usage
from gateway.core.errors import (
    Broken,
    Overloaded,
    Throttled,
    UpstreamError,
)
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from gateway.wire.eventstream import Message, encode
from tests.folding import fold

TARGET: Final = Target("anthropic.claude-sonnet-4-5-v1:0", 100)


def sse(*data: str) -> bytes:
    return b"".join(f"data: {each}\n\n".encode() for each in data)


def frames(*events: tuple[str, str]) -> bytes:
    return b"".join(
        encode(Message({":message-type": "event", ":event-type": kind}, data.encode()))
        for kind, data in events
    )


def chunks(*data: str) -> bytes:
    wrapped = (json.dumps({"bytes": base64.b64encode(each.encode()).decode()}) for each in data)
    return frames(*(("chunk", each) for each in wrapped))


# Answers that say %TEXT with a usage of %PROMPT and %ANSWER, at index %AT.

_CLAUDE_WHOLE: Final = (
    '{"type":"message","id":"i","content":[{"type":"text","text":%TEXT}],"stop_reason":"end_turn",'
    '"usage":{"input_tokens":%PROMPT,"output_tokens":%ANSWER}}'
)
_CLAUDE_STREAM: Final = (
    '{"type":"message_start","message":{"id":"i","usage":{"input_tokens":%PROMPT}}}',
    '{"type":"content_block_start","index":%AT,"content_block":{"type":"text","text":""}}',
    '{"type":"content_block_delta","index":%AT,"delta":{"type":"text_delta","text":%TEXT}}',
    '{"type":"content_block_stop","index":%AT}',
    '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%ANSWER}}',
    '{"type":"message_stop"}',
)
_CONVERSE: Final = (
    '{"output":{"message":{"content":[{"text":%TEXT}]}},"stopReason":"end_turn",'
    '"usage":{"inputTokens":%PROMPT,"outputTokens":%ANSWER}}'
)
_GEMINI: Final = (
    '{"candidates":[{"index":%AT,"content":{"parts":[{"text":%TEXT}]},"finishReason":"STOP"}],'
    '"usageMetadata":{"promptTokenCount":%PROMPT,"candidatesTokenCount":%ANSWER}}'
)
_OLLAMA: Final = (
    '{"message":{"content":%TEXT},"done":true,"done_reason":"stop",'
    '"prompt_eval_count":%PROMPT,"eval_count":%ANSWER}'
)
_CHUNK: Final = '{"id":"i","object":"chat.completion.chunk","created":1,"model":"m",'
_OPENAI_USAGE: Final = (
    '"usage":{"prompt_tokens":%PROMPT,"completion_tokens":%ANSWER,"total_tokens":9}'
)

ANSWERS: Final[Mapping[str, tuple[str, tuple[str, ...], Callable[..., bytes]]]] = {
    # a dialect: a whole answer, a streamed one, and how its events are framed
    "openai": (
        '{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":%AT,'
        '"message":{"role":"assistant","content":%TEXT},"finish_reason":"stop"}],'
        + _OPENAI_USAGE + "}",
        (
            _CHUNK + '"choices":[{"index":%AT,"delta":{"role":"assistant","content":%TEXT},'
            + '"finish_reason":"stop"}]}',
            _CHUNK + '"choices":[],' + _OPENAI_USAGE + "}",
            "[DONE]",
        ),
        sse,
    ),
    "anthropic": (_CLAUDE_WHOLE, _CLAUDE_STREAM, sse),
    "anthropic-vertex": (_CLAUDE_WHOLE, _CLAUDE_STREAM, sse),
    "bedrock": (
        _CONVERSE,
        (
            '{"contentBlockIndex":%AT,"delta":{"text":%TEXT}}',
            '{"stopReason":"end_turn"}',
            '{"usage":{"inputTokens":%PROMPT,"outputTokens":%ANSWER}}',
        ),
        lambda *data: frames(
            *zip(("contentBlockDelta", "messageStop", "metadata"), data, strict=True)
        ),
    ),
    "bedrock-invoke": (_CLAUDE_WHOLE, _CLAUDE_STREAM, chunks),
    "gemini": (_GEMINI, (_GEMINI,), sse),
    "ollama": (_OLLAMA, (_OLLAMA,), lambda *data: "\n".join(data).encode()),
}  # fmt: skip


def filled(said: str, **words: str) -> str:
    words = {"TEXT": '"Hi"', "PROMPT": "5", "ANSWER": "3", "AT": "0", **words}
    for name, word in words.items():
        said = said.replace(f"%{name}", word)
    return said


def told(dialect: str, body: bytes, way: str) -> tuple[str, Usage | None]:
    """Text and usage of a body: `whole`, or `streamed` in pieces of seven bytes."""
    spoken = DIALECTS[dialect]
    if way == "whole":
        answer = spoken.decode(200, {}, body, TARGET)
        return answer.first.text or "", answer.usage
    decoder = spoken.decoder(TARGET)
    deltas = [delta for i in range(0, len(body), 7) for delta in decoder.feed(body[i : i + 7])]
    choices, usage = fold(deltas + decoder.finish())
    return "".join(choice.text for choice in choices.values()), usage


def answer(dialect: str, way: str, **words: str) -> bytes:
    whole, stream, framed = ANSWERS[dialect]
    if way == "whole":
        return filled(whole, **words).encode()
    return framed(*(filled(each, **words) for each in stream))


BOTH: Final = [(dialect, way) for dialect in ANSWERS for way in ("whole", "streamed")]


@pytest.mark.parametrize(("dialect", "way"), BOTH)
def test_the_sound_answer(dialect: str, way: str) -> None:
    text, usage = told(dialect, answer(dialect, way), way)
    assert text == "Hi"
    assert usage is not None
    assert usage.prompt == 5


ABSURD: Final = ("-1", "-0.5", "1.5", str(2**41), str(2**70), '"7"', "true", "[3]", "{}", "1e300")


@pytest.mark.parametrize("count", ABSURD)
@pytest.mark.parametrize("name", ["PROMPT", "ANSWER"])
@pytest.mark.parametrize(("dialect", "way"), BOTH)
def test_a_usage_that_cannot_be_is_missing(dialect: str, way: str, name: str, count: str) -> None:
    text, usage = told(dialect, answer(dialect, way, **{name: count}), way)
    assert text == "Hi"
    # Of an answer that breaks off, what was told of its prompt alone is known.
    assert usage in (None, Usage(5, 0))


@pytest.mark.parametrize(
    ("dialect", "way"), [each for each in BOTH if each[0] != "openai"]
)  # fmt: skip
@pytest.mark.parametrize("count", [10**9, 2**40])
def test_a_billion_tokens_are_not_believed(dialect: str, way: str, count: int) -> None:
    assert told(dialect, answer(dialect, way, ANSWER=str(count)), way)[1] in (None, Usage(5, 0))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "0x1", "01", "nul", ""])
@pytest.mark.parametrize("name", ["TEXT", "PROMPT"])
@pytest.mark.parametrize(("dialect", "way"), BOTH)
def test_what_is_no_json_is_broken(dialect: str, way: str, name: str, word: str) -> None:
    with pytest.raises(Broken):
        told(dialect, answer(dialect, way, **{name: word}), way)


@pytest.mark.parametrize(("dialect", "way"), BOTH)
def test_of_a_key_that_comes_twice_the_last_counts(dialect: str, way: str) -> None:
    whole, stream, _ = ANSWERS[dialect]
    key = next(
        key for key in ("text", "content")
        if f'"{key}":%TEXT' in (whole if way == "whole" else "".join(stream))
    )  # fmt: skip
    assert told(dialect, answer(dialect, way, TEXT=f'"No","{key}":"Hi"'), way)[0] == "Hi"


_CLAUDE_FAILS: Final = (
    ('{"type":"message","content":null,"usage":{"input_tokens":5,"output_tokens":3}}', Broken),
    (
        '{"error":{"type":"overloaded_error"},"usage":{"input_tokens":5,"output_tokens":3}}',
        Overloaded,
    ),
)
_OLLAMA_COUNTS: Final = '{%s,"prompt_eval_count":5,"eval_count":3}'
_OPENAI_COUNTS: Final = '"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
_GEMINI_COUNTS: Final = '"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":3}}'
FAILURES: Final[Mapping[str, tuple[tuple[str, type[UpstreamError]], ...]]] = {
    # whole answers that are none, and tell what they came to
    "openai": (
        ('{"choices":[],' + _OPENAI_COUNTS, Broken),
        ('{"error":{"message":"why","code":503},' + _OPENAI_COUNTS, Overloaded),
        ('{"choices":[{"finish_reason":"error"}],' + _OPENAI_COUNTS, Broken),
    ),
    "anthropic": _CLAUDE_FAILS,
    "anthropic-vertex": _CLAUDE_FAILS,
    "bedrock": (
        (filled(_CONVERSE).replace("end_turn", "malformed_tool_use"), Broken),
        ('{"usage":{"inputTokens":5,"outputTokens":3}}', Broken),
    ),
    "bedrock-invoke": _CLAUDE_FAILS,
    "gemini": (
        ("{" + _GEMINI_COUNTS, Broken),
        ('{"error":{"code":503,"message":"why"},' + _GEMINI_COUNTS, Overloaded),
        ('{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}],' + _GEMINI_COUNTS, Broken),
    ),
    "ollama": (
        (_OLLAMA_COUNTS % '"message":{"tool_calls":[{}]},"done":true', Broken),
        (_OLLAMA_COUNTS % '"error":"server busy"', Overloaded),
    ),
}


@pytest.mark.parametrize(("dialect", "way"), BOTH)
def test_an_answer_that_is_none_tells_what_it_came_to(dialect: str, way: str) -> None:
    for body, kind in FAILURES[dialect]:
        with pytest.raises(kind) as caught:
            told(dialect, body.encode(), way)
        usage = caught.value.usage
        assert usage is not None
        assert (usage.prompt, usage.completion) == (5, 3)


STREAMS: Final[Mapping[str, tuple[bytes, type[UpstreamError]]]] = {
    "openai": (
        sse('{"error":{"message":"why","code":503},"choices":[],' + _OPENAI_COUNTS),
        Overloaded,
    ),
    "bedrock": (
        frames(
            ("messageStop", '{"stopReason":"malformed_model_output"}'),
            ("metadata", '{"usage":{"inputTokens":5,"outputTokens":3}}'),
        ),
        Broken,
    ),
    "gemini": (
        sse("{" + _GEMINI_COUNTS, '{"candidates":[{"finishReason":"MALFORMED_RESPONSE"}]}'),
        Broken,
    ),
    "anthropic": (
        sse('{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}'),
        Broken,
    ),
    "anthropic-vertex": (
        sse('{"type":"message_start","message":{"usage":{"input_tokens":5}}}', "{"),
        Broken,
    ),
}


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stream_that_says_nothing_and_fails_tells_what_it_came_to(dialect: str) -> None:
    body, kind = STREAMS[dialect]
    with pytest.raises(kind) as caught:
        told(dialect, body, "streamed")
    usage = caught.value.usage
    assert usage is not None
    # Of an answer that has not begun Anthropic tells the prompt alone.
    assert (usage.prompt, usage.completion) == (5, 0 if "anthropic" in dialect else 3)


def test_a_failed_answer_that_counts_nothing_is_free() -> None:
    body = (
        b'{"error":{"message":"why","code":503},"usage":{"prompt_tokens":0,"completion_tokens":0}}'
    )
    with pytest.raises(Overloaded) as caught:
        told("openai", body, "whole")
    assert caught.value.usage is None


HUGE: Final[Mapping[tuple[str, str], str]] = {
    # at what index an answer stands: its text, or why it is none. Where a block's index is only a
    # name, any will do.
    ("openai", "whole"): "broken",
    ("openai", "streamed"): "broken",
    ("anthropic", "streamed"): "Hi",
    ("bedrock", "streamed"): "Hi",
    ("gemini", "whole"): "broken",
    ("gemini", "streamed"): "broken",
}


@pytest.mark.parametrize("index", [-1, 129, 2**31, 2**40])
@pytest.mark.parametrize(("dialect", "way"), HUGE)
def test_a_huge_index(dialect: str, way: str, index: int) -> None:
    body = answer(dialect, way, AT=str(index))
    try:
        text, _ = told(dialect, body, way)
    except UpstreamError as error:
        text = error.kind
    assert text == HUGE[dialect, way]


EMPTY: Final[Mapping[str, tuple[str, ...]]] = {
    # whole answers with nothing in them
    "openai": ("{}", '{"choices":[]}', '{"choices":null}', '{"choices":[null]}', '{"choices":{}}'),
    "anthropic": ("{}", '{"type":"message"}', '{"type":"message","content":null}'),
    "anthropic-vertex": ("{}", '{"content":7}'),
    "bedrock": ("{}", '{"output":null}', '{"output":{}}', '{"output":{"message":{}}}'),
    "bedrock-invoke": ("{}", '{"output":{}}', '{"content":null}'),
    "gemini": (
        "{}", '{"candidates":[]}', '{"candidates":[null]}', '{"candidates":[{}]}',
        '{"candidates":[{"content":{}}]}', '{"candidates":[{"finishReason":"OTHER"}]}',
        '{"promptFeedback":{}}',
    ),
    "ollama": ("{}", '{"message":null,"done":true}', '{"message":{"content":"Hi"}}'),
}  # fmt: skip
_ANY: Final = ("", " ", "null", "[]", "7", '"Hi"', "<html>", "\x00", "{", '{"a":' * 2_000)


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize(
    ("dialect", "body"),
    [(dialect, body) for dialect, bodies in EMPTY.items() for body in (*bodies, *_ANY)],
    ids=lambda each: each[:40],
)
def test_an_answer_without_content_is_broken(dialect: str, body: str, way: str) -> None:
    with pytest.raises(Broken):
        told(dialect, body.encode(), way)


@pytest.mark.parametrize("dialect", ANSWERS)
def test_one_whole_answer_may_come_where_a_stream_was_asked_for(dialect: str) -> None:
    body = answer(dialect, "whole")
    expected = told(dialect, body, "whole")
    for begun in (b"", b"\n", b"\xef\xbb\xbf", b" \r\n"):
        assert told(dialect, begun + body, "streamed") == expected


_CLAUDE_CALL: Final = '{"type":"tool_use","id":"c","name":"","input":{}}'
_CONVERSE_CALL: Final = '{"toolUse":{"toolUseId":"c","name":""}}'
NAMELESS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # answers that call a tool without a name, whole and streamed
    "anthropic": (
        f'{{"type":"message","content":[{_CLAUDE_CALL}],"stop_reason":"tool_use"}}',
        (
            f'{{"type":"content_block_start","index":0,"content_block":{_CLAUDE_CALL}}}',
            '{"type":"message_delta","delta":{"stop_reason":"tool_use"}}',
        ),
    ),
    "bedrock": (
        f'{{"output":{{"message":{{"content":[{_CONVERSE_CALL}]}}}},"stopReason":"tool_use"}}',
        (
            f'{{"contentBlockIndex":0,"start":{_CONVERSE_CALL}}}',
            '{"stopReason":"tool_use"}',
            "{}",
        ),
    ),
    "ollama": (
        '{"message":{"tool_calls":[{"function":{"name":"","arguments":{}}}]},"done":true}',
        ('{"message":{"tool_calls":[{"function":{"arguments":{}}}]},"done":true}',),
    ),
}


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("dialect", NAMELESS)
def test_a_call_without_a_name_is_broken(dialect: str, way: str) -> None:
    whole, stream = NAMELESS[dialect]
    kinds = ("contentBlockStart", "messageStop", "metadata")
    framed = ANSWERS[dialect][2]
    body = frames(*zip(kinds, stream, strict=True)) if dialect == "bedrock" else framed(*stream)
    with pytest.raises(Broken, match="without a name"):
        told(dialect, whole.encode() if way == "whole" else body, way)


ERRORS: Final[Mapping[str, tuple[Any, type[UpstreamError]]]] = {
    "openai": ({"error": {"message": "Sorry.", "code": "rate_limit_exceeded"}}, Throttled),
    "anthropic": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Sorry."}}, Overloaded,
    ),
    "anthropic-vertex": (
        {"type": "error", "error": {"type": "rate_limit_error", "message": "Sorry."}}, Throttled,
    ),
    "bedrock": ({"__type": "ThrottlingException", "message": "Sorry."}, Throttled),
    "bedrock-invoke": ({"__type": "ServiceUnavailableException", "message": "Sorry."}, Overloaded),
    "gemini": ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "Sorry."}}, Overloaded),
    "ollama": ({"error": "Sorry. server busy"}, Overloaded),
}  # fmt: skip


@pytest.mark.parametrize("dialect", ERRORS)
def test_one_error_may_come_where_a_stream_was_asked_for(dialect: str) -> None:
    body, kind = ERRORS[dialect]
    with pytest.raises(kind, match="Sorry"):
        told(dialect, json.dumps(body).encode(), "streamed")
    with pytest.raises(kind, match="Sorry"):
        told(dialect, json.dumps(body, indent=2).encode(), "streamed")


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "bedrock", "bedrock-invoke"])
def test_a_whole_answer_is_held_no_further_than_64_mib(dialect: str) -> None:
    decoder = DIALECTS[dialect].decoder(TARGET)
    decoder.feed(b"{")
    for _ in range(63):
        decoder.feed(bytes(1024 * 1024))
    with pytest.raises(Broken):
        decoder.feed(bytes(1024 * 1024))
