"""What routing needs to know of a request, read once."""

from typing import Final

from msgspec import Struct, json

from gateway.core import tokens
from gateway.core.catalog import Check
from gateway.core.chat import NO_EXTRAS, ChatRequest, Extras
from gateway.core.money import Nanos, nanos
from gateway.core.shape import AN_HOUR, CACHES, read_shape, spelt_out

_MEDIA_NEEDS: Final = tuple(zip(tokens.MEDIA, ("vision", "audio", "files"), strict=True))


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


_Wishes = tuple[str | None, Nanos | None, float | None, tuple[Check, ...] | None]
_NO_WISHES: Final[_Wishes] = (None, None, None, None)


def read_features(request: ChatRequest) -> Features:
    """The features of a checked request."""
    raw, seen, extras = request.fields["messages"], request.seen, request.extras
    shape = request.shape or read_shape(request.fields)
    needs, caches, an_hour = shape.needs, shape.caches, shape.caches_1h
    if seen is not None and seen.plain:  # to look for nothing takes as long as all the rest
        bound = tokens.plain_bound(memoryview(raw).nbytes, shape)
    else:
        messages = bytes(raw)
        if spelt_out(messages):
            messages = json.encode(request.json("messages"))
        typed = tokens.TYPED in messages
        bound = tokens.bound(request, messages, typed=typed)
        if typed:
            needs = needs.union(need for mark, need in _MEDIA_NEEDS if mark in messages)
        marked = CACHES in messages
        caches, an_hour = caches or marked, an_hour or (marked and AN_HOUR in messages)
    region, max_cost, max_latency_s, checks = _NO_WISHES if extras is NO_EXTRAS else _wishes(extras)
    return Features(
        bound.tokens,
        request.max_tokens,
        request.n,
        needs,
        caches,
        region,
        max_cost,
        max_latency_s,
        bound,
        checks,
        an_hour,
    )


def _wishes(extras: Extras) -> _Wishes:
    """The region, and the most that it may cost and take; what the answer is held against."""
    return (
        extras.region,
        nanos(extras.max_cost_usd) if extras.max_cost_usd is not None else None,
        None if extras.max_latency_ms is None else extras.max_latency_ms / 1000,
        tuple(map(Check, extras.checks)) if extras.checks is not None else None,
    )
