"""Token counts as providers tell them: whole, not negative, and of this world."""

from typing import Any, Final

COUNT_LIMIT: Final = 1_000_000_000
"""No call has so many tokens: a count from here on is a mistake, not a bill."""


def are_plausible(*counts: Any) -> bool:
    """Whether all of them can be believed. If not, the usage is missing: tokens are counted."""
    return all(type(count) is int and 0 <= count < COUNT_LIMIT for count in counts)
