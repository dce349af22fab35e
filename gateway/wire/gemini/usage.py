"""Token counts: `usageMetadata`. The counts of a stream are cumulative; the last ones count."""

from collections.abc import Mapping, Sized
from typing import Any, Final

from msgspec import structs

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible

_COUNTS: Final = (
    "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "cachedContentTokenCount",
)  # fmt: skip


def parse_usage(value: Any) -> Usage | None:
    """None if the prompt's count is absent, or a count is implausible.

    promptTokenCount includes cached tokens. It excludes toolUsePromptTokenCount, as
    candidatesTokenCount excludes thoughtsTokenCount: totalTokenCount is the sum of the four in
    every recording. Other absent counts are 0.
    """
    if not isinstance(value, Mapping) or value.get("promptTokenCount") is None:
        return None
    counts = [0 if value.get(name) is None else value[name] for name in _COUNTS]
    if not are_plausible(*counts):
        return None
    prompt, read, written, thought, cached = counts
    return Usage(
        prompt=prompt + read,
        completion=written + thought,
        cached=min(cached, prompt),
        reasoning=thought,
        audio_prompt=min(_modality_tokens("AUDIO", value.get("promptTokensDetails")), prompt),
        audio_completion=min(
            _modality_tokens("AUDIO", value.get("candidatesTokensDetails")), written
        ),
        audio_cached=min(
            _modality_tokens("AUDIO", value.get("cacheTokensDetails")), cached, prompt
        ),
        image_completion=min(
            _modality_tokens("IMAGE", value.get("candidatesTokensDetails")), written
        ),
    )


def with_searches(usage: Usage | None, queries: Sized) -> Usage | None:
    """The usage with its searches of the web: counted by their queries, as Google does."""
    return structs.replace(usage, searches=len(queries)) if usage and queries else usage


def _modality_tokens(modality: str, details: Any) -> int:
    """The tokens of one modality in `[{"modality": "AUDIO", "tokenCount": 5}, ...]`."""
    if not isinstance(details, list):
        return 0
    matching = [e for e in details if isinstance(e, Mapping) and e.get("modality") == modality]
    counts = [each.get("tokenCount") for each in matching]
    return sum(count for count in counts if isinstance(count, int) and are_plausible(count))
