"""Token counts. `input_tokens` excludes cached tokens; the counts of a stream are cumulative.

Context compaction and the advisor tool are billed but not part of the top-level counts: they are
in `iterations`. Source: Anthropic's pages on compaction and on the advisor tool.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible

_INPUTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COUNTS: Final = (*_INPUTS, "output_tokens")
_BILLED_ITERATIONS: Final = frozenset({"advisor_message", "compaction"})
"""Types of iterations that the top-level counts leave out."""


def parse_usage(value: Any) -> Usage | None:
    """Parses the `usage` object; None if a count is absent or implausible."""
    total = _parse_counts(value)
    for each in _billed_iterations(value) if total is not None else ():
        more = _parse_counts(each)
        if total is not None and more is not None:
            total = _sum(total, more)
    return total


def _billed_iterations(value: Any) -> list[Any]:
    iterations = value.get("iterations")
    if not isinstance(iterations, list):
        return []
    return [e for e in iterations if isinstance(e, Mapping) and e.get("type") in _BILLED_ITERATIONS]


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        **{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__}
    )


def _parse_counts(value: Any) -> Usage | None:
    if not isinstance(value, Mapping) or not {"input_tokens", "output_tokens"} <= value.keys():
        return None
    counts = [0 if value.get(name) is None else value[name] for name in _COUNTS]
    if not are_plausible(*counts):
        return None
    fresh, read, written, output = counts
    cache_creation = value.get("cache_creation")
    hour: Any = (
        cache_creation.get("ephemeral_1h_input_tokens")
        if isinstance(cache_creation, Mapping)
        else None
    )
    details = value.get("output_tokens_details")
    thinking: Any = details.get("thinking_tokens") if isinstance(details, Mapping) else None
    return Usage(
        prompt=fresh + read + written,
        completion=output,
        cached=read,
        cache_write=written,
        reasoning=thinking if are_plausible(thinking) and thinking <= output else 0,
        cache_write_1h=min(hour, written) if are_plausible(hour) else 0,
    )


def merge_usage(known: Mapping[str, Any], update: Any) -> Mapping[str, Any]:
    """Merges a stream's usage objects: the last non-null value of each field. Input counts are
    kept if the update has only zeros for them, as imitators send (sgl-project/sglang#20830).
    """
    if not isinstance(update, Mapping):
        return known
    omitted = () if any(update.get(name) for name in _INPUTS) else known.keys() & set(_INPUTS)
    new = {
        name: value for name, value in update.items() if value is not None and name not in omitted
    }
    return {**known, **new}
