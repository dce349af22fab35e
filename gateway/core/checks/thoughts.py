"""Thoughts that a host leaves in front of an answer: <think> ... </think>."""

import re
from typing import Final

_OPENED: Final = re.compile(r"\s{0,40}<think>")
_CLOSED: Final = re.compile(r"^</think>", re.MULTILINE)
_END: Final = "</think>"


def begins_with_thoughts(text: str) -> bool:
    """Whether it does; text that follows changes nothing about it."""
    return _OPENED.match(text) is not None


def without_thoughts(text: str) -> str:
    """The text behind them; "" where they do not end. Some templates open them in the prompt, so
    that only their end is in the text, on a line of its own.
    """
    if begins_with_thoughts(text) or (_END in text and _CLOSED.search(text)):
        _, ended, answer = text.rpartition(_END)
        return answer if ended else ""
    return text
