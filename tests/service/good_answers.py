"""A good answer in every dialect, whole and streamed, made so that one thing of it can be bad."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.simulator.eventstream import event, exception

TEXT: Final = json.dumps("17*23 = 391.")
TOLD: Final = ("11", "7")
"""Tokens of prompt and answer, as they stand in the JSON."""

Told = tuple[str, str] | None
"""None: the provider tells no usage."""
Whole = Callable[[str, Told], bytes]
Flow = Callable[[str, Told], tuple[bytes, bytes]]
"""Up to the first piece of text, and the rest."""


@dataclass(frozen=True)
class Format:
    name: str
    base: str
    kind: str
    """The content type of its streams."""
    _whole: Whole
    _flow: Flow
    error: Callable[[str], bytes]
    """A body."""
    error_inside: Callable[[str], bytes]
    """In a stream."""
    noise: Callable[[int], bytes]
    """What says nothing in a stream, and takes about so many bytes to do it."""

    def whole(self, text: str = TEXT, told: Told = TOLD) -> bytes:
        return self._whole(text, told)

    def flow(self, text: str = TEXT, told: Told = TOLD) -> tuple[bytes, bytes]:
        return self._flow(text, told)

    def stream(self, text: str = TEXT, told: Told = TOLD) -> bytes:
        return b"".join(self._flow(text, told))


def sse(*events: str) -> bytes:
    return "".join(f"data: {data}\n\n" for data in events).encode()


def _counts(told: Told, name: str, fields: Iterable[str]) -> str:
    """Usage as the last field of an object."""
    if told is None:
        return ""
    inside = ",".join(f'"{field}":{count}' for field, count in zip(fields, told, strict=True))
    return f',"{name}":{{{inside}}}'


# openai ------------------------------------------------------------------------------------------


def _openai_counts(told: Told) -> str:
    usage = _counts(told, "usage", ("prompt_tokens", "completion_tokens"))
    total = 0 if told == ("0", "0") else 18
    return usage and f'{usage[:-1]},"total_tokens":{total}}}'


def _openai_whole(text: str, told: Told) -> bytes:
    return (
        '{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
        f'"message":{{"role":"assistant","content":{text},"refusal":null}},"finish_reason":"stop",'
        f'"logprobs":null}}]{_openai_counts(told)}}}'
    ).encode()


_CHUNK: Final = '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":['


def piece(text: str, index: int = 0) -> str:
    """One chunk of the openai dialect."""
    inside = f'"index":{index},"delta":{{"role":"assistant","content":{text}}}'
    return f'{_CHUNK}{{{inside},"finish_reason":null}}]}}'


def called(index: int, call: str) -> str:
    """One chunk of a tool call."""
    inside = f'"index":{index},"delta":{{"role":"assistant","tool_calls":[{call}]}}'
    return f'{_CHUNK}{{{inside},"finish_reason":null}}]}}'


def finished(index: int = 0, why: str = "stop") -> str:
    return f'{_CHUNK}{{"index":{index},"delta":{{}},"finish_reason":"{why}"}}]}}'


def _openai_flow(text: str, told: Told) -> tuple[bytes, bytes]:
    usage = [f"{_CHUNK}]{_openai_counts(told)}}}"] if told else []
    return sse(piece(text)), sse(finished(), *usage, "[DONE]")


def _openai_error(message: str) -> bytes:
    error = {"message": message, "type": message, "param": message, "code": message}
    return json.dumps({"error": error}).encode()


# anthropic ---------------------------------------------------------------------------------------


def _anthropic_whole(text: str, told: Told) -> bytes:
    usage = _counts(told, "usage", ("input_tokens", "output_tokens"))
    return (
        '{"type":"message","id":"m1","role":"assistant","model":"m","content":[{"type":"text",'
        f'"text":{text}}}],"stop_reason":"end_turn","stop_sequence":null{usage}}}'
    ).encode()


def _anthropic_flow(text: str, told: Told) -> tuple[bytes, bytes]:
    early = told and (told[0], "1")
    start = _counts(early, "usage", ("input_tokens", "output_tokens"))
    usage = _counts(told, "usage", ("input_tokens", "output_tokens"))
    first = (
        f'{{"type":"message_start","message":{{"id":"m1"{start}}}}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}' % text,  # noqa: UP031
    )
    rest = (
        '{"type":"content_block_stop","index":0}',
        f'{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}}{usage}}}',
        '{"type":"message_stop"}',
    )
    return sse(*first), sse(*rest)


def _anthropic_error(message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": message, "message": message}}).encode()


# gemini ------------------------------------------------------------------------------------------


def _gemini(text: str, told: Told, *, done: bool) -> str:
    usage = _counts(told, "usageMetadata", ("promptTokenCount", "candidatesTokenCount"))
    end = ',"finishReason":"STOP"' if done else ""
    return (
        f'{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"text":{text}}}]}}'
        f'{end}}}]{usage},"responseId":"r1"}}'
    )


def _gemini_whole(text: str, told: Told) -> bytes:
    return _gemini(text, told, done=True).encode()


def _gemini_flow(text: str, told: Told) -> tuple[bytes, bytes]:
    return sse(_gemini(text, None, done=False)), sse(_gemini('""', told, done=True))


def _gemini_error(message: str) -> bytes:
    return json.dumps({"error": {"code": 500, "status": message, "message": message}}).encode()


# bedrock -----------------------------------------------------------------------------------------


def _bedrock_whole(text: str, told: Told) -> bytes:
    usage = _counts(told, "usage", ("inputTokens", "outputTokens"))
    return (
        f'{{"output":{{"message":{{"role":"assistant","content":[{{"text":{text}}}]}}}},'
        f'"stopReason":"end_turn"{usage}}}'
    ).encode()


def _bedrock_flow(text: str, told: Told) -> tuple[bytes, bytes]:
    usage = _counts(told, "usage", ("inputTokens", "outputTokens"))
    delta = f'{{"contentBlockIndex":0,"delta":{{"text":{text}}}}}'.encode()
    first = event("messageStart", b'{"role":"assistant"}') + event("contentBlockDelta", delta)
    rest = event("contentBlockStop", b'{"contentBlockIndex":0}')
    rest += event("messageStop", b'{"stopReason":"end_turn"}')
    return first, rest + event("metadata", f'{{"metrics":{{}}{usage}}}'.encode())


def _bedrock_error(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


# ollama ------------------------------------------------------------------------------------------


def _ollama(text: str, told: Told, *, done: bool) -> str:
    counts = "" if told is None else f',"prompt_eval_count":{told[0]},"eval_count":{told[1]}'
    end = f',"done":true,"done_reason":"stop"{counts}' if done else ',"done":false'
    return (
        '{"model":"m","created_at":"2026-01-31T00:00:00Z","message":{"role":"assistant",'
        f'"content":{text}}}{end}}}\n'
    )


def _ollama_whole(text: str, told: Told) -> bytes:
    return _ollama(text, told, done=True).encode()


def _ollama_flow(text: str, told: Told) -> tuple[bytes, bytes]:
    return _ollama(text, None, done=False).encode(), _ollama('""', told, done=True).encode()


def _ollama_error(message: str) -> bytes:
    return json.dumps({"error": message}).encode()


_SSE: Final = "text/event-stream"


def _comment(size: int) -> bytes:
    return b": " + b"." * size + b"\n\n"


FORMATS: Final = (
    Format(
        "openai", "/hidden/v1", _SSE, _openai_whole, _openai_flow, _openai_error,
        lambda message: b"data: " + _openai_error(message) + b"\n\n", _comment,
    ),
    Format(
        "anthropic", "/hidden", _SSE, _anthropic_whole, _anthropic_flow, _anthropic_error,
        lambda message: b"event: error\ndata: " + _anthropic_error(message) + b"\n\n", _comment,
    ),
    Format(
        "gemini", "/hidden/v1beta", _SSE, _gemini_whole, _gemini_flow, _gemini_error,
        lambda message: b"data: " + _gemini_error(message) + b"\n\n", _comment,
    ),
    Format(
        "bedrock", "/hidden", "application/vnd.amazon.eventstream", _bedrock_whole, _bedrock_flow,
        _bedrock_error,
        lambda message: exception("internalServerException", _bedrock_error(message)),
        lambda size: event("padding", b" " * size),
    ),
    Format(
        "ollama", "/hidden", "application/x-ndjson", _ollama_whole, _ollama_flow, _ollama_error,
        lambda message: _ollama_error(message) + b"\n", lambda size: b" " * size + b"\n",
    ),
)  # fmt: skip
OPENAI: Final = FORMATS[0]
BEDROCK: Final = FORMATS[3]
