"""Bedrock's Converse, from the provider's side: responses.

Shapes are as in recorded traffic: fields in alphabetical order, text blocks without a start event,
padding `p` in every event of a stream, usage in a last event of its own.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from gateway.simulator.answers import Answer, Call, pieces
from gateway.simulator.bedrock_requests import read
from gateway.simulator.eventstream import event, exception
from gateway.simulator.format import Frame, Reply, arguments
from gateway.simulator.simulated_request import Fault

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_EXCEPTIONS: Final = {
    400: "ValidationException",
    404: "UnknownOperationException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_CORAL: Final = "http://internal.amazon.com/coral/com.amazon.bedrock/"
_FINISH: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_PADDING: Final = "abcdefgh"


def name() -> str:
    return "bedrock"


def stream_media_type() -> str:
    return "application/vnd.amazon.eventstream"


def headers(request_id: str, status: int) -> dict[str, str]:
    values = {"x-amzn-requestid": request_id}
    if status in _EXCEPTIONS:
        values["x-amzn-errortype"] = f"{_EXCEPTIONS[status]}:{_CORAL}"
    return values


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            return Fault(429, "Too many requests, please wait before trying again.")
        case 400:
            return Fault(400, "The provided request is not valid")
        case 504:
            return Fault(408, "The model did not answer in time. Try your request again.")
        case 503 | 529:
            return Fault(503, "Bedrock is unable to process your request.")
        case _:
            message = "The system encountered an unexpected error during processing."
            return Fault(status, f"{message} Try your request again.")


def unknown(method: str, path: str) -> Fault:
    return Fault(404, "The requested operation is not recognized by the service.")


def error(fault: Fault, request_id: str) -> bytes:
    """The exception's name is in the header `x-amzn-errortype`."""
    return _encode({"message": fault.message})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    """In streams the exception's name begins with a lower-case letter."""
    if fault is not None:
        exception_name = _EXCEPTIONS.get(fault.status, _EXCEPTIONS[500])
        return exception(exception_name[0].lower() + exception_name[1:], error(fault, request_id))
    fields = {
        "message": failure(500, "").message,
        "originalMessage": "Overloaded",
        "originalStatusCode": 529,
    }
    return exception("modelStreamErrorException", _encode(fields))


def whole(reply: Reply) -> bytes:
    answer = reply.answers[0]
    content: list[dict[str, Any]] = [{"text": answer.text}] if answer.text else []
    for place, call in enumerate(answer.calls):
        use = {"input": arguments(call), **_name_and_id(reply, place, call)}
        content.append({"toolUse": use})
    body: dict[str, Any] = {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": _reason(answer),
    }
    return _encode(body | _usage(reply))


def frames(reply: Reply) -> list[Frame]:
    """Of the first answer: the format has no `n`."""
    answer = reply.answers[0]
    events = [_frame("messageStart", role="assistant")]
    place = 0
    if answer.text:
        events += _block(place, [({"text": text}, text) for text in pieces(answer.text)])
        place += 1
    for number, call in enumerate(answer.calls):
        start = {"toolUse": _name_and_id(reply, number, call)}
        events.append(_frame("contentBlockStart", contentBlockIndex=place, start=start))
        texts = ("", *pieces(call.arguments))
        events += _block(place, [({"toolUse": {"input": text}}, text) for text in texts])
        place += 1
    return [
        *events,
        _frame("messageStop", 0, "end", stopReason=_reason(answer)),
        _frame("metadata", 0, "end", metrics={"latencyMs": 1}, **_usage(reply)),
    ]


def _block(place: int, deltas: list[tuple[dict[str, Any], str]]) -> Iterator[Frame]:
    for delta, text in deltas:
        size = len(text.encode())
        yield _frame("contentBlockDelta", size, contentBlockIndex=place, delta=delta)
    yield _frame("contentBlockStop", contentBlockIndex=place)


def _frame(
    kind: str, size: int = 0, part: Literal["answer", "end"] = "answer", **fields: Any
) -> Frame:
    payload = _encode(dict(sorted({"p": _PADDING, **fields}.items())))
    return Frame(event(kind, payload), size, part)


def _reason(answer: Answer) -> str:
    return "stop_sequence" if answer.stopped_by else _FINISH[answer.finish]


def _name_and_id(reply: Reply, place: int, call: Call) -> dict[str, str]:
    return {"name": call.name, "toolUseId": f"tooluse_{reply.number:010d}{place:03d}"}


def _usage(reply: Reply) -> dict[str, Any]:
    if not reply.reports_usage:
        return {}
    counts = {
        "inputTokens": reply.prompt_tokens,
        "outputTokens": reply.completion_tokens,
        "totalTokens": reply.prompt_tokens + reply.completion_tokens,
    }
    return {"usage": counts}
