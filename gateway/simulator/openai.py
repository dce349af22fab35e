"""OpenAI's chat completions, from the provider's side: responses.

Shapes are as in recorded traffic: the role comes in a first chunk without text, usage in a last
one without choices, and only if requested.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.simulator.answers import Answer, pieces
from gateway.simulator.format import Frame, Reply
from gateway.simulator.openai_requests import read
from gateway.simulator.simulated_request import Fault, SimulatedRequest

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "models", "name", "read",
    "stream_media_type", "unknown", "whole",
]  # fmt: skip

_CREATED: Final = 1_767_225_600
"""2026-01-01: the simulator has no clock. Each call is one second after the previous one."""
_DONE: Final = b"data: [DONE]\n\n"
_encode: Final = msgspec.json.Encoder().encode


def name() -> str:
    return "openai"


def stream_media_type() -> str:
    return "text/event-stream; charset=utf-8"


def headers(request_id: str, status: int) -> dict[str, str]:
    values = {
        "openai-organization": "simulated",
        "openai-processing-ms": "1",
        "openai-version": "2020-10-01",
        "x-request-id": request_id,
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "0" if status == 429 else "9999",
        "x-ratelimit-reset-requests": "1s" if status == 429 else "6ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-tokens": "30ms",
    }
    if status == 429:
        values |= {"retry-after": "1", "retry-after-ms": "1000"}
    return values


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            return Fault(
                429,
                f"Rate limit reached for {model} on requests per min (RPM): Limit 60, Used 60, "
                "Requested 1. Please try again in 1s.",
                "requests",
                code="rate_limit_exceeded",
            )
        case 400:
            message = "Invalid value: the simulated provider takes no request that names it so."
            return Fault(400, message, param="model", code="invalid_value")
        case 503:
            message = "The server is temporarily unable to handle your request."
        case 504:
            message = "The server took too long to process your request."
        case 529:
            message = "The engine is currently overloaded, please try again later."
        case _:
            message = "The server had an error while processing your request. Sorry about that!"
    return Fault(status, message, "server_error")


def unknown(method: str, path: str) -> Fault:
    return Fault(404, f"Invalid URL ({method} {path})")


def error(fault: Fault, request_id: str) -> bytes:
    fields = {
        "message": fault.message,
        "type": fault.kind,
        "param": fault.param,
        "code": fault.code,
    }
    return _encode({"error": fields})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"data: %b\n\n" % error(fault or failure(500, ""), request_id)


def models(names: list[str]) -> bytes:
    """The body of GET /v1/models."""
    data = [
        {"id": one, "object": "model", "created": _CREATED, "owned_by": "simulated"}
        for one in names
    ]
    return _encode({"object": "list", "data": data})


def whole(reply: Reply) -> bytes:
    choices = [
        {
            "index": index,
            "message": _message(reply, index, answer),
            "logprobs": None,
            "finish_reason": _finish(reply.request, answer),
        }
        for index, answer in enumerate(reply.answers)
    ]
    body = _head(reply, "chat.completion") | {"choices": choices}
    if reply.reports_usage:
        body["usage"] = _usage(reply)
    body["system_fingerprint"] = "fp_simulated"
    return _encode(body)


def frames(reply: Reply) -> list[Frame]:
    """Choices are interleaved, one piece of each in turn."""
    chunks = []
    choices = [_pieces(reply, index, answer) for index, answer in enumerate(reply.answers)]
    while choices:
        for choice in list(choices):
            piece = next(choice, None)
            if piece is None:
                choices.remove(choice)
            else:
                chunks.append(piece)
    finishes = [
        _chunk(reply, index, {}, finish=_finish(reply.request, answer))
        for index, answer in enumerate(reply.answers)
    ]
    ends = [Frame(data, part="end") for data in finishes]
    if reply.reports_usage and reply.request.include_usage:
        chunk = _head(reply, "chat.completion.chunk") | {"choices": [], "usage": _usage(reply)}
        ends.append(Frame(_event(chunk), part="end"))
    return [*chunks, *ends, Frame(_DONE, part="end")]


def _pieces(reply: Reply, index: int, answer: Answer) -> Iterator[Frame]:
    role: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    if not answer.calls:
        yield Frame(_chunk(reply, index, role))
    for text in pieces(answer.text):
        yield Frame(_chunk(reply, index, {"content": text}), len(text.encode()))
    for place, call in enumerate(answer.calls):
        first = {
            "index": place,
            "id": _call_id(reply, index, place),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        opening = role | {"content": None} if place == 0 else {}
        yield Frame(_chunk(reply, index, opening | {"tool_calls": [first]}))
        for text in pieces(call.arguments):
            more = {"index": place, "function": {"arguments": text}}
            yield Frame(_chunk(reply, index, {"tool_calls": [more]}), len(text.encode()))


def _message(reply: Reply, index: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else answer.text,
        "refusal": None,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(reply, index, place),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for place, call in enumerate(answer.calls)
        ]
    return message


def _call_id(reply: Reply, index: int, place: int) -> str:
    return f"call_{reply.number:010d}{index:03d}{place:03d}"


def _finish(request: SimulatedRequest, answer: Answer) -> str:
    # A call of a forced tool finishes with "stop" (OpenAI, function calling guide).
    if answer.finish == "tool_calls" and request.forced_tool is not None:
        return "stop"
    return answer.finish


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{reply.number:010d}",
        "object": kind,
        "created": _CREATED + reply.number,
        "model": reply.request.model,
        "service_tier": "default",
    }


def _chunk(reply: Reply, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = _head(reply, "chat.completion.chunk")
    chunk |= {"system_fingerprint": "fp_simulated", "choices": [choice]}
    if reply.reports_usage and reply.request.include_usage:
        chunk["usage"] = None
    return _event(chunk)


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        **reply.more_usage,
    }
