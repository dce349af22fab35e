"""Decodes a whole answer; the lines of a streamed one have the same shape."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from gateway.core.chat import Choice, Completion, ToolCall, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.calls import require_name
from gateway.wire.counts import are_plausible
from gateway.wire.dialect import Target
from gateway.wire.faults import with_usage
from gateway.wire.ollama.faults import fault, fault_in_body, read

_NULL: Final = Raw(b"null")


class _Function(Struct, frozen=True):
    name: str = ""
    arguments: Raw = _NULL


class _Call(Struct, frozen=True):
    function: _Function = _Function()
    id: str | None = None


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class ChatResponse(Struct):
    """A whole answer, or one line of a stream. All fields have defaults."""

    message: _Message | None = None
    created_at: str = ""
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: Any = None
    error: Any = None


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """A whole answer. Raises UpstreamError for anything else. Header names are lower case."""
    if status != 200:
        raise fault(status, headers, body)
    response = read(body, ChatResponse)
    usage = parse_usage(response)
    try:
        choice = _choice(response)
    except UpstreamError as error:
        raise with_usage(error, usage) from None
    return Completion((choice,), created=seconds(response.created_at), usage=usage)


def _choice(response: ChatResponse) -> Choice:
    if response.error:
        raise fault_in_body(response.error)
    message = response.message
    if message is None or not response.done:
        raise Broken("the provider's answer is not whole")
    calls = tool_calls(response, 0)
    return Choice(
        text=message.content or (None if calls else ""),
        tool_calls=calls,
        finish=finish(response.done_reason, called=bool(calls)),
        reasoning=message.thinking or None,
        logprobs=logprobs(response.logprobs) or UNSET,
    )


def tool_calls(response: ChatResponse, before: int) -> tuple[ToolCall, ...]:
    """The calls of an answer or a line; `before` calls came in earlier lines."""
    calls = (response.message.tool_calls if response.message else None) or ()
    return tuple(_call(call, response.created_at, before + at) for at, call in enumerate(calls))


def _call(call: _Call, when: str, place: int) -> ToolCall:
    """A tool call. Most versions send no id: one is derived from its content."""
    name, arguments = require_name(call.function.name), _text(call.function.arguments)
    seed = f"{when}/{place}/{name}/{arguments}".encode()
    made_id = f"call_{hashlib.blake2b(seed, digest_size=12).hexdigest()}"
    return ToolCall(call.id or made_id, name, arguments)


def _text(arguments: Raw) -> str:
    """Arguments as JSON text; numbers and strings stay as they were written."""
    text = bytes(arguments)
    if text.startswith(b'"'):  # a string that contains JSON
        return read(text, str) or "{}"
    return "{}" if text == b"null" else msgspec.json.format(text, indent=-1).decode()


def finish(reason: str | None, *, called: bool) -> str:
    """OpenAI's finish_reason. Ollama sends `stop` for calls too."""
    if called:
        return "tool_calls"
    return "length" if reason == "length" else "stop"


def parse_usage(response: ChatResponse) -> Usage | None:
    """None unless both counts are present: Ollama does not count a prompt that is cached."""
    prompt, answer = response.prompt_eval_count, response.eval_count
    return Usage(prompt, answer) if are_plausible(prompt, answer) else None


def seconds(created_at: str) -> int:
    """RFC 3339 as Unix seconds; 0 for anything else."""
    try:
        when = datetime.fromisoformat(created_at)
        return max(0, int(when.timestamp())) if when.tzinfo else 0
    except (ValueError, OverflowError):
        return 0


class _Token(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Logprob(_Token):
    top_logprobs: list[_Token] = msgspec.field(default_factory=list)


class _Logprobs(Struct):
    content: list[_Logprob]
    refusal: None = None


def logprobs(value: Any) -> Raw | None:
    """Logprobs in OpenAI's shape, which requires fields that Ollama may omit."""
    if not value:
        return None
    try:
        return Raw(msgspec.json.encode(_Logprobs(msgspec.convert(value, list[_Logprob]))))
    except msgspec.ValidationError:
        return None
