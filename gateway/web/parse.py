"""A client's bytes to a ChatRequest, or one clear error that names the field.

The body is split once into undecoded top-level fields, which go upstream as they came; beside
that, the fields that we route on, or that every provider types alike, are checked.
"""

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import NO_EXTRAS, ChatRequest, look
from gateway.core.errors import InvalidRequest
from gateway.core.redaction import keyless
from gateway.web.extras import read_extras
from gateway.web.refuse import refuse, wrong_type

NEVER_USED: Final = ("gateway", "api_base", "base_url", "api_key", "headers", "extra_headers")
"""Fields that are never sent on: upstream URLs and keys come from the configuration only."""

_MAX_USER: Final = 256
_MAX_CHOICES: Final = 128
_MAX_VALUES: Final = 100_000
"""Objects and arrays in a body: ten megabytes of empty ones would take seconds to read."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_TEXT: Final = bytes(set(range(256)) - set(b'{}[]"'))
_STRINGS: Final = re.compile(rb'"[^"]*"')
_STEPS: Final = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""A bracket as the signed byte that it adds to the depth."""


_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Asked(Struct):
    """The fields whose types we check; everything else is the provider's to judge."""

    model: str
    messages: list[dict[str, Any]]
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


_split: Final = msgspec.json.Decoder(dict[str, Raw])
_check: Final = msgspec.json.Decoder(_Asked)


def read_request(body: bytes, headers: Mapping[str, str], json_depth: int) -> ChatRequest:
    """The request, checked. `headers` are the client's x-gateway-* ones, without that prefix."""
    try:
        fields = _split.decode(body)
        body.decode()
    except msgspec.ValidationError as error:
        wrong_type(error)
    except RecursionError:
        _too_deep(json_depth)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None
    if _may_nest(body, json_depth):
        _check_shape(body, json_depth)
    asked = _checked(body)
    max_tokens = _limits(asked)
    for name in NEVER_USED:
        fields.pop(name, None)
    options = asked.stream_options
    return ChatRequest(
        fields,
        asked.model,
        asked.stream or False,
        options is not None and bool(options.include_usage),
        max_tokens,
        asked.n or 1,
        keyless(asked.user) if asked.user else asked.user,
        read_extras(asked.gateway, headers) if asked.gateway or headers else NO_EXTRAS,
        look(asked.messages),
    )


def _checked(body: bytes) -> _Asked:
    """The fields that we type, messages and tools decoded whole: nobody meets a number that is
    beyond all bounds later on, when money is held.
    """
    try:
        asked = _check.decode(body)
    except msgspec.ValidationError as error:
        if "out of range" in str(error):
            raise InvalidRequest(f"The body is not valid JSON: {error}") from None
        wrong_type(error)
    for at, message in enumerate(asked.messages):
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or role not in _ROLES:
            _wrong_role(message, at)
        if type(content) is not str and content is not None and type(content) is not list:
            refuse(f"messages[{at}].content", "has the wrong type: Expected `str | array | null`")
    return asked


def _wrong_role(message: Mapping[str, Any], at: int) -> NoReturn:
    param = f"messages[{at}].role"
    if "role" not in message:
        refuse(param, "is missing")
    if type(message["role"]) is not str:
        refuse(param, "has the wrong type: Expected `str`")
    refuse(param, f"is '{message['role'][:100]}'; allowed are {', '.join(_ROLES)}")


def _limits(asked: _Asked) -> int | None:
    """Check the ranges that money and routing depend on. The output limit, by whichever name."""
    if not asked.messages:
        refuse("messages", "must hold at least one message")
    if asked.n is not None and not 1 <= asked.n <= _MAX_CHOICES:
        refuse("n", f"must be from 1 to {_MAX_CHOICES}")
    if asked.user is not None and (len(asked.user) > _MAX_USER or _UNPRINTABLE.search(asked.user)):
        refuse("user", f"must be at most {_MAX_USER} printable characters")
    max_tokens = asked.max_completion_tokens
    if max_tokens is not None and max_tokens < 1:
        refuse("max_completion_tokens", "must be at least 1")
    if max_tokens is None:
        max_tokens = asked.max_tokens
        if max_tokens is not None and max_tokens < 1:
            refuse("max_tokens", "must be at least 1")
    return max_tokens


def _may_nest(body: bytes, depth: int) -> bool:
    """Whether so many brackets open, wherever. Few are found in a twentieth of the time that it
    takes to count them, and of many no more are looked at than that.
    """
    left = depth
    for bracket in (b"{", b"["):
        at = body.find(bracket)
        while at >= 0:
            left -= 1
            if left < 0:
                return True
            at = body.find(bracket, at + 1)
    return False


def _check_shape(body: bytes, depth: int) -> None:
    """How deep valid JSON nests, and how many objects and arrays are in it."""
    if b"\\" in body:  # a third of the time is spared where there is none
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")  # quotes are only at ends now
    bare = body.translate(None, _NO_TEXT)  # first: it is small from then on
    brackets = _STRINGS.sub(b"", bare).translate(_STEPS)
    if len(brackets) > 2 * _MAX_VALUES:
        raise InvalidRequest(f"The body has more than {_MAX_VALUES:,} objects and arrays.")
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > depth:
        _too_deep(depth)


def _too_deep(depth: int) -> NoReturn:
    raise InvalidRequest(f"The body nests deeper than {depth} levels.") from None
