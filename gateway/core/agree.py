"""When two answers mean the same: each is brought to a key, and equal keys agree.

An answer that has no key cannot be compared, and counts as disagreeing with all others.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.checks.tolerant_json import Unreadable, read_json, read_strict

MODES: Final = ("auto", "choice", "json", "label", "number", "tools")

_LONGEST_LABEL: Final = 60
_ANSWER_KEYS: Final = ("answer", "final_answer", "result", "label", "choice", "output", "value")
_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
_STATED: Final = re.compile(
    r"(?:####|\\boxed\{|\b(?:answer|result|total|sum)\b[^.\n]{0,40}?(?:\bis\b|=|:))\s*",
    re.IGNORECASE,
)
_CHOICE: Final = re.compile(
    r"(?:\banswer\b\W*(?:is|:)?\W*|\bchoice\b\W*(?:is|:)?\W*|\\boxed\{)\(?([A-J])\b\)?",
    re.IGNORECASE,
)
_LONE_CHOICE: Final = re.compile(r"\s*\W?([A-Ja-j])\b\W?(?:\s|$)")
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


class Agreement(Struct, frozen=True):
    """How answers are compared; `pointers` say which parts of a JSON answer count."""

    mode: str = "auto"
    pointers: tuple[str, ...] = ()


def key_of(completion: Completion, agreement: Agreement) -> Hashable | None:
    """What an answer means; None when it cannot be compared. Several choices cannot."""
    if len(completion.choices) != 1:
        return None
    return _KEYS[agreement.mode](completion.choices[0], agreement)


def _tools(choice: Choice, _: Agreement) -> Hashable | None:
    """The calls in any order. Two answers that call nothing agree on that."""
    calls = [_call(call) for call in choice.tool_calls]
    if None in calls:
        return None
    return ("calls", tuple(sorted(calls, key=repr)))


def _call(call: ToolCall) -> tuple[str, Hashable] | None:
    arguments = read_strict(call.arguments or "{}")
    return None if isinstance(arguments, Unreadable) else (call.name, _meant(arguments))


def _json(choice: Choice, agreement: Agreement) -> Hashable | None:
    value = read_json(choice.text or "")
    if isinstance(value, Unreadable):
        return None
    if not agreement.pointers:
        return ("json", _meant(value))
    found = [_pointed(value, pointer) for pointer in agreement.pointers]
    return None if _MISSING in found else ("json", tuple(map(_meant, found)))


def _number(choice: Choice, _: Agreement) -> Hashable | None:
    """The number that is stated as the answer, else the last one."""
    text = _answer_text(choice)
    stated = [match.end() for match in _STATED.finditer(text)]
    for start in reversed(stated):
        if match := _NUMBER.search(text, start, start + 60):
            return ("number", _numeric(match[0]))
    numbers = _NUMBER.findall(text)
    return ("number", _numeric(numbers[-1])) if numbers else None


def _choice(choice: Choice, _: Agreement) -> Hashable | None:
    text = _answer_text(choice)
    if match := _LONE_CHOICE.fullmatch(text) or _LONE_CHOICE.match(text):
        return ("choice", match[1].upper())
    found = _CHOICE.findall(text)
    return ("choice", found[-1].upper()) if found else None


def _label(choice: Choice, _: Agreement) -> Hashable | None:
    """A short text, without case and punctuation."""
    text = _answer_text(choice)
    return ("label", _words(text)) if 0 < len(text.strip()) <= _LONGEST_LABEL else None


def _auto(choice: Choice, agreement: Agreement) -> Hashable | None:
    """Tool calls; JSON by its answer, or whole where it has none; a short text by its number or
    its words. A long text cannot be compared.
    """
    if choice.tool_calls:
        return _tools(choice, agreement)
    if agreement.pointers:
        return _json(choice, agreement)
    text = choice.text or ""
    value = read_json(text)
    if isinstance(value, dict):
        key = _answer_key(value)
        return ("json", _meant(value)) if key is None else ("label", _scalar(value[key]))
    if isinstance(value, list):
        return ("json", _meant(value))
    if 0 < len(text.strip()) <= _LONGEST_LABEL:
        return ("label", _scalar(text))
    return None


_KEYS: Final[Mapping[str, Callable[[Choice, Agreement], Hashable | None]]] = {
    "auto": _auto,
    "choice": _choice,
    "json": _json,
    "label": _label,
    "number": _number,
    "tools": _tools,
}


def _answer_text(choice: Choice) -> str:
    """The text, or the answer in it when it is a JSON object with one."""
    text = choice.text or ""
    value = read_json(text) if "{" in text else None
    if isinstance(value, dict) and (key := _answer_key(value)) is not None:
        answer = value[key]
        return answer if isinstance(answer, str) else str(answer)
    return text


def _answer_key(value: Mapping[str, Any]) -> str | None:
    for name in _ANSWER_KEYS:
        for key in value:
            if key.lower() == name:
                return key
    return None


def _meant(value: Any) -> Hashable:
    """A JSON value without what does not change its meaning: the order of keys, empty optional
    ones, 1 and 1.0, case and punctuation of texts.
    """
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if each not in _EMPTY}
        return ("object", tuple(sorted((key, _meant(each)) for key, each in kept.items())))
    if isinstance(value, list):
        return ("list", tuple(map(_meant, value)))
    return _scalar(value)


def _scalar(value: Any) -> Hashable:
    if isinstance(value, bool) or value is None:
        return ("literal", str(value))
    if isinstance(value, int | float):
        return ("number", repr(float(value)))
    text = str(value)
    bare = text.strip().strip("$€£%. ")
    if _NUMBER.fullmatch(bare):
        return ("number", _numeric(bare))
    return ("text", _words(text) or text.strip())


def _words(text: str) -> str:
    return _NOT_WORDS.sub(" ", text).strip().casefold()


def _numeric(text: str) -> str:
    return repr(float(text.replace(",", "")))


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
