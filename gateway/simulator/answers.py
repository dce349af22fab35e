"""Answers of simulated models. Deterministic: the same request gets the same answer."""

import json
import re
from fractions import Fraction
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.simulator.schemas import example
from gateway.simulator.simulated_request import SimulatedRequest, Tool

REFUSAL: Final = "I'm sorry, but I can't help with that."
_ECHO: Final = 1_000
"""Most characters of the question that an answer repeats."""
_SUM: Final = re.compile(r"(?<![\d.])(-?\d{1,30})\s*([-+*/x\u00d7\u00f7])\s*(-?\d{1,30})(?!\.?\d)")
_PIECE: Final = re.compile(r"\s*\S{1,12}|\s+")


class Call(Struct, frozen=True):
    """A tool call. `arguments` is text: JSON unless the behaviour is `badtool`."""

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
        """Billed size in bytes of UTF-8."""
        arguments = sum(len(call.arguments.encode()) for call in self.calls)
        return len(self.text.encode()) + arguments


def answer_of(request: SimulatedRequest, behaviour: str) -> Answer:
    """The answer within the limits that the request sets."""
    answer = _full_answer(request, behaviour)
    if request.stop:
        answer = _cut_at_stop(answer, request.stop)
    limit = request.limit
    if behaviour == "cut":
        eighth = max(1, answer.size // 8)
        limit = eighth if limit is None else min(limit, eighth)
        return _cut_at_limit(answer, limit)
    if limit is not None and answer.size > 4 * limit:
        return _cut_at_limit(answer, limit)
    return answer


def pieces(text: str) -> list[str]:
    """Splits a text for streaming: by words, long words in parts."""
    return _PIECE.findall(text)


def _full_answer(request: SimulatedRequest, behaviour: str) -> Answer:
    correct = behaviour != "unsure"
    if behaviour == "refuse":
        return Answer(REFUSAL)
    if behaviour == "emptyanswer":
        return Answer()
    if behaviour == "brokenjson":
        text = _json(request, sure=True)
        return Answer(text[: max(1, len(text) // 2)])
    if request.tools:
        calls = tuple(
            _call(request, tool, broken=behaviour == "badtool") for tool in _chosen_tools(request)
        )
        return Answer(calls=calls, finish="tool_calls")
    if request.wants_json:
        return Answer(_json(request, sure=correct))
    text = _sentence(request, sure=correct)
    if not correct:
        text += "\nCONFIDENCE: LOW"
    elif any("CONFIDENCE" in prompt_text for prompt_text in request.texts):
        text += "\nCONFIDENCE: HIGH"
    return Answer(text)


def _sentence(request: SimulatedRequest, *, sure: bool) -> str:
    match = _SUM.search(request.question)
    if match:
        return f"{match[0]} = {_result(match, sure=sure)}."
    if not sure:
        return "I think this is about something else."
    question = request.question.strip()
    return f'You said: "{question[:_ECHO]}"' if question else "You said nothing."


def _result(match: re.Match[str], *, sure: bool) -> str:
    a, b = int(match[1]), int(match[3])
    match match[2]:
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


def _number(request: SimulatedRequest, *, sure: bool) -> int | None:
    match = _SUM.search(request.question)
    result = _result(match, sure=sure) if match else ""
    return int(result) if result.lstrip("-").isdigit() else None


def _json(request: SimulatedRequest, *, sure: bool) -> str:
    match = _SUM.search(request.question)
    answer = _result(match, sure=sure) if match else _sentence(request, sure=sure)
    number = _number(request, sure=sure)
    value: Any
    if request.schema is None:
        value = {"answer": answer if number is None else number}
    else:
        value = example(request.schema, answer, number)
    return json.dumps(value, ensure_ascii=False)


def _chosen_tools(request: SimulatedRequest) -> list[Tool]:
    """The forced tool; else those that the question mentions; else the first."""
    if request.forced_tool is not None:
        return [tool for tool in request.tools if tool.name == request.forced_tool]
    mentioned = [tool for tool in request.tools if _mentions(request.question, tool.name)]
    return (mentioned or [request.tools[0]])[: None if request.parallel else 1]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _call(request: SimulatedRequest, tool: Tool, *, broken: bool) -> Call:
    number = _number(request, sure=True)
    arguments = json.dumps(example(tool.schema, "", number), ensure_ascii=False)
    if broken:
        return Call(tool.name, arguments[:-1])
    return Call(tool.name, request.no_arguments if arguments == "{}" else arguments)


def _cut_at_stop(answer: Answer, stops: tuple[str, ...]) -> Answer:
    found = [(answer.text.find(stop), stop) for stop in stops if stop and stop in answer.text]
    if not found:
        return answer
    place, stop = min(found)
    return Answer(answer.text[:place], answer.calls, answer.finish, stop)


def _cut_at_limit(answer: Answer, limit: int) -> Answer:
    """The first `limit` tokens of an answer."""
    left = 4 * limit
    text = _truncate(answer.text, left)
    left -= len(text.encode())
    calls = []
    for call in answer.calls:
        arguments = _truncate(call.arguments, left)
        if arguments or not call.arguments:
            calls.append(Call(call.name, arguments))
        left -= len(arguments.encode())
    return Answer(text, tuple(calls), "length")


def _truncate(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
