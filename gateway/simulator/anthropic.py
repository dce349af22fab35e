"""Anthropic's Messages API, from the provider's side: responses.

Shapes are as in recorded traffic: input tokens in `message_start`, the running total of
output tokens in `message_delta`, a ping after the first block begins, and a call without
arguments as one empty piece.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from gateway.simulator.answers import Answer, Call, pieces
from gateway.simulator.anthropic_requests import read
from gateway.simulator.format import Frame, Reply, arguments
from gateway.simulator.simulated_request import Fault

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_RESET: Final = "2026-01-01T00:00:01Z"
_FINISH: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def name() -> str:
    return "anthropic"


def stream_media_type() -> str:
    return "text/event-stream; charset=utf-8"


def headers(request_id: str, status: int) -> dict[str, str]:
    values = {
        "anthropic-organization-id": "simulated",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "0" if status == 429 else "3999",
        "anthropic-ratelimit-requests-reset": _RESET,
        "request-id": request_id,
    }
    if status == 429 or status >= 500:
        values["x-should-retry"] = "true"
    if status == 429:
        values["retry-after"] = "1"
    return values


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            message = "This request would exceed your organization's rate limit of 60 requests"
            return Fault(429, f"{message} per minute (model: {model}).", "rate_limit_error")
        case 400:
            return Fault(400, "model: the simulated provider takes no request that names it so")
        case 503:
            return Fault(503, "Service temporarily unavailable", "api_error")
        case 504:
            return Fault(504, "Request timed out", "timeout_error")
        case 529:
            return Fault(529, "Overloaded", "overloaded_error")
        case _:
            return Fault(status, "Internal server error", "api_error")


def unknown(method: str, path: str) -> Fault:
    return Fault(404, "Not found", "not_found_error")


def error(fault: Fault, request_id: str) -> bytes:
    fields = {"type": fault.kind, "message": fault.message}
    return _encode({"type": "error", "error": fields, "request_id": request_id})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"event: error\ndata: %b\n\n" % error(fault or failure(529, ""), request_id)


def whole(reply: Reply) -> bytes:
    answer = reply.answers[0]
    content: list[dict[str, Any]] = []
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [_call(reply, place, call) for place, call in enumerate(answer.calls)]
    body = _message(reply) | {"content": content} | _end(answer)
    if reply.reports_usage:
        body["usage"] = _usage(reply, reply.completion_tokens)
    return _encode(body)


def frames(reply: Reply) -> list[Frame]:
    """Of the first answer: the format has no `n`."""
    answer = reply.answers[0]
    # message_start has a meaningless count of about one output token.
    message = (
        _message(reply) | {"usage": _usage(reply, 1)} if reply.reports_usage else _message(reply)
    )
    events = [_frame("message_start", message=message)]
    place = 0
    if answer.text:
        parts = [({"type": "text_delta", "text": text}, text) for text in pieces(answer.text)]
        events += _block(place, {"type": "text", "text": ""}, parts)
        place += 1
    for number, call in enumerate(answer.calls):
        parts = [
            ({"type": "input_json_delta", "partial_json": text}, text)
            for text in ("", *pieces(call.arguments))
        ]
        events += _block(place, _call(reply, number, call) | {"input": {}}, parts)
        place += 1
    usage: dict[str, Any] = (
        {"usage": {"output_tokens": reply.completion_tokens}} if reply.reports_usage else {}
    )
    return [
        *events,
        _frame("message_delta", 0, "end", delta=_end(answer), **usage),
        _frame("message_stop", 0, "end"),
    ]


def _block(
    place: int, start: dict[str, Any], deltas: list[tuple[dict[str, Any], str]]
) -> Iterator[Frame]:
    yield _frame("content_block_start", index=place, content_block=start)
    if place == 0:
        yield _frame("ping")
    for delta, text in deltas:
        yield _frame("content_block_delta", len(text.encode()), index=place, delta=delta)
    yield _frame("content_block_stop", index=place)


def _frame(
    kind: str, size: int = 0, part: Literal["answer", "end"] = "answer", **fields: Any
) -> Frame:
    data = _encode({"type": kind, **fields})
    return Frame(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), size, part)


def _message(reply: Reply) -> dict[str, Any]:
    return {
        "id": f"msg_{reply.number:010d}",
        "type": "message",
        "role": "assistant",
        "model": reply.request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _end(answer: Answer) -> dict[str, Any]:
    reason = "stop_sequence" if answer.stopped_by else _FINISH[answer.finish]
    return {"stop_reason": reason, "stop_sequence": answer.stopped_by}


def _call(reply: Reply, place: int, call: Call) -> dict[str, Any]:
    """The input is an object even if the model wrote invalid JSON, as in the real API."""
    block_id = f"toolu_{reply.number:010d}{place:03d}"
    return {"type": "tool_use", "id": block_id, "name": call.name, "input": arguments(call)}


def _usage(reply: Reply, output: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }
