"""Answers that say no.

Only the beginning of a text is looked at: a long answer may well say "I cannot" somewhere. Each
language has one expression, chosen by the text's first word, so that most texts cost one look-up.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.refusal_words import LANGUAGES
from gateway.core.checks.tools import all_calls

HEAD: Final = 300
"""Characters in which a refusal shows itself."""
_BEFORE: Final = 40
_LONGEST_WORD: Final = 24
_AHEAD: Final = 24
"""More characters than any expression below looks at behind its match."""
_OPENING: Final = re.compile(r"[\s*_#>\"'`\u201c-\u201e\u00ab\u00bb\ufeff]{0,40}")
_FIRST_WORD: Final = re.compile(
    r"[\s*_#>\"'`\u201c-\u201e\u00ab\u00bb\ufeff]{0,40}([^\s,.!:;*\u2013\u2014]{1,24})"
)
_QUOTED: Final = re.compile(r"[\"\u201c-\u201e\u00ab\u00bb]")
_INNER: Final = re.compile(
    r"(?<=\s)[\"\u201c-\u201e\u00ab](?=\w)[^\"\u201c-\u201e\u00ab\u00bb\n]{1,40}[\"\u201c-\u201e\u00bb]"
)
_GOES_ON: Final = re.compile(r"[\"\u201c-\u201e\u00ab\u00bb][^\w\n]{0,5}(?=\w)")
_CLOSING: Final = re.compile(
    r"(?:(?:is there (?:anything|something)|let me know|please (?:let|feel|ask|tell)|feel free"
    r"|(?:can|may|could) i (?:help|assist)|how (?:else )?(?:can|may) i|what else"
    r"|would you like|do you have|if you)\b[^.!?\n]{0,120}(?:[.!?]+ ?|$)){1,3}(?:\n|$)"
)


FILTERED: Final = "it was stopped by the provider's content filter"
MARKED: Final = "it is marked as a refusal"
REFUSES: Final = "it begins as a refusal"


class _Refusal(Struct, frozen=True):
    contains: tuple[str, ...]
    """It contains one of these: cheap to find out, so looked at first."""
    whole: re.Pattern[str]


def _by_first_word() -> dict[str, tuple[_Refusal, ...]]:
    table: dict[str, tuple[_Refusal, ...]] = {}
    for words, contains, source in LANGUAGES.values():
        refusal = _Refusal(tuple(contains.split()), re.compile(source))
        for word in words.split():
            for key in {word, word.replace("'", "\u2019")}:
                table[key] = (*table.get(key, ()), refusal)
    return table


_BY_FIRST_WORD: Final = _by_first_word()


def not_refused(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The answer was not filtered, and is no refusal by its fields or first words."""
    if choice.finish == "content_filter":
        return FILTERED
    if choice.refusal:
        return MARKED
    if choice.text and begins_as_refusal(choice.text) and not all_calls(choice):
        return REFUSES
    return None


def begins_as_refusal(text: str) -> bool:
    """Whether the first HEAD characters say no. More text after them changes nothing."""
    first = _FIRST_WORD.match(text)
    if first is None:
        return False
    refusals = _refusals(first[1])
    if not refusals:
        return False
    head = _head(text, first.start(1))
    for refusal in refusals:
        if any(sign in head for sign in refusal.contains) and refusal.whole.match(head):
            return not (_quoted(text, first) and _spoken_of(head))
    return False


def prefix_refuses(text: str) -> bool | None:
    """What is known of `begins_as_refusal` for any text that begins with this one."""
    opening = _OPENING.match(text)
    before = opening.end() if opening else 0
    if before == len(text) and before < _BEFORE:
        return None
    first = _FIRST_WORD.match(text)
    if first is None:
        return None if before == len(text) else False
    if first.end() == len(text) and len(first[1]) < _LONGEST_WORD:
        return None
    refusals = _refusals(first[1])
    head = _head(text, first.start(1))
    for refusal in () if _quoted(text, first) else refusals:
        if any(sign in head for sign in refusal.contains):
            found = refusal.whole.match(head)
            if found is not None and found.end() + _AHEAD <= len(head):
                return True
    whole = len(text) - first.start(1) >= HEAD
    return begins_as_refusal(text) if whole or not refusals else None


def _refusals(first_word: str) -> tuple[_Refusal, ...]:
    word = first_word.lower()
    return _BY_FIRST_WORD.get(word) or _BY_FIRST_WORD.get(word[0]) or ()


def _quoted(text: str, first: re.Match[str]) -> bool:
    """Whether a quotation mark stands before its first word."""
    return _QUOTED.search(text, 0, first.start(1)) is not None


def _spoken_of(head: str) -> bool:
    """Whether a quoted refusal is only spoken of: more follows than the usual closing words."""
    head = _INNER.sub("", head)
    goes_on = _GOES_ON.search(head)
    return goes_on is not None and _CLOSING.match(head, goes_on.end()) is None


def _head(text: str, start: int) -> str:
    return text[start : start + HEAD].lower().replace("\u2019", "'")
