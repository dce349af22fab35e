"""Token counts. `inputTokens` leaves the cache out, `totalTokens` does not (recorded: 54 of 54)."""

from collections.abc import Mapping
from typing import Any

from gateway.core.chat import Usage
from gateway.wire.counts import sane


def usage(said: Any) -> Usage | None:
    """The `usage` object; None when a count is absent, negative or absurd.

    The answers of `invoke` call the cache's counts ...InputTokenCount, those of Converse both.
    """
    if not isinstance(said, Mapping):
        return None
    read, written = (
        said.get(f"{name}InputTokens") or said.get(f"{name}InputTokenCount") or 0
        for name in ("cacheRead", "cacheWrite")
    )
    return counted(said.get("inputTokens"), said.get("outputTokens"), read, written)


def counted(fresh: Any, output: Any, read: Any = 0, written: Any = 0) -> Usage | None:
    """Usage of these counts; None unless all of them are sane."""
    if not sane(fresh, output, read, written):
        return None
    return Usage(prompt=fresh + read + written, completion=output, cached=read, cache_write=written)
