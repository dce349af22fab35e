"""What routing needs to know about a request, read once."""

import re
from typing import Final

from msgspec import Struct, json, structs

from gateway.core import media, tokens
from gateway.core.catalog import Check
from gateway.core.chat import NO_EXTRAS, ChatRequest, Extras
from gateway.core.money import Nanos, nanos
from gateway.core.shape import (
    AN_HOUR,
    Shape,
    marks_cache,
    read_shape,
    spelt_out,
    unescaped_size,
)

_CALLS: Final = re.compile(rb'"tool_call(?:s"\s*:\s*\[\s*\{|_id"\s*:\s*"[^"])')
"""A call of a tool, or its result, in undecoded messages."""


class Features(Struct, frozen=True, gc=False):
    """Sizes are in tokens: `bound` of what goes in, `output` is the limit that the client set."""

    bound: tokens.Bound
    output: int | None
    n: int
    needs: frozenset[str]
    """Capabilities that the model must have."""
    caches: bool
    """Whether the request asks its provider to write a prompt cache."""
    caches_1h: bool = False
    """Whether it asks for one that is kept for an hour."""
    searches: int = 0
    """How many searches of the web by its provider are held for."""
    region: str | None = None
    max_cost: Nanos | None = None
    max_latency_s: float | None = None
    """Within how many seconds the client wants its answer."""
    checks: tuple[Check, ...] | None = None
    """The checks that the client names instead of the route's own."""

    @property
    def prompt(self) -> int:
        """A bound on the prompt's tokens: more than there are, but not many more."""
        return self.bound.tokens


def read_features(request: ChatRequest) -> Features:
    """The features of a checked request."""
    seen, shape = request.seen, request.shape or read_shape(request.fields)
    if seen is not None and seen.plain:  # to search such messages takes as long as all the rest
        size = seen.size or unescaped_size(bytes(request.fields["messages"]))
        bound = tokens.plain_bound(size, shape)
        if seen.calls and not shape.tools:
            bound = _with_tools(bound)
        needs, caches, an_hour = shape.needs, shape.caches, shape.caches_1h
    else:
        bound, needs, caches, an_hour = _looked_through(request, shape)
    found = Features(bound, request.max_tokens, request.n, needs, caches, an_hour, shape.searches)
    return found if request.extras is NO_EXTRAS else _with_wishes(found, request.extras)


def _looked_through(
    request: ChatRequest, shape: Shape
) -> tuple[tokens.Bound, frozenset[str], bool, bool]:
    """The size, the capabilities needed, and the caches asked for, where the messages may have
    anything in them.
    """
    messages = bytes(request.fields["messages"])
    if spelt_out(messages):
        messages = json.encode(request.json("messages"))
    found = media.media_of(request, messages)
    needs = shape.needs.union(media.needs_of(found)) if found else shape.needs
    marked = marks_cache(messages)
    an_hour = shape.caches_1h or (marked and AN_HOUR in messages)
    bound = tokens.bound(request, messages, found)
    if not shape.tools and _CALLS.search(messages):
        bound = _with_tools(bound)
    return bound, needs, shape.caches or marked, an_hour


def _with_tools(bound: tokens.Bound) -> tokens.Bound:
    """Claude's API wants tools that were called declared, also where the request declares none,
    and tells the model about them: 290 to 804 tokens.
    """
    return structs.replace(bound, beside=bound.beside + tokens.TOOL_TOKENS)


def _with_wishes(found: Features, extras: Extras) -> Features:
    """With what the client asks of the gateway: region, cost, time, checks."""
    most, latest_ms, checks = extras.max_cost_usd, extras.max_latency_ms, extras.checks
    return structs.replace(
        found,
        region=extras.region,
        max_cost=None if most is None else nanos(most),
        max_latency_s=None if latest_ms is None else latest_ms / 1000,
        checks=None if checks is None else tuple(map(Check, checks)),
    )
