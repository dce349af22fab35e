"""Brings values to keys that are equal where they mean the same."""

import re
from collections.abc import Hashable
from typing import Any, Final
from unicodedata import category, normalize

from gateway.core.agree.numerals import NUMBER, bare, exact, numeric, unit

_NOT_WORD: Final = re.compile(r"[\W_]")
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_SIGNS: Final = re.compile(
    r"[+*/\\<>=^|&~#@%$\u00a3\u00a5\u20ac\u00ac\u00b1\u00d7\u00f7\u2190-\u2bff\U0001f000-\U0001faff]"
    r"|(?<!\w)-(?=\.?\d)|(?<=\w)-(?=[\s.!?]*$)"
)
"""Signs without which a text would mean something else: 12 * 4, x > 5, C++, A-. The ranges are
arrows, the signs of mathematics, ticks and crosses, stars and pictures.
"""
_BLANKS: Final = re.compile(r"(?<!\w) | (?!\w)")
"""Those beside a sign: between two words, or two numbers as in 2 1/2, a blank counts."""
_POINT: Final = re.compile(r"(?<![\w.])\.(?=\d)")
"""What a number begins with, and no sentence ends with."""
_DATE: Final = re.compile(r"\b(\d{1,4})/(\d{1,2})/(\d{1,4})\b")
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def canonical(value: Any) -> Hashable:
    """A JSON value without what does not change its meaning: the order of keys, empty optional
    ones, 1 and 1.0, case and punctuation of texts.
    """
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if each not in _EMPTY}
        return ("object", tuple(sorted((key, canonical(each)) for key, each in kept.items())))
    if isinstance(value, list):
        return ("list", tuple(map(canonical, value)))
    return scalar(value)


def scalar(value: Any) -> Hashable:
    if isinstance(value, bool) or value is None:
        return ("literal", str(value))
    if isinstance(value, int | float):
        return ("number", exact(value))
    text = str(value)
    number = bare(text.strip()).strip()
    if NUMBER.fullmatch(number) and not is_code(number):
        return number_key(numeric(number), unit(text))
    return ("text", words(text))


def number_key(number: str, sign: str) -> tuple[str, ...]:
    """With its sign of a currency, or of per cent, if it has one."""
    return ("number", number, sign) if sign else ("number", number)


def words(text: str) -> str:
    """Without case, and punctuation that changes nothing."""
    text = _DATE.sub(r"\1-\2-\3", text) if "/" in text else text
    text = _POINT.sub("0.", text) if "." in text else text
    if _SIGNS.search(text):
        text = _BLANKS.sub("", " ".join(text.split()))
        return text.rstrip(".!?/;").replace('"', "'").casefold()
    if text.isascii():
        return _NOT_WORDS.sub(" ", text).strip().casefold() or text.strip()
    plain = _NOT_WORD.sub(_marks, normalize("NFC", text))
    return " ".join(plain.split()).casefold() or text.strip()


def _marks(match: re.Match[str]) -> str:
    """The marks on letters stay: in Hindi and Thai these are vowels and tones."""
    return match[0] if category(match[0])[0] == "M" else " "


def is_code(number: str) -> bool:
    """Whether its leading zeros count, as in 007 and 02139."""
    return number[0] == "0" and number.isdecimal() and len(number) > 1
