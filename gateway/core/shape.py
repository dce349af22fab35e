"""The shape of a request: all its fields but the messages. A client sends the same shape again and
again, agents with kilobytes of tools in it. So what is read of a shape is kept with it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.searches import searches_allowed

SENT_WITH_MESSAGES: Final = ("tools", "functions", "response_format", "system", "documents")
"""Fields that a model is known to read beside its messages."""
_CACHE_CONTROL: Final = b'"cache_control"'
_CACHE_POINT: Final = b'"cachePoint"'
"""Bedrock's own mark, which a client may send among its parts and tools."""
_EITHER_MARK: Final = b'"cache'
AN_HOUR: Final = b'"1h"'
_FOR_AN_HOUR: Final = re.compile(rb'"ttl"\s*:\s*"1h"')
_SPELT_OUT: Final = re.compile(rb"\\u00(31|[4-7])")
_SETTINGS: Final = frozenset(
    (
        *("model", "messages", "n", "stop", "stream", "stream_options", "user", "metadata"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *("response_format", "reasoning_effort", "service_tier", "store"),
        *("tool_choice", "parallel_tool_calls"),
    )
)
"""Fields, beside messages that are plain, in which no mark for a cache can be."""
_NOT_READ: Final = _SETTINGS - {"response_format"}
"""All other fields are assumed to be read by the model: a dialect's own may be texts or schemas,
and unknown ones are sent on."""
_READS_MORE: Final = frozenset(
    (
        *("cachedContent", "container", "context_management", "data_sources", "mcp_servers"),
        *("enable_search", "plugins", "search_parameters", "web_search_options"),
    )
)
"""Fields by which the model may be given more to read than the client sends."""
_RUN_BY_CLIENTS: Final = ("function", "custom")
_NONE: Final[frozenset[str]] = frozenset()
NULL: Final = Raw(b"null")
"""What a client sends that writes the fields it leaves out, too."""


class _Tool(Struct):
    type: str = ""


_read_tools: Final = msgspec.json.Decoder(list[_Tool] | None).decode


class Shape(Struct, frozen=True):
    """What routing and cost depend on, of all fields but the messages."""

    size: int
    """Bytes of JSON that a model reads beside its messages; see `unescaped_size`."""
    tools: bool
    needs: frozenset[str]
    """Capabilities that the model must have."""
    caches: bool
    """Whether a prompt cache is asked for."""
    caches_1h: bool
    """Whether one is asked for that is kept for an hour."""
    grows: bool = False
    """Whether the provider may add to the prompt: results of tools that it runs itself, or what it
    stores under a name."""
    searches: int = 0
    """How many searches of the web by its provider are held for."""
    written: dict[Any, Any] = {}
    """A place for dialects to keep what they made of these fields, for each way to send them."""


def unescaped_size(text: bytes) -> int:
    """How many bytes this JSON has at most, its letters written as they are. Many clients escape
    each that is not ASCII (Python's `json` does): the same text takes two or three times as many.
    """
    size = len(text)
    if b"\\" in text:  # an escape has six bytes, and stands for three at most
        size -= 3 * (text.count(b"\\u") - text.count(b"\\\\u"))
    return size


def read_shape(fields: Mapping[str, Raw]) -> Shape:
    """Of a request's top level, with or without its messages."""
    fields = {name: raw for name, raw in fields.items() if raw != NULL}
    size = sum(map(unescaped_size, read_beside(fields)))
    tools = "tools" in fields or "functions" in fields
    needs = frozenset({"tools"}) if tools else _NONE
    if "response_format" in fields and b'"json_schema"' in bytes(fields["response_format"]):
        needs |= {"json_schema"}
    marked = unsure = an_hour = False
    if not _SETTINGS.issuperset(fields):
        beside = b"".join(raw for name, raw in fields.items() if name != "messages")
        unsure = spelt_out(beside)
        marked = "cache_control" in fields or marks_cache(beside) or unsure
        an_hour = unsure or (marked and AN_HOUR in beside)
    grows = _grows(fields)
    searches = searches_allowed(fields) if grows else 0  # what is found is read, too
    return Shape(size, tools, needs, marked, an_hour, grows, searches)


def read_beside(fields: Mapping[str, Raw]) -> list[bytes]:
    """What a model may read of a request beside its messages, as JSON."""
    return [bytes(raw) for name, raw in fields.items() if name not in _NOT_READ]


def _grows(fields: Mapping[str, Raw]) -> bool:
    if not _READS_MORE.isdisjoint(fields):
        return True
    if "tools" not in fields:
        return False
    try:
        tools = _read_tools(fields["tools"]) or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return any(tool.type not in _RUN_BY_CLIENTS for tool in tools)


def marks_cache(text: bytes) -> bool:
    """Whether a part, message or tool in this JSON is marked for a prompt cache."""
    # Most texts have neither mark, and are searched once.
    return _EITHER_MARK in text and (_CACHE_CONTROL in text or _CACHE_POINT in text)


def asks_for_an_hour(fields: Mapping[str, Raw]) -> bool:
    """Whether part of a request is marked to be cached for an hour. It searches all of it: to be
    called only where that may be.
    """
    return any(_FOR_AN_HOUR.search(raw) for raw in fields.values())


def spelt_out(text: bytes) -> bool:
    """Whether a letter, or the digit of "1h", is written as an escape: no word can be looked for in
    such JSON.
    """
    return b"\\u00" in text and _SPELT_OUT.search(text) is not None
