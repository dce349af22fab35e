"""How long an answer is."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from gateway.core import tokens
from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.tools import calls_tool

T = TypeVar("T")
UNITS: Final = ("characters", "words", "tokens")


def length(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text is neither too short nor too long, in characters, words or tokens."""
    text = choice.text or ""
    size = len(text.encode("utf-8", "surrogatepass"))
    bounds = Bounds(options, has_least=not calls_tool(choice))
    return bounds.judge(len(text), len(text.split()), size)


class Bounds:
    """`options` has min_ and max_ of each unit."""

    def __init__(self, options: Mapping[str, Any], *, has_least: bool = True) -> None:
        units = UNITS if has_least else ()
        self._least = {unit: options[key] for unit in units if (key := f"min_{unit}") in options}
        self._most = {unit: options[key] for unit in UNITS if (key := f"max_{unit}") in options}

    def judge(self, characters: int, words: int, size: int) -> str | None:
        """Why a text of such a size does not pass. `size` is in bytes."""
        sizes = _sizes(characters, words, size)
        for unit, least in self._least.items():
            if sizes[unit] < least:
                return f"it has {sizes[unit]} {unit}, and must have {least} at least"
        return self._too_long(sizes)

    def look(self, characters: int, words: int, size: int, passes: T) -> str | T | None:
        """What is certain of a text that is still coming, and can only grow."""
        sizes = _sizes(characters, words, size)
        why = self._too_long(sizes)
        if why is not None:
            return why
        long_enough = all(sizes[unit] >= least for unit, least in self._least.items())
        return passes if long_enough and characters and not self._most else None

    def _too_long(self, sizes: Mapping[str, int]) -> str | None:
        for unit, most in self._most.items():
            if sizes[unit] > most:
                return f"it has more than {most} {unit}"
        return None


def _sizes(characters: int, words: int, size: int) -> dict[str, int]:
    return {"characters": characters, "words": words, "tokens": tokens.count(size)}


class Sizes:
    """Of a text that comes in pieces: its words, as `text.split()` gives them, and its bytes."""

    def __init__(self) -> None:
        self.words = 0
        self.bytes = 0
        self._inside = False

    def add(self, more: str) -> None:
        if not more:
            return
        goes_on = self._inside and not more[0].isspace()
        self.words += len(more.split()) - goes_on
        self.bytes += len(more.encode("utf-8", "surrogatepass"))
        self._inside = not more[-1].isspace()
