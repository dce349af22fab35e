"""Token counts. `inputTokens` leaves the cache out, `totalTokens` does not (recorded: 54 of 54)."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible


def parse_usage(value: Any) -> Usage | None:
    """The `usage` object; None when a count is absent, negative or absurd.

    The answers of `invoke` call the cache's counts ...InputTokenCount, those of Converse both.
    """
    if not isinstance(value, Mapping):
        return None
    read, written = (
        value.get(f"{name}InputTokens") or value.get(f"{name}InputTokenCount") or 0
        for name in ("cacheRead", "cacheWrite")
    )
    result = usage_from_counts(value.get("inputTokens"), value.get("outputTokens"), read, written)
    hour = _written_for_1h(value.get("cacheDetails"))
    if result is None or not hour:
        return result
    return structs.replace(result, cache_write_1h=min(hour, result.cache_write))


def _written_for_1h(details: Any) -> int:
    """Tokens written for an hour: `cacheDetails` tells what was written by its `ttl`."""
    entries = (
        [each for each in details if isinstance(each, Mapping)] if type(details) is list else []
    )
    counts: list[Any] = [each.get("inputTokens") for each in entries if each.get("ttl") == "1h"]
    return sum(counts) if are_plausible(*counts) else 0


def usage_from_counts(fresh: Any, output: Any, read: Any = 0, written: Any = 0) -> Usage | None:
    """Usage of these counts; None unless all of them are sane."""
    if not are_plausible(fresh, output, read, written):
        return None
    return Usage(prompt=fresh + read + written, completion=output, cached=read, cache_write=written)
