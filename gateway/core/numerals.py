"""Numbers as they are written, each brought to one form: 1,234.50 and 1234.5 are the same."""

import re
from typing import Final

NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
"""As most write them, and code does."""
_IN_PROSE: Final = re.compile(
    r"[-+]?(?:"
    r"(?:\d+ )?\d+ ?/ ?\d+(?![.,]?\d)"  # 1/2, 2 1/2
    r"|\d{1,3}(?:\.\d{3})+,\d+"  # 1.234,5
    r"|\d+,\d{1,2}(?![\d,])"  # 3,5
    r"|(?:\d{1,3}(?:,\d{2,3}){0,20},\d{3}(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?"
    r"|\.\d+)"
)
"""A number of more than 60 digits has its commas in vain: a row of groups without end would be read
anew from each of them.
"""
_DECIMAL_COMMA: Final = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2})")
_FRACTION: Final = re.compile(r"(\d?)\\[dt]?frac ?\{(\d+)\} ?\{(\d+)\}")
_POWER_OF_TEN: Final = re.compile(
    r"(?<=\d) ?(?:\u00d7|\\times|\\cdot|\*|x) ?10 ?\^ ?(?:\{([-+]?\d{1,3})\}|([-+]?\d{1,3}))"
)
_MINUS: Final = "\u2212"
_LONGEST: Final = 4_000
"""Digits: Python reads no integer above 4,300."""


def plainly(text: str) -> str:
    """The text with its signs, powers of ten and fractions as a keyboard has them."""
    if _MINUS in text:
        text = text.replace(_MINUS, "-")
    if "frac" in text:
        text = _FRACTION.sub(r"\1 \2/\3", text)
    if "^" in text:
        text = _POWER_OF_TEN.sub(r"e\1\2", text)
    return text


def numbers(text: str) -> list[str]:
    """All that are in a text, in their order, each in its one form."""
    return [_in_prose(match[0]) for match in _IN_PROSE.finditer(text)]


def first_number(text: str) -> str | None:
    match = _IN_PROSE.search(text)
    return match and _in_prose(match[0])


def last_number(text: str) -> str | None:
    found = _IN_PROSE.findall(text)
    return _in_prose(found[-1]) if found else None


def _in_prose(text: str) -> str:
    if "/" in text:
        return _fraction(text)
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    return numeric(text)


def _fraction(text: str) -> str:
    """As a number where it is one, else as it is written."""
    above, _, below = text.partition("/")
    whole, _, part = above.strip().rpartition(" ")
    try:
        share = int(part) / int(below)
        return exact(int(whole) + (-share if whole[0] == "-" else share) if whole else share)
    except (ArithmeticError, ValueError):  # by nothing, or beyond all bounds
        return text


def numeric(text: str) -> str:
    """A whole number by its digits: a long one may be an id, which a float would confuse."""
    text = text.replace(",", "")
    if len(text) > _LONGEST:
        return text
    whole, _, part = text.lower().partition(".")
    if "e" in part or "e" in whole or not whole.strip("+-") or (part and int(part)):
        return exact(float(text))
    return str(int(whole))


def exact(value: float) -> str:
    """1 and 1.0 are the same; what is no number, or has no end, is what it is."""
    return str(int(value)) if value == value // 1 else repr(value)
