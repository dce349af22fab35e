"""Gemini's generateContent, from the provider's side: responses.

Shapes are as in recorded traffic: a call comes whole in one part, without an id, and finishes with
STOP; each piece of a stream has the usage so far, and counts of 0 are left out.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.simulator.answers import Answer, pieces
from gateway.simulator.bill import tokens_in
from gateway.simulator.format import Frame, Reply, arguments
from gateway.simulator.gemini_requests import read
from gateway.simulator.simulated_request import Fault

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_FINISH: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_RPC: Final = "type.googleapis.com/google.rpc"
_LIMITS: Final = "https://ai.google.dev/gemini-api/docs/rate-limits"
_METRIC: Final = "generativelanguage.googleapis.com/generate_content_requests"


def name() -> str:
    return "gemini"


def stream_media_type() -> str:
    return "text/event-stream"


def headers(request_id: str, status: int) -> dict[str, str]:
    """The call's id is in the body, as `responseId`; errors have none."""
    return {"server-timing": "gfet4t7; dur=1"}


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            message = (
                "You exceeded your current quota, please check your plan and billing details. For "
                f"more information on this error, head to: {_LIMITS}.\n* Quota exceeded for "
                f"metric: {_METRIC}, limit: 60, model: {model}\nPlease retry in 1s."
            )
            return Fault(429, message, "RESOURCE_EXHAUSTED")
        case 400:
            return Fault(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        case 503:
            return Fault(503, "The service is currently unavailable.", "UNAVAILABLE")
        case 504:
            message = "The request timed out. Please try again."
            return Fault(504, message, "DEADLINE_EXCEEDED")
        case 529:
            message = "The model is overloaded. Please try again later."
            return Fault(503, message, "UNAVAILABLE")
        case _:
            message = "An internal error has occurred. Please retry or report in "
            message += "https://developers.generativeai.google/guide/troubleshooting"
            return Fault(status, message, "INTERNAL")


def unknown(method: str, path: str) -> Fault:
    return Fault(404, f"{method} {path} is not found.", "NOT_FOUND")


def error(fault: Fault, request_id: str) -> bytes:
    fields: dict[str, Any] = {
        "code": fault.status,
        "message": fault.message,
        "status": fault.kind,
    }
    if fault.status == 429:
        violation = {
            "quotaMetric": _METRIC,
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
            "quotaValue": "60",
        }
        help_ = {"description": "Learn more about Gemini API quotas", "url": _LIMITS}
        fields["details"] = [
            {"@type": f"{_RPC}.QuotaFailure", "violations": [violation]},
            {"@type": f"{_RPC}.Help", "links": [help_]},
            {"@type": f"{_RPC}.RetryInfo", "retryDelay": "1s"},
        ]
    return _encode({"error": fields})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"data: %b\r\n\r\n" % error(fault or failure(529, ""), request_id)


def whole(reply: Reply) -> bytes:
    candidates = [
        _candidate(index, _parts(answer), answer) for index, answer in enumerate(reply.answers)
    ]
    return _encode(_body(reply, candidates))


def frames(reply: Reply) -> list[Frame]:
    """Candidates are interleaved, one part of each in turn."""
    events: list[Frame] = []
    size_so_far = 0
    candidates = [_pieces(answer) for answer in reply.answers]
    while any(candidates):
        for index, candidate in enumerate(candidates):
            if candidate:
                part, size = candidate.pop(0)
                size_so_far += size
                so_far = replace(reply, completion_tokens=tokens_in(size_so_far))
                events.append(Frame(_event(so_far, _candidate(index, [part])), size))
    ends = [
        _event(reply, _candidate(index, [{"text": ""}] if answer.text else [], answer))
        for index, answer in enumerate(reply.answers)
    ]
    return [*events, *(Frame(data, part="end") for data in ends)]


def _pieces(answer: Answer) -> list[tuple[dict[str, Any], int]]:
    """Parts with the number of billed bytes in each."""
    parts: list[tuple[dict[str, Any], int]] = [
        ({"text": text}, len(text.encode())) for text in pieces(answer.text)
    ]
    sizes = [len(call.arguments.encode()) for call in answer.calls]
    return parts + list(zip(_calls(answer), sizes, strict=True))


def _parts(answer: Answer) -> list[dict[str, Any]]:
    return ([{"text": answer.text}] if answer.text else []) + list(_calls(answer))


def _calls(answer: Answer) -> Iterator[dict[str, Any]]:
    """Arguments are an object even if the model wrote invalid JSON: the API requires one."""
    for call in answer.calls:
        yield {"functionCall": {"name": call.name, "args": arguments(call)}}


def _candidate(
    index: int, parts: list[dict[str, Any]], finished: Answer | None = None
) -> dict[str, Any]:
    """Without parts the field is left out, as recorded."""
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    finish = {} if finished is None else {"finishReason": _FINISH[finished.finish]}
    return {"content": content, **finish, "index": index}


def _event(reply: Reply, candidate: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % _encode(_body(reply, [candidate]))


def _body(reply: Reply, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {"candidates": candidates}
    if reply.reports_usage:
        body["usageMetadata"] = _usage(reply)
    body["modelVersion"] = reply.request.model
    body["responseId"] = f"req_{reply.number:010d}"
    return body


def _usage(reply: Reply) -> dict[str, Any]:
    prompt, completion = reply.prompt_tokens, reply.completion_tokens
    return {
        "promptTokenCount": prompt,
        **({"candidatesTokenCount": completion} if completion else {}),
        "totalTokenCount": prompt + completion,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
