"""Token counts. `inputTokens` excludes cached tokens, `totalTokens` does not (all recordings)."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible


def parse_usage(value: Any) -> Usage | None:
    """Parses the `usage` object; None if a count is absent or implausible.

    `invoke` names the cache counts ...InputTokenCount, Converse uses either name.
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
    """Tokens written to the one-hour cache, by the `ttl` in `cacheDetails`."""
    entries = (
        [each for each in details if isinstance(each, Mapping)] if type(details) is list else []
    )
    counts: list[Any] = [each.get("inputTokens") for each in entries if each.get("ttl") == "1h"]
    return sum(counts) if are_plausible(*counts) else 0


def usage_from_counts(fresh: Any, output: Any, read: Any = 0, written: Any = 0) -> Usage | None:
    """A usage from these counts; None unless all of them are plausible."""
    if not are_plausible(fresh, output, read, written):
        return None
    return Usage(prompt=fresh + read + written, completion=output, cached=read, cache_write=written)
