"""Which script letters are of: one table, for rules that ask for one and for checks of language."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from typing import Final

SCRIPTS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "arabic": ((0x0600, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08FF)),
    "bengali": ((0x0980, 0x09FF),),
    "cyrillic": ((0x0400, 0x052F),),
    "devanagari": ((0x0900, 0x097F),),
    "greek": ((0x0370, 0x03FF), (0x1F00, 0x1FFF)),
    "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F)),
    "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "hebrew": ((0x0590, 0x05FF),),
    "kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF)),
    "latin": (
        (0x0041, 0x005A), (0x0061, 0x007A), (0x00C0, 0x00D6), (0x00D8, 0x00F6), (0x00F8, 0x024F),
        (0x1E00, 0x1EFF),
    ),
    "tamil": ((0x0B80, 0x0BFF),),
    "thai": ((0x0E00, 0x0E7F),),
}  # fmt: skip
"""Ranges of code points, first to last."""
_RANGES: Final = sorted((*span, name) for name, spans in SCRIPTS.items() for span in spans)
_FIRST: Final = [first for first, _, _ in _RANGES]


def letters_of(text: str) -> dict[str, int]:
    """How many letters of each script are in a text; of a script without any, nothing."""
    counts: dict[str, int] = {}
    for character, times in Counter(text).items():  # most texts have few different ones
        code = ord(character)
        at = bisect_right(_FIRST, code) - 1
        if at >= 0 and code <= _RANGES[at][1]:
            name = _RANGES[at][2]
            counts[name] = counts.get(name, 0) + times
    return counts
