"""Request fields that a provider does not support: refused, or dropped and reported by name.

A field is dropped if the answer stays valid without it: sampling hints, storage, caching or
priority, which OpenAI itself ignores for some models. A value that is sent changed, such as a
temperature above a model's maximum, is reported as dropped too. A field whose loss would change the
kind of answer is refused. null and OpenAI's defaults are never reported.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest

ESSENTIAL: Final = frozenset({
    "audio", "function_call", "functions", "logprobs", "modalities", "n", "response_format", "stop",
    "tool_choice", "tools", "web_search_options",
})  # fmt: skip
"""OpenAI's fields that may not be dropped: the answer would not be what the client requested."""

_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "frequency_penalty": (0,),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": ([], ["text"]),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "speed": ("standard",),
    "stop": ([],),
    "store": (False,),
    "temperature": (1,),
    "tool_choice": ("auto",),
    "tools": ([],),
    "top_logprobs": (0,),
    "top_p": (1,),
    "verbosity": ("medium",),
}
_ALWAYS_SENT: Final = frozenset({
    "max_completion_tokens", "max_tokens", "messages", "model", "stream", "stream_options",
})  # fmt: skip
"""Fields that every dialect sends in its own form."""


def is_requested(name: str, value: Any) -> bool:
    """Whether a decoded field is set to something other than its default."""
    return value is not None and value not in _DEFAULTS.get(name, ())


def dropped_fields(fields: Mapping[str, Any], honoured: Collection[str]) -> tuple[str, ...]:
    """Names of the decoded fields that are set and that the call does not honour, sorted.

    A field that is sent with another value does not count as honoured. Nested fields are named by
    their path: `messages.name`.
    """
    requested = {
        name
        for name, value in fields.items()
        if name not in _ALWAYS_SENT and is_requested(name, value)
    }
    return tuple(sorted((requested | set(_nested_fields(fields))) - set(honoured)))


def _nested_fields(fields: Mapping[str, Any]) -> Iterator[str]:
    """Paths of nested fields that are set and that few providers besides OpenAI support."""
    for message in _objects(fields.get("messages")):
        yield from _message_fields(message)
    for tool in _objects(fields.get("tools")):
        if tool.get("cache_control") is not None:
            yield "tools.cache_control"
    if strict_tools(fields.get("tools")):
        yield "tools.function.strict"
    response_format = fields.get("response_format")
    wrapped = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    for name in ("description", "strict"):
        if isinstance(wrapped, Mapping) and wrapped.get(name):
            yield f"response_format.json_schema.{name}"
    options = fields.get("stream_options")
    if isinstance(options, Mapping) and options.get("include_obfuscation") is True:
        yield "stream_options.include_obfuscation"


def _message_fields(message: Mapping[str, Any]) -> Iterator[str]:
    # In a tool result `name` is redundant: the call's id identifies the tool.
    if message.get("name") is not None and message.get("role") != "tool":
        yield "messages.name"
    for place in (message, *_objects(message.get("content"))):
        for name in ("cache_control", "prompt_cache_breakpoint"):
            if place.get(name) is not None:
                yield f"messages.{name}"
        image = place.get("image_url")
        if isinstance(image, Mapping) and image.get("detail") not in (None, "auto"):
            yield "messages.content.image_url.detail"


def strict_tools(tools: Any) -> int:
    """How many of the decoded `tools` have `strict: true`."""
    functions = [tool.get("function") for tool in _objects(tools)]
    return sum(isinstance(each, Mapping) and each.get("strict") is True for each in functions)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def without_fields(
    request: ChatRequest, lacks: Iterable[str], provider: str
) -> tuple[ChatRequest, tuple[str, ...]]:
    """The request without the fields that a provider lacks, and which of those were set.

    Raises InvalidRequest, naming the field, if one of them is in ESSENTIAL.
    """
    unsupported = sorted(set(lacks) & request.fields.keys() - _ALWAYS_SENT)
    if not unsupported:
        return request, ()
    dropped = tuple(name for name in unsupported if is_requested(name, decode_field(request, name)))
    for name in dropped:
        if name in ESSENTIAL:
            raise InvalidRequest(f"{name}: {provider} cannot do this", param=name)
    fields = {name: raw for name, raw in request.fields.items() if name not in unsupported}
    return structs.replace(request, fields=fields, shape=None), dropped


def decode_field(request: ChatRequest, name: str) -> Any:
    """One decoded field. Raises InvalidRequest, naming it, if it is not valid JSON."""
    try:
        return request.json(name)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidRequest(f"{name} cannot be read as JSON", param=name) from None
