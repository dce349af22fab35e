"""Plausibility check for token counts reported by providers."""

from typing import Any, Final

COUNT_LIMIT: Final = 1_000_000_000
"""Counts from here on are taken for a provider's mistake: no call has so many tokens."""


def are_plausible(*counts: Any) -> bool:
    """Whether all are ints from 0 to COUNT_LIMIT. If not, the usage counts as missing."""
    return all(type(count) is int and 0 <= count < COUNT_LIMIT for count in counts)
