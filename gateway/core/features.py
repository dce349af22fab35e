"""What routing needs to know of a request, read once."""

import re
from typing import Final

from msgspec import Struct, json

from gateway.core import tokens
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest
from gateway.core.money import Nanos, nanos

_MEDIA_NEEDS: Final = tuple(zip(tokens.MEDIA, ("vision", "audio", "files"), strict=True))
_CACHES: Final = b'"cache_control"'
_AN_HOUR: Final = b'"1h"'
_SPELT_OUT: Final = re.compile(rb"\\u00(31|[4-7])")
"""A letter, or the digit of "1h", written as an escape: no word can be looked for in such JSON."""
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


class Features(Struct, frozen=True):
    """Sizes are in tokens. `prompt` is a bound on the input, `output` the limit the client set."""

    prompt: int
    output: int | None
    n: int
    needs: frozenset[str]
    """Capabilities that the model must have."""
    caches: bool
    """Whether the request asks its provider to write a prompt cache."""
    region: str | None
    max_cost: Nanos | None
    max_latency_s: float | None = None
    """Within how many seconds the client wants its answer."""
    bound: tokens.Bound | None = None
    """What `prompt` is made of."""
    checks: tuple[Check, ...] | None = None
    """What the client wants its answer held against, instead of the route's own checks."""
    caches_1h: bool = False
    """Whether it asks for a cache that is kept for an hour."""


_NONE: Final[frozenset[str]] = frozenset()


def read_features(request: ChatRequest) -> Features:
    """The features of a checked request."""
    fields, seen, extras = request.fields, request.seen, request.extras
    messages = bytes(fields["messages"])
    if seen is not None and seen.plain:
        typed = caches = an_hour = False  # nothing is looked for: it takes as long as all the rest
    else:
        if _spelt_out(messages):
            messages = json.encode(request.json("messages"))
        typed = tokens.TYPED in messages
        caches = _CACHES in messages
        an_hour = caches and _AN_HOUR in messages
    if not _SETTINGS.issuperset(fields):
        beside = b"".join(raw for name, raw in fields.items() if name != "messages")
        unsure = _spelt_out(beside)
        marked = "cache_control" in fields or _CACHES in beside or unsure
        caches, an_hour = caches or marked, an_hour or unsure or (marked and _AN_HOUR in beside)
    bound = tokens.bound(request, messages, typed=typed)
    return Features(
        prompt=bound.tokens,
        output=request.max_tokens,
        n=request.n,
        needs=_needs(request, messages, typed=typed),
        caches=caches,
        region=extras.region,
        max_cost=nanos(extras.max_cost_usd) if extras.max_cost_usd is not None else None,
        checks=tuple(map(Check, extras.checks)) if extras.checks is not None else None,
        max_latency_s=None if extras.max_latency_ms is None else extras.max_latency_ms / 1000,
        bound=bound,
        caches_1h=an_hour,
    )


def _spelt_out(text: bytes) -> bool:
    return b"\\u00" in text and _SPELT_OUT.search(text) is not None


def _needs(request: ChatRequest, messages: bytes, *, typed: bool) -> frozenset[str]:
    fields = request.fields
    needs = _NONE
    if typed:
        needs = frozenset(need for mark, need in _MEDIA_NEEDS if mark in messages)
    if "response_format" in fields and b'"json_schema"' in bytes(fields["response_format"]):
        needs |= {"json_schema"}
    if "tools" in fields or "functions" in fields:
        needs |= {"tools"}
    return needs
