"""When two answers mean the same: each is brought to a key, and equal keys agree.

An answer that has no key cannot be compared, and counts as disagreeing with all others. A number
without a sign agrees with $5 and with 5%, which do not agree with each other: see groups.py.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.agree.meaning import canonical, is_code, number_key, scalar, words
from gateway.core.agree.numerals import (
    NUMBER,
    bare,
    first_number,
    last_number,
    numbers,
    numeric,
    plainly,
    unit,
)
from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.checks.thoughts import without_thoughts
from gateway.core.checks.tolerant_json import Unreadable, read_json, read_strict
from gateway.core.checks.tools import all_calls

MODES: Final = ("auto", "choice", "json", "label", "number", "tools")

_LONGEST_LABEL: Final = 60
_TRIES: Final = 100
"""So many places are tried, so that a long text costs no more."""
_SURE_KEYS: Final = ("answer", "final_answer")
_ANSWER_KEYS: Final = (*_SURE_KEYS, "result", "label", "choice", "output", "value")
_EXPLAINS: Final = re.compile(
    r"analysis|confidence|explanation|justification|rationale|reason(?:ing)?|steps|thoughts?|why",
    re.IGNORECASE,
)
_STATED: Final = re.compile(
    r"####|\\boxed\{+|\banswer\b(?:[^.\n:=]{0,40}?\bis\b)?[ *]*[:=]?[ *]*", re.IGNORECASE
)
"""What introduces the final answer. Words like "total" do not: they occur on the way to it."""
_MARKS: Final = ("answer", "####", "\\boxed")
_PERIOD: Final = re.compile(
    r"[.!](?<!\b(?:Dr|Mr|Ms|Mt|St)\.)(?<!\b(?:Mrs|e\.g|i\.e|[A-Z]\.[A-Z])\.)"
    r"(?<!\bProf\.)(?<!\bapprox\.)(?<!\b[A-Z]\. [A-Z]\.)\**(?:\s(?![A-Z]\.)|$)"
)
"""The end of a sentence, and not of a short form or an initial."""
_CHOICE: Final = re.compile(
    r"(?:(?i:\b(?:answer|choice|option)\b\W*+(?:is\W*+)?)|\\boxed\{+(?:\\text\{)?(?:\((?=\w\)))?)"
    r"(?:(?<=\()([A-Ja-j])\)|([B-HJ])\b|([AI])\b(?!['\u2019]|\s+(?!because\b|since\b|as\b)[a-z]))"
)
"""A bare letter is a capital one, and no word: not "the answer is a" or "the answer is A set". What
stands before it is read once: a line of a table may be thousands of marks.
"""
_LONE_CHOICE: Final = re.compile(
    r"\W*([A-Ja-j])\W*$|\W{0,3}(?:([A-J])[).:]|\(([a-j])\)|([B-HJ])\s)"
)
_OPTION_LINE: Final = re.compile(r"^[*# \t-]*+\(?([A-Ja-j])[).:]", re.MULTILINE)
_UNIT: Final = re.compile(r"units?|currency", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[^\W\d_]+(?:['\u2019 -][^\W\d_]+)*[.!]?")
_LITERAL: Final = re.compile(
    r"'([^'\\]*)'|\"([^\"\\']*)\"|(?<=[,:()\[\]{}])\s+|(?<!\s)\s++(?=[,:()\[\]{}])"
)


class Agreement(Struct, frozen=True):
    """How answers are compared; `pointers` say which parts of a JSON answer count."""

    mode: str = "auto"
    pointers: tuple[str, ...] = ()


def key_of(completion: Completion, agreement: Agreement) -> Hashable | None:
    """What an answer means; None when it cannot be compared. Several choices cannot."""
    if len(completion.choices) != 1:
        return None
    choice = completion.choices[0]
    if choice.text and "think>" in choice.text:
        choice = structs.replace(choice, text=without_thoughts(choice.text).strip())
    return _KEYS[agreement.mode](choice, agreement)


def _tools(choice: Choice, _: Agreement) -> Hashable | None:
    """The calls in any order. Two answers that call nothing agree on that."""
    calls = [_call(call) for call in all_calls(choice)]
    if None in calls:
        return None
    return ("calls", tuple(sorted(calls, key=repr)))


def _call(call: ToolCall) -> tuple[str, Hashable] | None:
    arguments = read_strict(call.arguments or "{}")
    return None if isinstance(arguments, Unreadable) else (call.name, canonical(arguments))


def _json(choice: Choice, agreement: Agreement) -> Hashable | None:
    value = read_json(choice.text or "")
    if isinstance(value, Unreadable):
        return None
    if not agreement.pointers:
        return ("json", canonical(value))
    found = [_pointed(value, pointer) for pointer in agreement.pointers]
    return None if _MISSING in found else ("json", tuple(map(canonical, found)))


def _number(choice: Choice, _: Agreement) -> Hashable | None:
    """The number that is stated as the answer, else the last one; of a short JSON answer all."""
    text, whole = _answer_text(choice)
    text = plainly(text)
    if whole and len(text) <= _LONGEST_LABEL:
        found = numbers(text.rpartition("=")[2])
        return ("numbers", *found) if found else None
    stated = [match.end() for match in _STATED.finditer(text)]
    for start in reversed(stated[-_TRIES:]):
        after = text[start : start + 100].partition("\n")[0]
        if (one := first_number(after.rpartition("=")[2]) or first_number(after)) is not None:
            return ("numbers", one)
    last = last_number(text)
    return None if last is None else ("numbers", last)


def _choice(choice: Choice, _: Agreement) -> Hashable | None:
    """The letter that is stated last; else the one that the text is, or begins with, unless it goes
    through several options.
    """
    text, _whole = _answer_text(choice)
    lone = _LONE_CHOICE.match(text)
    if lone and lone[1]:
        return ("choice", lone[1].upper())
    found = [match[match.lastindex or 0] for match in _CHOICE.finditer(text)]
    if not found and lone and len(set(_OPTION_LINE.findall(text))) < 2:
        found = [lone[lone.lastindex or 0]]
    return ("choice", found[-1].upper()) if found else None


def _label(choice: Choice, _: Agreement) -> Hashable | None:
    """A short text, without case and punctuation."""
    text, _whole = _answer_text(choice)
    text = text.replace("**", "")
    text = text.strip("*`\"' \t\r\n") or text.strip()
    return ("label", scalar(text)) if 0 < len(text) <= _LONGEST_LABEL else None


def _auto(choice: Choice, agreement: Agreement) -> Hashable | None:
    """Tool calls; JSON by its answer, or whole where it has none; a text by the answer that it
    states, or, if it is short, by itself. Any other long text cannot be compared.
    """
    if all_calls(choice):
        return _tools(choice, agreement)
    if agreement.pointers:
        return _json(choice, agreement)
    text = choice.text or ""
    value = read_json(text)
    if isinstance(value, dict):
        key = _answer_key(value)
        if key is None or not (key.lower() in _SURE_KEYS or _only_explained(value, key)):
            return ("json", canonical(value))
        answer = _read_short_answer(str(value[key]))
        units = {other: value[other] for other in value if _UNIT.fullmatch(other)}
        return (answer, canonical(units)) if answer is not None and any(units.values()) else answer
    if isinstance(value, list):
        return ("json", canonical(value))
    stated = _stated(text)
    if stated is None and 0 < len(text.strip()) <= _LONGEST_LABEL:
        stated = text.strip()
        if stated[:2] == stated[-2:] == "**" and "**" not in stated[2:-2]:
            stated = stated[2:-2]
    return None if stated is None else _read_short_answer(stated)


def _stated(text: str) -> str | None:
    """The last answer that a text states as such; None where that is not short."""
    found = list(_STATED.finditer(text, _first_mark(text)))
    if not found:
        return None
    last = found[-1]
    rest = text[last.end() : last.end() + 2 * _LONGEST_LABEL]
    if last[0].startswith("\\boxed"):
        answer = _inside(rest).strip()
        if answer.startswith("\\text{") and answer.endswith("}"):
            answer = answer[6:-1]
    else:
        if last[0].strip(" *").lower() == "answer":  # spoken of, not given
            return None
        line = rest.strip().partition("\n")[0]
        answer = _PERIOD.split(line, maxsplit=1)[0].strip("*() ")
    return answer if 0 < len(answer) <= _LONGEST_LABEL else None


def _inside(text: str) -> str:
    """Up to the brace that closes one that was opened before; nothing where none does."""
    depth = 0
    for at, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                return text[:at]
    return ""


def _first_mark(text: str) -> int:
    """Where to begin: no answer is stated before it. The pattern ignores case, which is slow, and
    most texts state their answer at the end.
    """
    lower = text.lower()
    if len(lower) != len(text):  # places in it are not those of the text
        return 0
    found = [lower.find(mark) for mark in _MARKS]
    return min((at for at in found if at >= 0), default=len(text))


def _read_short_answer(text: str) -> Hashable | None:
    """A short answer: a number, plain words without case, or anything else as it is written.

    Whatever is no plain word may be code, where case, punctuation and blanks count; only those
    between the parts of a list do not, nor which quotes stand around a text.
    """
    if not text:
        return None
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" and text[0] not in text[1:-1]:
        text = text[1:-1]
    number = bare(plainly(text))
    if NUMBER.fullmatch(number) and not is_code(number):
        return number_key(numeric(number), unit(text))
    if _PLAIN.fullmatch(text) and all(map(_in_plain_case, text.split())):
        return ("text", words(text))
    return ("literal", _LITERAL.sub(_tight, text) if text[:1] in {"[", "(", "{"} else text)


def _in_plain_case(word: str) -> bool:
    return word.islower() or word.isupper() or word[1:].islower()


def _tight(match: re.Match[str]) -> str:
    """A quoted text in single quotes; blanks outside of any are left out beside a mark of a list:
    [1 2] is not [12].
    """
    text = match[0]
    return "" if text.isspace() else f"'{text[1:-1]}'"


_KEYS: Final[Mapping[str, Callable[[Choice, Agreement], Hashable | None]]] = {
    "auto": _auto,
    "choice": _choice,
    "json": _json,
    "label": _label,
    "number": _number,
    "tools": _tools,
}


def _answer_text(choice: Choice) -> tuple[str, bool]:
    """The text, or the answer in it when it is a JSON object with one; and whether it is."""
    text = choice.text or ""
    value = read_json(text) if "{" in text else None
    if isinstance(value, dict) and (key := _answer_key(value)) is not None:
        return str(value[key]), True
    return text, False


def _answer_key(value: Mapping[str, Any]) -> str | None:
    for name in _ANSWER_KEYS:
        for key in value:
            if key.lower() == name:
                return key
    return None


def _only_explained(value: Mapping[str, Any], key: str) -> bool:
    """Whether all else in it only explains the answer, unlike a currency or a name."""
    return all(other == key or _EXPLAINS.fullmatch(other) for other in value)


_MISSING: Final = object()


def _pointed(value: Any, pointer: str) -> Any:
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _MISSING
    return value
