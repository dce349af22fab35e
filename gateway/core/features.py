"""What routing needs to know of a request, read once."""

from typing import Final

from msgspec import Struct

from gateway.core import tokens
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest
from gateway.core.money import Nanos, nanos

_NEEDS: Final = (
    ("messages", b'"image_url"', "vision"),
    ("messages", b'"input_audio"', "audio"),
    ("messages", b'"file"', "files"),
    ("response_format", b'"json_schema"', "json_schema"),
)


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
    checks: tuple[Check, ...] | None = None
    """What the client wants its answer held against, instead of the route's own checks."""


_NONE: Final[frozenset[str]] = frozenset()


def read_features(request: ChatRequest) -> Features:
    """The features of a checked request."""
    fields = request.fields
    needs = {need for name, mark, need in _NEEDS if name in fields and mark in bytes(fields[name])}
    if "tools" in fields or "functions" in fields:
        needs.add("tools")
    extras = request.extras
    return Features(
        prompt=tokens.bound(request),
        output=request.max_tokens,
        n=request.n,
        needs=frozenset(needs) if needs else _NONE,
        caches=any(b'"cache_control"' in bytes(value) for value in fields.values()),
        region=extras.region,
        max_cost=nanos(extras.max_cost_usd) if extras.max_cost_usd is not None else None,
        checks=tuple(map(Check, extras.checks)) if extras.checks is not None else None,
    )
