"""Token counts: `usageMetadata`. The counts of a stream are cumulative; the last one counts."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import Usage
from gateway.wire.counts import sane

_COUNTS: Final = (
    "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "cachedContentTokenCount",
)  # fmt: skip


def usage(said: Any) -> Usage | None:
    """None when there is no count of the prompt, or one is negative or absurd.

    The cached tokens are part of promptTokenCount. What tools of the provider read, and what the
    model thought, are counted beside it and beside candidatesTokenCount: totalTokenCount is the
    sum of the four in every recording. A count that is absent is 0.
    """
    if not isinstance(said, Mapping) or said.get("promptTokenCount") is None:
        return None
    counts = [0 if said.get(name) is None else said[name] for name in _COUNTS]
    if not sane(*counts):
        return None
    prompt, read, written, thought, cached = counts
    return Usage(
        prompt=prompt + read,
        completion=written + thought,
        cached=min(cached, prompt),
        reasoning=thought,
        audio_prompt=min(_tokens_of("AUDIO", said.get("promptTokensDetails")), prompt),
        audio_completion=min(_tokens_of("AUDIO", said.get("candidatesTokensDetails")), written),
        audio_cached=min(_tokens_of("AUDIO", said.get("cacheTokensDetails")), cached, prompt),
        image_completion=min(_tokens_of("IMAGE", said.get("candidatesTokensDetails")), written),
    )


def _tokens_of(modality: str, details: Any) -> int:
    """Of `[{"modality": "AUDIO", "tokenCount": 5}, ...]`."""
    if not isinstance(details, list):
        return 0
    those = [e for e in details if isinstance(e, Mapping) and e.get("modality") == modality]
    counts = [each.get("tokenCount") for each in those]
    return sum(count for count in counts if isinstance(count, int) and sane(count))
