"""Decodes a whole answer: relayed unchanged if strictly valid, else parsed tolerantly."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import Target
from gateway.wire.faults import with_usage
from gateway.wire.openai import signatures, strict, tolerant
from gateway.wire.openai.choices import NAMELESS
from gateway.wire.openai.faults import fault, fault_in_body
from gateway.wire.openai.usage import matches, strict_usage, usage_if_exact, usage_of

_NO_EXTRA: Final[Mapping[str, Raw]] = {}
_TEXT_ONLY: Final = (None, None, UNSET, UNSET, UNSET, UNSET, UNSET, None, None, None)
_NOTHING: Final = (b"null", b"[]")


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """A whole answer. Raises UpstreamError for anything else. Header names are lower case."""
    if status != 200:
        raise fault(status, headers, body)
    try:
        answer = strict.answer(body)
        if not body.isascii():
            body.decode()  # parts that are relayed unparsed must be UTF-8 too
    except (ValueError, RecursionError):
        return _parse_tolerantly(body, an_hour=target.an_hour)
    if len(answer.choices) > 1 and len({c.index for c in answer.choices}) < len(answer.choices):
        return _parse_tolerantly(body, an_hour=target.an_hour)
    return _relay(answer, Raw(body), an_hour=target.an_hour)


def _relay(answer: strict.Answer, raw: Raw, *, an_hour: bool) -> Completion:
    reported = answer.usage
    usage = None if reported is None or an_hour else usage_if_exact(reported)
    counts = usage is not None
    if reported is not None and usage is None:
        usage = strict_usage(reported, an_hour=an_hour)
        counts = matches(reported, usage)
    choices: tuple[Choice, ...] = ()
    mend = False
    for choice in answer.choices:
        message = choice.message
        other_fields = (
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
        if other_fields == _TEXT_ONLY and not message.annotations:  # plain text: nearly always
            choices += (Choice(choice.index, message.content, (), choice.finish_reason),)
        else:
            mend = mend or choice.logprobs is UNSET or message.refusal is UNSET
            choices += (_choice(choice),)
    if counts and not mend:
        return Completion(choices, answer.id, answer.created, usage, raw)
    mends = ("usage",) * (not counts) + ("choices",) * mend
    return Completion(choices, answer.id, answer.created, usage, raw, mends=mends)


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


def _parse_tolerantly(body: bytes, *, an_hour: bool) -> Completion:
    answer: Any = None
    try:
        answer = msgspec.json.decode(body)
        if isinstance(answer, list) and answer:
            answer = answer[0]  # Gemini's OpenAI-compatible endpoint wraps errors in a list
        error = fault_in_body(answer)
        if error is not None:
            raise error
        return _loose(answer, an_hour=an_hour)
    except UpstreamError as error:
        raise with_usage(error, usage_of(answer, an_hour=an_hour)) from None
    except (ValueError, RecursionError) as error:
        raise Broken("the provider's answer cannot be read") from error


def _loose(answer: Any, *, an_hour: bool) -> Completion:
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    entries = choices if isinstance(choices, list) else []
    if not entries or not all(isinstance(choice, Mapping) for choice in entries):
        raise Broken("the provider's answer holds no choices")
    name = tolerant.string(answer.get("id"))
    places = [tolerant.index(choice.get("index"), at) for at, choice in enumerate(entries)]
    if len(set(places)) < len(places):
        places = list(range(len(entries)))
    return Completion(
        tuple(_loose_choice(at, choice, name) for at, choice in zip(places, entries, strict=True)),
        name,
        tolerant.seconds(answer.get("created")),
        usage_of(answer, an_hour=an_hour),
        extra=tolerant.answer_extra(answer),
    )


def _loose_choice(index: int, choice: Mapping[str, Any], answer: str) -> Choice:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        message = {"content": choice.get("text")}
    text, thoughts = tolerant.content(message.get("content"))
    calls = _loose_calls(message.get("tool_calls"), answer, index)
    extra = tolerant.message_extra(message, whole=True)
    finish = tolerant.finish(choice.get("finish_reason"))
    return Choice(
        index,
        text,
        calls,
        finish or tolerant.infer_finish(called=bool(calls), legacy="function_call" in extra),
        tolerant.string(message.get("refusal")) or None,
        tolerant.reasoning(message) or thoughts or None,
        tolerant.logprobs(choice.get("logprobs")) or UNSET,
        extra or _NO_EXTRA,
        tolerant.choice_extra(choice),
    )


def _loose_calls(value: Any, answer: str, index: int) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for call in tolerant.calls(value):
        name, function, arguments = tolerant.parse_call(call)
        if not function:
            raise Broken(NAMELESS)
        arguments = arguments or "{}"
        made_id = tolerant.call_id(answer, (index, len(calls)), function, arguments)
        call_id = signatures.signed_id(call, name or made_id)
        calls.append(ToolCall(call_id, function, arguments, signatures.extra_content_of(call)))
    return tuple(calls)
