"""Token counts. `input_tokens` excludes cached tokens; the counts of a stream are cumulative.

Context compaction and the advisor tool are billed but not part of the top-level counts: they are
in `iterations`. Source: Anthropic's pages on compaction and on the advisor tool.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.usage import NOT_BILLED, Usage
from gateway.wire.counts import are_plausible

_INPUTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COUNTS: Final = (*_INPUTS, "output_tokens")
_BILLED_ITERATIONS: Final = frozenset({"advisor_message", "compaction"})
"""Types of iterations that the top-level counts leave out."""
_BILLED_REFUSALS: Final = frozenset({"bio", "frontier_llm", "reasoning_extraction"})
"""Categories of refusals that are billed even before any output. Those of others, and of none, are
not, at any host: the counts in `usage` are not charged. Source: Anthropic, "Refusals and fallback",
How refusals are billed, of September 2026; it says that the categories may change.
"""


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
    tools = value.get("server_tool_use")
    searches: Any = tools.get("web_search_requests") if isinstance(tools, Mapping) else None
    details = value.get("output_tokens_details")
    thinking: Any = details.get("thinking_tokens") if isinstance(details, Mapping) else None
    return Usage(
        prompt=fresh + read + written,
        completion=output,
        cached=read,
        cache_write=written,
        reasoning=thinking if are_plausible(thinking) and thinking <= output else 0,
        cache_write_1h=min(hour, written) if are_plausible(hour) else 0,
        searches=searches if are_plausible(searches) else 0,
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


def billed_usage(usage: Any, stop_reason: str | None, details: Any, *, empty: bool) -> Usage | None:
    """The parsed usage; NOT_BILLED for a refusal before any output, if its category is not billed.
    `empty`: the answer has no content.
    """
    if empty and stop_reason == "refusal":
        category = details.get("category") if isinstance(details, Mapping) else None
        if category is None or (isinstance(category, str) and category not in _BILLED_REFUSALS):
            return NOT_BILLED
    return parse_usage(usage)
