"""Parses a request body to a ChatRequest, or raises one clear error that names the field.

The body is split once into undecoded top-level fields, which are sent upstream unchanged. The
fields that we route on, or that have the same type for every provider, are also checked. If the
shape of a body is known, only its messages are parsed; see shapes.py.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.chat import NO_EXTRAS, ROLES, ChatRequest, Extras, Look, Message, look
from gateway.core.errors import InvalidRequest
from gateway.core.plain_messages import BYTES_EACH, LEVELS, read_talk
from gateway.core.redaction import keyless
from gateway.web.extras import read_extras
from gateway.web.refuse import refuse, wrong_type
from gateway.web.shapes import LONGEST, Known, Shapes

NEVER_USED: Final = ("gateway", "api_base", "base_url", "api_key", "headers", "extra_headers")
"""Fields that are never sent on: upstream URLs and keys come from the configuration only."""

_MAX_USER: Final = 256
_MAX_CHOICES: Final = 128
_MAX_FIELDS: Final = 1_000
_MAX_VALUES: Final = 100_000
"""Objects and arrays in a body: ten megabytes of empty ones would take seconds to parse."""
_MOST_IN_MESSAGES: Final = _MAX_VALUES - LONGEST
"""With at most so many in the messages, those of any kept shape fit within _MAX_VALUES,"""
_FEW: Final = _MOST_IN_MESSAGES * BYTES_EACH
"""and so many bytes of plain messages contain no more than that."""
_TOO_DEEP: Final = "The body nests deeper than {} levels."
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONE_SURROGATE: Final = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
"""The first half of a pair, in an escape that is not itself escaped."""
_LOOKED_THROUGH: Final = 1_000_000
"""Bytes of an invalid body that are searched: some 30 ms."""
_NO_TEXT: Final = bytes(set(range(256)) - set(b'{}[]"'))
_STEPS: Final = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""A bracket as the signed byte that it adds to the depth."""


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Beside(Struct, kw_only=True):
    """The fields whose types we check, besides messages; the provider judges all others."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    functions: list[dict[str, Any]] | None = None
    modalities: list[str] | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    gateway: dict[str, Any] | None = None


class _Asked(_Beside, kw_only=True):
    messages: list[dict[str, Any]]


_split: Final = msgspec.json.Decoder(dict[str, Raw])
_check_beside: Final = msgspec.json.Decoder(_Beside)
_check: Final = msgspec.json.Decoder(_Asked)
_messages: Final = msgspec.json.Decoder(list[dict[str, Any]])
_encode: Final = msgspec.json.Encoder().encode


def read_request(
    body: bytes, headers: Mapping[str, str], json_depth: int, shapes: Shapes | None = None
) -> ChatRequest:
    """The request, checked. `headers` are the client's x-gateway-* ones, without that prefix.
    `shapes` are known from requests under the same `json_depth`.
    """
    return read_shaped(body, headers, json_depth, shapes)[0]


def read_shaped(
    body: bytes, headers: Mapping[str, str], json_depth: int, shapes: Shapes | None
) -> tuple[ChatRequest, Known | None]:
    """The request, and its shape if that was known."""
    known = None if shapes is None else shapes.find(body)
    request = None
    if known is not None:
        request = read_again(known, known.request.extras, body, json_depth)
    if known is None or request is None:
        return _read_whole(body, headers, json_depth, shapes), None
    if headers:
        request = structs.replace(request, extras=read_extras(known.gateway, headers))
    return request, known


def read_again(known: Known, extras: Extras, body: bytes, json_depth: int) -> ChatRequest | None:
    """Parse a body of a known shape. None if it has another, and for any fault: parsing the whole
    body names it.
    """
    if not body.startswith(known.begins) or not body.endswith(known.ends):
        return None
    messages = body[known.between]
    seen = read_talk(messages)
    if seen is None or json_depth <= LEVELS or len(messages) >= _FEW:
        seen = _look_closer(messages, seen, json_depth - 1)
        if seen is None:
            return None
    fields = dict(known.request.fields)  # with {**fields, "messages": ...} 0.2 us more
    fields["messages"] = Raw(messages)
    return structs.replace(known.request, fields=fields, extras=extras, seen=seen)


def _look_closer(messages: bytes, seen: Look | None, depth: int) -> Look | None:
    """Check messages that are not plain text, or very many. None for any fault.

    Decoding them also checks that they are UTF-8.
    """
    if _may_nest(messages, depth) and _overgrown(messages, depth, _MOST_IN_MESSAGES) is not None:
        return None
    if seen is not None:
        return seen
    try:
        decoded = _messages.decode(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    seen = look(decoded)
    return seen if decoded and seen.sound else None


def _read_whole(
    body: bytes, headers: Mapping[str, str], json_depth: int, shapes: Shapes | None
) -> ChatRequest:
    try:
        fields = _split.decode(body)
        body.decode()
    except msgspec.ValidationError as error:
        wrong_type(error)
    except RecursionError:
        raise InvalidRequest(_TOO_DEEP.format(json_depth)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(_why_unreadable(body, error)) from None
    if len(fields) > _MAX_FIELDS:  # each is looked at several times from here on
        raise InvalidRequest(f"The body has more than {_MAX_FIELDS:,} fields.")
    if _may_nest(body, json_depth):
        overgrown = _overgrown(body, json_depth, _MAX_VALUES)
        if overgrown is not None:
            raise InvalidRequest(overgrown)
    limits, seen = _checked(body, fields)
    max_tokens = _limits(limits)
    for name in NEVER_USED:
        fields.pop(name, None)
    options = limits.stream_options
    request = ChatRequest(
        fields,
        limits.model,
        limits.stream or False,
        options is not None and bool(options.include_usage),
        max_tokens,
        limits.n or 1,
        keyless(limits.user) if limits.user else limits.user,
        read_extras(limits.gateway, headers) if limits.gateway or headers else NO_EXTRAS,
        seen,
    )
    if shapes is not None and request.user == limits.user:
        shapes.learn(body, request, limits.gateway)
    return request


def _checked(body: bytes, fields: Mapping[str, Raw]) -> tuple[_Beside, Look]:
    """The fields that we type. Messages and tools are decoded completely: a number that is out of
    range must not turn up later, when money is held.
    """
    beside = {name: raw for name, raw in fields.items() if name != "messages"}
    try:
        limits = _check_beside.decode(_encode(beside))
        messages = bytes(fields["messages"])
        seen = read_talk(messages)
        decoded = _messages.decode(messages) if seen is None else ()
    except (KeyError, msgspec.ValidationError):
        _wrong_field(body)
    if seen is None:
        seen = look(decoded)
        if not seen.sound:
            _wrong_message(decoded)
        if not decoded:
            refuse("messages", "must hold at least one message")
    return limits, seen


def _why_unreadable(body: bytes, error: Exception) -> str:
    why = str(error)
    if _LONE_SURROGATE.search(body, 0, _LOOKED_THROUGH):  # msgspec may call it truncated
        why = "a \\u escape in it is half of a surrogate pair, and so no valid Unicode"
    return f"The body is not valid JSON: {why}"


def _wrong_field(body: bytes) -> NoReturn:
    """Refuse the first field that is wrong, in the body's order."""
    try:
        _check.decode(body)
    except msgspec.ValidationError as error:
        if "out of range" in str(error):
            raise InvalidRequest(_why_unreadable(body, error)) from None
        wrong_type(error)
    raise AssertionError("a field is wrong alone, and not in its body")


def _wrong_message(messages: Sequence[Message]) -> None:
    """Refuse the first message that is wrong."""
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or role not in ROLES:
            _wrong_role(message, at)
        if type(content) is not str and content is not None and type(content) is not list:
            refuse(f"messages[{at}].content", "has the wrong type: Expected `str | array | null`")


def _wrong_role(message: Mapping[str, Any], at: int) -> NoReturn:
    param = f"messages[{at}].role"
    if "role" not in message:
        refuse(param, "is missing")
    if type(message["role"]) is not str:
        refuse(param, "has the wrong type: Expected `str`")
    refuse(param, f"is '{message['role'][:100]}'; allowed are {', '.join(ROLES)}")


def _limits(beside: _Beside) -> int | None:
    """Check the ranges that money and routing depend on. The output limit, by whichever name."""
    if beside.n is not None and not 1 <= beside.n <= _MAX_CHOICES:
        refuse("n", f"must be from 1 to {_MAX_CHOICES}")
    if beside.user is not None and (
        len(beside.user) > _MAX_USER or _UNPRINTABLE.search(beside.user)
    ):
        refuse("user", f"must be at most {_MAX_USER} printable characters")
    max_tokens = beside.max_completion_tokens
    if max_tokens is not None and max_tokens < 1:
        refuse("max_completion_tokens", "must be at least 1")
    if max_tokens is None:
        max_tokens = beside.max_tokens
        if max_tokens is not None and max_tokens < 1:
            refuse("max_tokens", "must be at least 1")
    return max_tokens


def _may_nest(text: bytes, depth: int) -> bool:
    """Whether there are more opening brackets than `depth`, in strings or not. Searching for so few
    takes a twentieth of the time that counting all would.
    """
    left = depth
    for bracket in (b"{", b"["):
        at = text.find(bracket)
        while at >= 0:
            left -= 1
            if left < 0:
                return True
            at = text.find(bracket, at + 1)
    return False


def _overgrown(text: bytes, depth: int, most: int) -> str | None:
    """What is wrong with how deep valid JSON nests, or with how many objects and arrays are in it;
    None when nothing is.
    """
    if b"\\" in text:  # a third of the time is spared where there is none
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")  # quotes are only at ends now
    bare = text.translate(None, _NO_TEXT)  # first: it is small from then on
    brackets = b"".join(bare.split(b'"')[::2]).translate(_STEPS)  # outside of strings
    if len(brackets) > 2 * most:
        return f"The body has more than {_MAX_VALUES:,} objects and arrays."
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > depth:
        return _TOO_DEEP.format(depth)
    return None
