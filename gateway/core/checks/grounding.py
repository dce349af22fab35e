"""What an answer cites must be in what it was given: the citation that was invented."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.conversation import Remembered, texts_by_role
from gateway.core.checks.pattern import compiled
from gateway.core.checks.tolerant_json import read_json

QUOTATION: Final = (
    r'(?:(?<!(?:[^\W_]))(?<!(?:[.,;!?)\]=]))"|[\u201c\u201e]|(?<!\S)\u00ab\s?)(?=\w)'
    r'([^"\u201c\u201d\u201e\u00ab\u00bb\n]{20,400})(?!\w)'
)
"""The beginning of a quotation of some length, in whole words. A mark that opens one stands before
a word, and a straight one not behind a word: there it may close one. Sets stand in groups, since
`<![` is markup to what renders the manual.
"""
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MOST: Final = 200
"""So many citations are looked up."""
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    r"\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese: no blanks stand between words."""


def cites_context(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """Everything that the text cites occurs in the request's messages."""
    text = choice.text or ""
    pattern = options.get("pattern", QUOTATION)
    expression = compiled(pattern) if text else None
    if expression is None:
        return None
    if pattern == QUOTATION:
        text = _prose(text)
    given = ""
    for found in islice(expression.finditer(text), _MOST):
        cited = _bare(found[expression.groups and 1] or found[0])
        if cited and not given:
            given = f" {_sources(bytes(request.fields.get('messages', b'[]')))} "
        if cited and not _occurs(cited, given):
            return "it cites what is not in the request"
    return None


def _prose(text: str) -> str:
    """A text in code is no quotation, nor is one because it is a part of JSON."""
    value = read_json(text) if text.lstrip()[:1] in ("{", "[") else None
    if isinstance(value, dict | list):
        text = "\n".join(_texts(value))
    return _CODE.sub("\n", text) if "`" in text else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _read_sources(messages: bytes) -> str:
    """The text of all messages but the model's own."""
    return _bare("\n".join(text for role, text in texts_by_role(messages) if role != "assistant"))


_sources: Final = Remembered(_read_sources, 16)


def _bare(text: str) -> str:
    """Without case and punctuation."""
    return _NOT_WORDS.sub(" ", text).strip().casefold()


def _occurs(cited: str, given: str) -> bool:
    """Whether it is in there in whole words. `given` has a blank at each end."""
    if f" {cited} " in given:
        return True
    if cited.isascii() and given.isascii():
        return False
    first, last = _is_spaced(cited[0]), _is_spaced(cited[-1])
    at = given.find(cited)
    while at >= 0:
        end = at + len(cited)
        if not (first and _is_spaced(given[at - 1])) and not (last and _is_spaced(given[end])):
            return True
        at = given.find(cited, end)
    return False


def _is_spaced(character: str) -> bool:
    """Whether it is part of a word that blanks stand around."""
    return character != " " and _UNSPACED.match(character) is None
