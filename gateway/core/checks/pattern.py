"""Texts that must be found in an answer."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.tools import calls_tool

CITATION: Final = r"\[\d+\]"
_LOOKS_AHEAD: Final = re.compile(r"\$|\\[bBZ]|\(\?[=!>(]|[*+?}]\+")


def citation(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """A citation, such as [3], occurs in the text."""
    return _missing(choice, options.get("pattern", CITATION), "it cites nothing")


def regex(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The configured pattern occurs in the text."""
    return _missing(choice, options.get("pattern", ""), "the pattern is not found in it")


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str] | None:
    """None for what is not a regular expression."""
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def is_firm(pattern: Any) -> bool:
    """Whether what it finds in a text it also finds in every longer one: it has no assertions."""
    return isinstance(pattern, str) and _LOOKS_AHEAD.search(pattern) is None


def _missing(choice: Choice, pattern: Any, why: str) -> str | None:
    """A tool call is a step to an answer, and a faulty pattern is not the answer's fault."""
    if calls_tool(choice):
        return None
    expression = compiled(pattern) if isinstance(pattern, str) else None
    if expression is None or expression.search(choice.text or ""):
        return None
    return why
