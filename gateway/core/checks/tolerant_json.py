"""JSON as models write it: fenced, amid prose, with raw line breaks and LaTeX's backslashes.

Most models fence their JSON, and some write line breaks into strings as they are: a strict reader
would fail nearly every right answer of theirs. Duplicate keys count as the last one does.
"""

import json
import re
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.checks.thoughts import without_thoughts

DEPTH: Final = 64
"""Deeper JSON is not read: what looks at it next may be recursive. Requests have the same limit."""
_STARTS: Final = 16
"""So many places are tried, so that a long text costs no more than so many readings."""

_FENCE: Final = re.compile(r"```[\w+-]*[ \t]*\r?\n?|~~~[\w+-]*[ \t]*\r?\n")
_JSON_FENCE: Final = re.compile(r"(?:```|~~~)json\b", re.IGNORECASE)
_AT_LINE_START: Final = re.compile(r"^(?:\{|\[\s*[\[{\"])", re.MULTILINE)
"""Not indented: that may be a whole part of something broken. And no citation, such as [1]."""
_ESCAPE: Final = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
BLANK: Final = "\ufeff \t\r\n"
_BEGINS: Final = '{["-0123456789tfnNI'
"""What a JSON value may begin with; json reads NaN and Infinity, too, to refuse them."""


def begins_bare(text: str) -> bool | None:
    """Whether a text begins with an object or a list; None while that cannot be said yet."""
    text = text.lstrip(BLANK)
    if _AT_LINE_START.match(text):
        return True
    return None if not text or (text[0] == "[" and not text[1:].strip()) else False


class Unreadable(Struct, frozen=True):
    """There is no JSON in the text. `why` is one line that does not quote it."""

    why: str


_NOTHING_THERE: Final = Unreadable("it is not JSON")
_TOO_DEEP: Final = Unreadable(f"its JSON is nested deeper than {DEPTH} levels")


def read_json(text: str) -> Any:
    """The JSON value of an answer, or Unreadable.

    A text that begins with an object or a list is read there or not at all, so that a broken one
    is known before it ends. Else a fenced block that is JSON, else an object or a list that begins
    a line. All that again with stray backslashes escaped. What was thought in front of it is left
    out. NaN and Infinity are not JSON.
    """
    value = read_strict(text)
    if not isinstance(value, Unreadable) or value is _TOO_DEEP:
        return value
    text = text.strip(BLANK)
    if "think>" in text and not _AT_LINE_START.match(text):
        text = without_thoughts(text).strip(BLANK)
    if not _may_hold(text):
        return value
    value = _search(text)
    if isinstance(value, dict | list) or value is _TOO_DEEP or "\\" not in text:
        return value
    repaired = _search(_ESCAPE.sub(_escaped, text))
    return value if repaired is _NOTHING_THERE else repaired


def read_strict(text: str) -> Any:
    """The JSON value that the whole text is, or Unreadable."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        return _TOO_DEEP
    except (msgspec.DecodeError, UnicodeEncodeError):
        # Valid JSON that msgspec will not hold: lone surrogates, very long numbers.
        if text.lstrip(" \t\r\n")[:1] not in _BEGINS:
            return _NOTHING_THERE
        try:
            value = _STRICT.decode(text)
        except RecursionError:
            return _TOO_DEEP
        except ValueError:
            return _NOTHING_THERE
    return _TOO_DEEP if _deeper(value, text) else value


def _may_hold(text: str) -> bool:
    """Whether there is any place in it where JSON is looked for: in most prose there is none."""
    if text[:1] in _BEGINS or "```" in text or "~~~" in text:
        return True
    return ("{" in text or "[" in text) and _AT_LINE_START.search(text) is not None


def _search(text: str) -> Any:
    """What begins the text, else the best of what is fenced; without fences, what begins a line."""
    if _AT_LINE_START.match(text):
        return _read_at(text, 0, bounded=False)
    value = _read_at(text, 0, bounded=True)
    if value is not _NOTHING_THERE:
        return value
    best: Any = _NOTHING_THERE
    fences = list(islice(_FENCE.finditer(text), _STARTS))
    for fence in (*islice(_JSON_FENCE.finditer(text), _STARTS), *fences):
        value = _read_at(text, _skip_blank(text, fence.end()), bounded=True)
        if isinstance(value, dict) or value is _TOO_DEEP:
            return value
        # Snippets of code are often lists or texts; the answer seldom is.
        if best is _NOTHING_THERE or (isinstance(value, list) and not isinstance(best, list)):
            best = value
    for line in () if fences else islice(_AT_LINE_START.finditer(text), _STARTS):
        value = _read_at(text, line.start(), bounded=False)
        if value is not _NOTHING_THERE:
            return value
    return best


def _read_at(text: str, start: int, *, bounded: bool) -> Any:
    """The value that begins there; if bounded, one that a fence or the end of the text follows."""
    try:
        value, end = _LENIENT.raw_decode(text, start)
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return _NOTHING_THERE
    rest = text[end : end + 200].lstrip()
    if bounded and rest and not rest.startswith(("```", "~~~")):
        return _NOTHING_THERE
    return _TOO_DEEP if _deeper(value, text) else value


def _skip_blank(text: str, start: int) -> int:
    while start < len(text) and text[start] in BLANK:
        start += 1
    return start


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\"


def _deeper(value: Any, text: str) -> bool:
    """Whether a value read from this text is nested deeper than DEPTH."""
    if text.count("{") + text.count("[") <= DEPTH or not isinstance(value, dict | list):
        return False
    level = [value]
    for _ in range(DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_STRICT: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_LENIENT: Final = json.JSONDecoder(parse_constant=_refuse_constant, strict=False)
