"""Numbers as they are written, each brought to one form: 1,234.50 and 1234.5 are the same."""

import re
from typing import Final
from unicodedata import normalize

NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
"""As most write them, and code does."""
_WHOLE: Final = r"(?:\d{1,3}(?:,\d{3}){1,6}|\d+)"
_IN_PROSE: Final = re.compile(
    r"[-+]?(?:"
    rf"{_WHOLE}(?:\.\d+)?(?:[:\u2013-]{_WHOLE}(?:\.\d+)?)+"  # 3:30, 3-5, 2024-05-01
    r"|\d+(?:/\d+){2,}"  # 1/5/24
    r"|\d+(?:\.\d+)? ?\^ ?(?:\{[-+]?\d+\}|[-+]?\d+)"  # 2^10
    r"|(?:\d+ )?\d+ ?/ ?\d+(?![.,]?\d)"  # 1/2, 2 1/2
    r"|\d{1,3}(?:\.\d{3})+,\d+"  # 1.234,5
    r"|\d+,\d{1,2}(?![\d,])"  # 3,5
    r"|(?:\d{1,3}(?:,\d{2,3}){0,20},\d{3}(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?"
    r"|\.\d+)"
)
"""Commas count within 60 digits only: an endless row of groups would be read anew from each.
"""
_COMPOUND: Final = re.compile(r"(?<=\d)[:\u2013-]|/\d+/")
_PART: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2})")
_FRACTION: Final = re.compile(r"(\d?)\\[dt]?frac ?\{(\d+)\} ?\{(\d+)\}")
_POWER_OF_TEN: Final = re.compile(
    r"(?:(?<=\d) ?(?:\u00d7|\u00b7|\\times|\\cdot|\*|x) ?|(?<![\w.,^])(?=1))"
    r"10 ?\^ ?(?:\{([-+]?\d{1,3})\}|([-+]?\d{1,3}))(?!\d)"
)
_RAISED: Final = re.compile(r"(?<=\d)[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_LOWERED: Final = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)
_SHARE: Final = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_SCALED: Final = re.compile(
    r"(?<![\w/,.^])((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?) ?"
    r"(?:([Tt]housand|[Bb]illion|[Tt]rillion)|([Mm]illion)(?:s|en)?|([Mm]illiard)(?:s|e|en)?)\b"
)
_IN_HAN: Final = re.compile(r"(?<![\d/,.^])(\d+(?:\.\d+)?) ?([\u4e07\u842c\u4ebf\u5104])(?!\d)")
"""12\u4e07 is 120,000."""
_GROUPED: Final = re.compile(
    r"(?<![\d.,])\d{1,3}(?:(?:[ \u00a0\u2009\u202f'\u2019_]|\{,\}|\\[,;!])\d{3})+(?!\d)"
)
"""Thousands apart as in French and Russian, in Swiss German, in code and in LaTeX: read by its last
group alone, 1 234 would be 2 234.
"""
_SEPARATOR: Final = re.compile(r"\D+")
_ZEROS: Final = {
    "thousand": 3, "million": 6, "milliard": 9, "billion": 9, "trillion": 12,
    "\u4e07": 4, "\u842c": 4, "\u4ebf": 8, "\u5104": 8,
}  # fmt: skip
_UNSPACED: Final = str.maketrans("", "", " {}+")
_MINUS: Final = "\u2212"
_UNITS: Final = "$\u20ac\u00a3%"
_LONGEST: Final = 4_000
"""Digits: Python reads no integer above 4,300."""


def plainly(text: str) -> str:
    """The text with its signs, powers and fractions as a keyboard has them, thousands together, and
    what is said in millions by its digits.
    """
    if not text.isascii():
        text = text.replace(_MINUS, "-")
        text = _RAISED.sub(lambda match: f"^{match[0].translate(_LOWERED)}", text)
        text = _SHARE.sub(_share, text)
    text = _GROUPED.sub(lambda match: _SEPARATOR.sub("", match[0]), text)
    if "frac" in text:
        text = _FRACTION.sub(r"\1 \2/\3", text)
    if "^" in text:
        text = _POWER_OF_TEN.sub(_power_of_ten, text)
    if "illi" in text or "housand" in text:
        text = _SCALED.sub(_scaled, text)
    return text if text.isascii() else _IN_HAN.sub(_scaled, text)


def _scaled(match: re.Match[str]) -> str:
    return f"{match[1]}e{_ZEROS[match[match.lastindex or 0].lower()]}"


def _share(match: re.Match[str]) -> str:
    """One half as 1/2, apart from a whole number before it."""
    follows = match.string[match.start() - 1 : match.start()].isdecimal()
    return " " * follows + normalize("NFKC", match[0]).replace("\u2044", "/")


def _power_of_ten(match: re.Match[str]) -> str:
    """1.5 of them, or one."""
    alone = match[0].startswith("1")
    return f"{'1' * alone}e{match[1] or match[2]}"


def bare(text: str) -> str:
    """What may be a number, without a sign of currency and the end of its sentence: a point that it
    begins with is a part of it.
    """
    return text.lstrip(_UNITS).rstrip(f"{_UNITS}.")


def unit(text: str) -> str:
    """The signs that `bare` leaves out. In LaTeX a number stands between two of the dollar's."""
    text = text.strip().rstrip(".")
    while len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1]
    return "".join(sign for sign in _UNITS if sign in text)


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
    if "^" in text:  # nobody works out 9^999999999
        return text.translate(_UNSPACED)
    if _COMPOUND.search(text):  # all of it counts: 3:30 is not 3:45
        return _PART.sub(lambda part: numeric(part[0]), text.replace("\u2013", "-"))
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
