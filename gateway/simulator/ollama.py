"""Ollama's chat, from the provider's side: responses.

Shapes are as in recorded traffic: a stream has one JSON object per line, the last with `done`,
counts and durations; a call comes whole, without an id.
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from gateway.simulator.answers import Answer, pieces
from gateway.simulator.format import Frame, Reply, arguments
from gateway.simulator.ollama_requests import read
from gateway.simulator.simulated_request import Fault

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_CREATED: Final = 1_767_225_600
"""2026-01-01: the simulator has no clock. Each call is one second after the previous one."""


def name() -> str:
    return "ollama"


def stream_media_type() -> str:
    return "application/x-ndjson"


def headers(request_id: str, status: int) -> dict[str, str]:
    """Ollama gives a call no id."""
    return {"content-type": "application/json; charset=utf-8"}


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            return Fault(429, "too many requests, please try again in 1s")
        case 400:
            return Fault(400, "invalid request: the simulated provider takes no such name")
        case 504:
            message = "timed out waiting for llama runner to start - progress 0.00 - "
            return Fault(500, message)
        case 503 | 529:
            return Fault(503, "server busy, please try again.  maximum pending requests exceeded")
        case _:
            return Fault(status, "llama runner process has terminated: exit status 2")


def unknown(method: str, path: str) -> Fault:
    return Fault(404, f"path '{path}' not found")


def error(fault: Fault, request_id: str) -> bytes:
    return _encode({"error": fault.message})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    if fault is not None:
        return _line({"error": fault.message})
    return _line({"error": "an error was encountered while running the model: unexpected EOF"})


def whole(reply: Reply) -> bytes:
    answer = reply.answers[0]
    calls = {"tool_calls": _calls(answer)} if answer.calls else {}
    return _encode(_chunk(reply, answer.text, calls) | _end(reply, answer))


def frames(reply: Reply) -> list[Frame]:
    """Of the first answer: the format has no `n`."""
    answer = reply.answers[0]
    lines = [
        _frame(_chunk(reply, text) | {"done": False}, len(text.encode()))
        for text in pieces(answer.text)
    ]
    for call, call_fields in zip(answer.calls, _calls(answer), strict=True):
        line = _chunk(reply, "", {"tool_calls": [call_fields]}) | {"done": False}
        lines.append(_frame(line, len(call.arguments.encode())))
    return [*lines, _frame(_chunk(reply, "") | _end(reply, answer), 0, "end")]


def _frame(line: dict[str, Any], size: int, part: Literal["answer", "end"] = "answer") -> Frame:
    return Frame(_line(line), size, part)


def _line(fields: dict[str, Any]) -> bytes:
    return _encode(fields) + b"\n"


def _calls(answer: Answer) -> list[dict[str, Any]]:
    """Arguments are an object even if the model wrote invalid JSON: the API requires one."""
    return [
        {"function": {"name": call.name, "arguments": arguments(call)}} for call in answer.calls
    ]


def _chunk(reply: Reply, text: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    created = datetime.fromtimestamp(_CREATED + reply.number, UTC)
    return {
        "model": reply.request.model,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message": {"role": "assistant", "content": text, **(more or {})},
    }


def _end(reply: Reply, answer: Answer) -> dict[str, Any]:
    """Calls also finish with `stop`. Durations are in nanoseconds."""
    fields: dict[str, Any] = {
        "done_reason": "length" if answer.finish == "length" else "stop",
        "done": True,
        "total_duration": 1_000_000,
        "load_duration": 100_000,
    }
    if reply.reports_usage:
        fields["prompt_eval_count"] = reply.prompt_tokens
        fields["prompt_eval_duration"] = 400_000
        fields["eval_count"] = reply.completion_tokens
        fields["eval_duration"] = 500_000
    return fields
