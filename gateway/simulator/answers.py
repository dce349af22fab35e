"""What a simulated model answers: the same request always gets the same answer."""

import json
import re
from fractions import Fraction
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.simulator.asks import Ask, Tool
from gateway.simulator.schemas import example

REFUSAL: Final = "I'm sorry, but I can't help with that."
_ECHO: Final = 1_000
"""Characters of the question that an answer repeats at most."""
_SUM: Final = re.compile(r"(?<![\d.])(-?\d{1,30})\s*([-+*/x\u00d7\u00f7])\s*(-?\d{1,30})(?!\.?\d)")
_PIECE: Final = re.compile(r"\s*\S{1,12}|\s+")


class Call(Struct, frozen=True):
    """A tool the answer calls; `arguments` is text, JSON when the model behaves."""

    name: str
    arguments: str


class Answer(Struct, frozen=True):
    text: str = ""
    calls: tuple[Call, ...] = ()
    finish: Literal["stop", "length", "tool_calls"] = "stop"
    stopped_by: str | None = None
    """The stop sequence that ended it."""

    @property
    def size(self) -> int:
        """Bytes of UTF-8 that are billed."""
        arguments = sum(len(call.arguments.encode()) for call in self.calls)
        return len(self.text.encode()) + arguments


def answer_of(ask: Ask, behaviour: str) -> Answer:
    """The answer within the limits that the request sets."""
    answer = _unlimited(ask, behaviour)
    if ask.stop:
        answer = _stopped(answer, ask.stop)
    limit = ask.limit
    if behaviour == "cut":
        half = max(1, answer.size // 8)
        limit = half if limit is None else min(limit, half)
        return _shortened(answer, limit)
    if limit is not None and answer.size > 4 * limit:
        return _shortened(answer, limit)
    return answer


def pieces(text: str) -> list[str]:
    """A text as it is streamed: word by word, long words in parts."""
    return _PIECE.findall(text)


def _unlimited(ask: Ask, behaviour: str) -> Answer:
    sure = behaviour != "unsure"
    if behaviour == "refuse":
        return Answer(REFUSAL)
    if behaviour == "emptyanswer":
        return Answer()
    if behaviour == "brokenjson":
        text = _json(ask, sure=True)
        return Answer(text[: max(1, len(text) // 2)])
    if ask.tools:
        calls = tuple(_call(ask, tool, broken=behaviour == "badtool") for tool in _chosen(ask))
        return Answer(calls=calls, finish="tool_calls")
    if ask.wants_json:
        return Answer(_json(ask, sure=sure))
    text = _sentence(ask, sure=sure)
    if not sure:
        text += "\nCONFIDENCE: LOW"
    elif any("CONFIDENCE" in said for said in ask.texts):
        text += "\nCONFIDENCE: HIGH"
    return Answer(text)


def _sentence(ask: Ask, *, sure: bool) -> str:
    found = _SUM.search(ask.question)
    if found:
        return f"{found[0]} = {_result(found, sure=sure)}."
    if not sure:
        return "I think this is about something else."
    said = ask.question.strip()
    return f'You said: "{said[:_ECHO]}"' if said else "You said nothing."


def _result(found: re.Match[str], *, sure: bool) -> str:
    a, b = int(found[1]), int(found[3])
    match found[2]:
        case "+":
            result = Fraction(a + b)
        case "-":
            result = Fraction(a - b)
        case "/" | "\u00f7":
            if b == 0:
                return "undefined" if sure else "0"
            result = Fraction(a, b)
        case _:
            result = Fraction(a * b)
    if not sure:
        result += 1
    return str(result.numerator) if result.denominator == 1 else f"{float(result):.6g}"


def _number(ask: Ask, *, sure: bool) -> int | None:
    found = _SUM.search(ask.question)
    result = _result(found, sure=sure) if found else ""
    return int(result) if result.lstrip("-").isdigit() else None


def _json(ask: Ask, *, sure: bool) -> str:
    found = _SUM.search(ask.question)
    said = _result(found, sure=sure) if found else _sentence(ask, sure=sure)
    number = _number(ask, sure=sure)
    value: Any
    if ask.schema is None:
        value = {"answer": said if number is None else number}
    else:
        value = example(ask.schema, said, number)
    return json.dumps(value, ensure_ascii=False)


def _chosen(ask: Ask) -> list[Tool]:
    """The tool insisted on; else those the user names; else the first."""
    if ask.named is not None:
        return [tool for tool in ask.tools if tool.name == ask.named]
    named = [tool for tool in ask.tools if _mentions(ask.question, tool.name)]
    return (named or [ask.tools[0]])[: None if ask.parallel else 1]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _call(ask: Ask, tool: Tool, *, broken: bool) -> Call:
    number = _number(ask, sure=True)
    arguments = json.dumps(example(tool.schema, "", number), ensure_ascii=False)
    if broken:
        return Call(tool.name, arguments[:-1])
    return Call(tool.name, ask.no_arguments if arguments == "{}" else arguments)


def _stopped(answer: Answer, stops: tuple[str, ...]) -> Answer:
    found = [(answer.text.find(stop), stop) for stop in stops if stop and stop in answer.text]
    if not found:
        return answer
    place, stop = min(found)
    return Answer(answer.text[:place], answer.calls, answer.finish, stop)


def _shortened(answer: Answer, limit: int) -> Answer:
    """The first `limit` tokens of an answer."""
    left = 4 * limit
    text = _cut(answer.text, left)
    left -= len(text.encode())
    calls = []
    for call in answer.calls:
        arguments = _cut(call.arguments, left)
        if arguments or not call.arguments:
            calls.append(Call(call.name, arguments))
        left -= len(arguments.encode())
    return Answer(text, tuple(calls), "length")


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
