"""Thoughts that a host leaves in front of an answer: <think> ... </think>."""

import re
from typing import Final

_OPENED: Final = re.compile(r"\s*<think>")
_CLOSED: Final = re.compile(r"^</think>", re.MULTILINE)
_END: Final = "</think>"


def without_thoughts(text: str) -> str:
    """What stands behind them. Some templates open them in the prompt, so that only their end is
    in the text, on a line of its own.
    """
    if _END in text and (_OPENED.match(text) or _CLOSED.search(text)):
        return text.rpartition(_END)[2]
    return text
