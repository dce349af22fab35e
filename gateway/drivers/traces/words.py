"""Span attributes of requests and answers: numeric parameters, and messages where content is sent,
by the conventions' schemas gen-ai-input-messages and gen-ai-output-messages.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.drivers.traces.names import INTEGERS, NAMES, REQUEST_FIELDS

_INT64: Final = range(-(2**63), 2**63)
"""The range of an attribute: for other integers the exporter would log a traceback."""


def request_attributes(request: ChatRequest | None, *, stream: bool) -> dict[str, Any]:
    """The numeric parameters of a request, without content."""
    attributes: dict[str, Any] = {NAMES["stream"]: stream}
    if request is None:
        return attributes
    if request.max_tokens is not None:
        attributes[NAMES["max_tokens"]] = request.max_tokens
    if request.n != 1:
        attributes[NAMES["choices"]] = request.n
    for field, name in REQUEST_FIELDS.items():
        value = request.json(field) if field in request.fields else None
        if type(value) is int and value in _INT64:
            attributes[name] = value if field in INTEGERS else float(value)
        elif type(value) is float and field not in INTEGERS:
            attributes[name] = value
    return attributes


def request_messages(request: ChatRequest) -> list[dict[str, Any]]:
    return [
        {"role": str(message.get("role")), "parts": [*_request_parts(message)]}
        for message in request.json("messages") or ()
    ]


def answer_messages(answer: Completion) -> list[dict[str, Any]]:
    return [
        {"role": "assistant", "parts": [*_answer_parts(choice)], "finish_reason": choice.finish}
        for choice in answer.choices
    ]


def _request_parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The message is not validated yet: it may contain anything."""
    content = message.get("content")
    if message.get("role") == "tool":
        yield {
            "type": "tool_call_response",
            "id": message.get("tool_call_id"),
            "response": content,
        }
        return
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        if isinstance(part, dict) and part.get("type") == "text":
            yield {"type": "text", "content": part.get("text")}
        else:
            yield {"type": str(part.get("type")) if isinstance(part, dict) else "unknown"}
    calls = message.get("tool_calls")
    for call in map(_object, calls if isinstance(calls, list) else ()):
        function = _object(call.get("function"))
        yield _tool_call_part(
            str(call.get("id")), str(function.get("name")), function.get("arguments")
        )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _answer_parts(choice: Choice) -> Iterator[dict[str, Any]]:
    for text in (choice.text, choice.refusal):
        if text is not None:
            yield {"type": "text", "content": text}
    for call in choice.tool_calls:
        yield _tool_call_part(call.id, call.name, call.arguments)


def _tool_call_part(call_id: str, name: str, arguments: object) -> dict[str, Any]:
    """Arguments are decoded if they are valid JSON."""
    try:
        parsed = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
    except msgspec.DecodeError:
        parsed = arguments
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": parsed}
