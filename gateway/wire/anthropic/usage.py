"""Token counts. `input_tokens` leaves the cache out; the counts of a stream are cumulative.

What a compaction of the context took, and what an advisor said, is billed and not in the counts at
the top: it is in `iterations`. Source: Anthropic's pages on compaction and on the advisor tool.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible

_INPUTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COUNTS: Final = (*_INPUTS, "output_tokens")
_BESIDE: Final = frozenset({"advisor_message", "compaction"})
"""Types of iterations that are counted nowhere else."""


def usage(said: Any) -> Usage | None:
    """The `usage` object; None when a count is absent, negative or absurd."""
    told = _counted(said)
    for each in _beside(said) if told is not None else ():
        more = _counted(each)
        if told is not None and more is not None:
            told = _sum(told, more)
    return told


def _beside(said: Any) -> list[Any]:
    iterations = said.get("iterations")
    if not isinstance(iterations, list):
        return []
    return [e for e in iterations if isinstance(e, Mapping) and e.get("type") in _BESIDE]


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        **{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__}
    )


def _counted(said: Any) -> Usage | None:
    if not isinstance(said, Mapping) or not {"input_tokens", "output_tokens"} <= said.keys():
        return None
    counts = [0 if said.get(name) is None else said[name] for name in _COUNTS]
    if not are_plausible(*counts):
        return None
    fresh, read, written, output = counts
    kept = said.get("cache_creation")
    hour: Any = kept.get("ephemeral_1h_input_tokens") if isinstance(kept, Mapping) else None
    details = said.get("output_tokens_details")
    thought: Any = details.get("thinking_tokens") if isinstance(details, Mapping) else None
    return Usage(
        prompt=fresh + read + written,
        completion=output,
        cached=read,
        cache_write=written,
        reasoning=thought if are_plausible(thought) and thought <= output else 0,
        cache_write_1h=min(hour, written) if are_plausible(hour) else 0,
    )


def latest(known: Mapping[str, Any], said: Any) -> Mapping[str, Any]:
    """What a stream has said so far: the last value of each field that was not null. Imitators that
    told the prompt at the beginning have 0 for it at the end (sgl-project/sglang#20830).
    """
    if not isinstance(said, Mapping):
        return known
    untold = () if any(said.get(name) for name in _INPUTS) else known.keys() & set(_INPUTS)
    new = {name: value for name, value in said.items() if value is not None and name not in untold}
    return {**known, **new}
