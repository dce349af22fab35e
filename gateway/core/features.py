"""What routing needs to know of a request, read once."""

from typing import Final

from msgspec import Struct

from gateway.core import tokens
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest
from gateway.core.money import Nanos, nanos

_MEDIA_NEEDS: Final = tuple(zip(tokens.MEDIA, ("vision", "audio", "files"), strict=True))
_CACHES: Final = b'"cache_control"'
_AN_HOUR: Final = b'"1h"'


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
    fields = request.fields
    messages = bytes(fields["messages"])
    typed = tokens.TYPED in messages  # looked for once: it takes as long as all the rest
    needs = _needs(request, messages, typed=typed)
    extras = request.extras
    bound = tokens.bound(request, messages, typed=typed)
    everything = b"".join(fields.values())
    caches = _CACHES in everything
    return Features(
        prompt=bound.tokens,
        output=request.max_tokens,
        n=request.n,
        needs=needs,
        caches=caches,
        region=extras.region,
        max_cost=nanos(extras.max_cost_usd) if extras.max_cost_usd is not None else None,
        checks=tuple(map(Check, extras.checks)) if extras.checks is not None else None,
        max_latency_s=None if extras.max_latency_ms is None else extras.max_latency_ms / 1000,
        bound=bound,
        caches_1h=caches and _AN_HOUR in everything,
    )


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
