"""A whole answer: relayed where it is strictly valid, understood where it is not."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.core.chat import Choice, Completion, ToolCall, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import Target
from gateway.wire.faults import with_usage
from gateway.wire.openai import signatures, strict, tolerant
from gateway.wire.openai.choices import NAMELESS
from gateway.wire.openai.faults import fault, fault_inside

_NO_EXTRA: Final[Mapping[str, Raw]] = {}
_NOTHING_BESIDE: Final = (None, None, UNSET, UNSET, UNSET, UNSET, UNSET, None, None, None)
_NOTHING: Final = (b"null", b"[]")


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """The answer; raises UpstreamError for anything else. Header names are lower case."""
    if status != 200:
        raise fault(status, headers, body)
    try:
        answer = strict.answer(body)
        if not body.isascii():
            body.decode()  # what is relayed unread must be UTF-8 too
    except (ValueError, RecursionError):
        return _understood(body)
    if len(answer.choices) > 1 and len({c.index for c in answer.choices}) < len(answer.choices):
        return _understood(body)
    return _relayed(answer, Raw(body))


def _relayed(answer: strict.Answer, raw: Raw) -> Completion:
    told = answer.usage
    usage = None if told is None else _consistent(told)
    counts = usage is not None
    if told is not None and usage is None:
        usage = strict_usage(told)
        counts = _means(told, usage)
    choices: tuple[Choice, ...] = ()
    mend = False
    for choice in answer.choices:
        message = choice.message
        beside = (
            choice.logprobs,
            message.refusal,
            message.tool_calls,
            message.function_call,
            message.reasoning_details,
            message.extra_content,
            message.images,
            message.audio,
            message.reasoning_content,
            message.reasoning,
        )
        if beside == _NOTHING_BESIDE and not message.annotations:  # a text: nearly always
            choices += (Choice(choice.index, message.content, (), choice.finish_reason),)
        else:
            mend = mend or choice.logprobs is UNSET or message.refusal is UNSET
            choices += (_choice(choice),)
    if counts and not mend:
        return Completion(choices, answer.id, answer.created, usage, raw)
    mends = ("usage",) * (not counts) + ("choices",) * mend
    return Completion(choices, answer.id, answer.created, usage, raw, mends=mends)


def _consistent(told: strict.TokenUsage) -> Usage | None:
    """The provider's counts as they are, where they are what we mean by them and none is of audio:
    nearly always.
    """
    asked, said = told.prompt_tokens_details, told.completion_tokens_details
    prompt, completion = told.prompt_tokens, told.completion_tokens
    cached, written, reasoning = (
        asked.cached_tokens,
        asked.cache_write_tokens,
        said.reasoning_tokens,
    )
    if (
        told.total_tokens != prompt + completion
        or cached + written > prompt
        or reasoning > completion
        or asked.audio_tokens
        or said.audio_tokens
        or told.gateway is not UNSET
    ):
        return None
    return Usage(prompt, completion, cached, written, reasoning)


def _means(told: strict.TokenUsage, usage: Usage) -> bool:
    """Whether the provider's counts are what we mean by them, each detail a part of its total, and
    there is room for what a gateway tells beside them.
    """
    if told.gateway is not UNSET:
        return False
    if told.completion_tokens != usage.completion:
        return False
    if told.total_tokens != usage.prompt + usage.completion:
        return False
    read = told.prompt_tokens_details
    if read.cached_tokens + read.cache_write_tokens > usage.prompt:
        return False
    return told.completion_tokens_details.reasoning_tokens <= usage.completion


def strict_usage(told: strict.TokenUsage) -> Usage:
    """A strictly valid usage as our own; see tolerant.usage."""
    plain = _consistent(told)
    if plain is not None:
        return plain
    asked, said = told.prompt_tokens_details, told.completion_tokens_details
    found = tolerant.counted(
        told.prompt_tokens,
        told.completion_tokens,
        told.total_tokens,
        asked.cached_tokens,
        asked.cache_write_tokens,
        said.reasoning_tokens,
    )
    if asked.audio_tokens or said.audio_tokens:
        return tolerant.with_audio(found, asked.audio_tokens, said.audio_tokens)
    return found


def _choice(choice: strict.AnswerChoice) -> Choice:
    message = choice.message
    calls = message.tool_calls
    return Choice(
        choice.index,
        message.content,
        () if calls is UNSET else tuple([_call(call) for call in calls]),
        choice.finish_reason,
        message.refusal or None,
        message.reasoning_content or message.reasoning or None,
        Raw(msgspec.json.encode(choice.logprobs)) if choice.logprobs else UNSET,
        _extra(message),
    )


def _call(call: strict.FunctionCall | strict.CustomCall) -> ToolCall:
    if isinstance(call, strict.FunctionCall):
        return ToolCall(call.id, call.function.name, call.function.arguments)
    return ToolCall(call.id, call.custom.name, call.custom.input)


def _extra(message: strict.Message) -> Mapping[str, Raw]:
    extra: dict[str, Raw] = {}
    for name in ("annotations", "function_call", "audio"):
        value = getattr(message, name)
        if value:
            extra[name] = Raw(msgspec.json.encode(value))
    for name in ("reasoning_details", "extra_content", "images"):
        raw = getattr(message, name)
        if raw is not UNSET and bytes(raw) not in _NOTHING:
            extra[name] = raw
    return extra or _NO_EXTRA


def _understood(body: bytes) -> Completion:
    answer: Any = None
    try:
        answer = msgspec.json.decode(body)
        if isinstance(answer, list) and answer:
            answer = answer[0]  # Gemini's OpenAI door wraps its errors
        error = fault_inside(answer)
        if error is not None:
            raise error
        return _loose(answer)
    except UpstreamError as error:
        raise with_usage(error, tolerant.usage_of(answer)) from None
    except (ValueError, RecursionError) as error:
        raise Broken("the provider's answer cannot be read") from error


def _loose(answer: Any) -> Completion:
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    told = choices if isinstance(choices, list) else []
    if not told or not all(isinstance(choice, Mapping) for choice in told):
        raise Broken("the provider's answer holds no choices")
    name = tolerant.string(answer.get("id"))
    places = [tolerant.index(choice.get("index"), at) for at, choice in enumerate(told)]
    if len(set(places)) < len(places):
        places = list(range(len(told)))
    return Completion(
        tuple(_loose_choice(at, choice, name) for at, choice in zip(places, told, strict=True)),
        name,
        tolerant.seconds(answer.get("created")),
        tolerant.usage_of(answer),
        extra=tolerant.beside(answer),
    )


def _loose_choice(index: int, choice: Mapping[str, Any], answer: str) -> Choice:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        message = {"content": choice.get("text")}
    text, thoughts = tolerant.content(message.get("content"))
    calls = _loose_calls(message.get("tool_calls"), answer, index)
    extra = tolerant.others(message, whole=True)
    finish = tolerant.finish(choice.get("finish_reason"))
    return Choice(
        index,
        text,
        calls,
        finish or tolerant.inferred(called=bool(calls), legacy="function_call" in extra),
        tolerant.string(message.get("refusal")) or None,
        tolerant.reasoning(message) or thoughts or None,
        tolerant.logprobs(choice.get("logprobs")) or UNSET,
        extra or _NO_EXTRA,
    )


def _loose_calls(value: Any, answer: str, index: int) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for call in value if isinstance(value, list) else ():
        if isinstance(call, Mapping):
            name, function, arguments = tolerant.called(call)
            if not function:
                raise Broken(NAMELESS)
            arguments = arguments or "{}"
            made = tolerant.call_id(answer, (index, len(calls)), function, arguments)
            told = signatures.signed_id(call, name or made)
            calls.append(ToolCall(told, function, arguments, signatures.with_call(call)))
    return tuple(calls)
