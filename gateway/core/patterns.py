"""Patterns of names, in which * stands for anything."""

from functools import lru_cache


@lru_cache(maxsize=4096)
def allowed(patterns: tuple[str, ...], name: str) -> bool:
    """Whether a name matches one of the patterns, in which * stands for anything."""
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first):
        return False
    at = len(first)
    *middle, last = rest
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(last) and name.endswith(last)
