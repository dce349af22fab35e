"""Azure OpenAI, from the provider's side: OpenAI's chat completions at a deployment's path.

Shapes are those of recorded traffic: what its filters found stands beside each choice and, for the
prompt, in a first chunk that has neither id nor choices. Its own errors have a code and a message.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.simulator import openai
from gateway.simulator.asks import Ask, Fault
from gateway.simulator.format import Frame, Reply, read_object
from gateway.simulator.openai import streams

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "streams", "unknown",
    "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_OWN: Final = "azure"
"""The kind of fault that Azure tells itself; all others are the model's, in OpenAI's shape."""
_SAFE: Final = {"filtered": False, "severity": "safe"}
_FOUND: Final = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE)
_PROMPT: Final = [{"prompt_index": 0, "content_filter_results": _FOUND}]
_DONE: Final = b"data: [DONE]\n\n"


def name() -> str:
    return "azure"


def read(body: bytes, headers: Mapping[str, str], where: Mapping[str, str]) -> Ask:
    """Raises Fault 400, and 404 without an api-version. The deployment is the model."""
    if "api-version" not in where:
        raise unknown("POST", "")
    fields = read_object(body)
    if fields is not None:
        body = _encode(fields | {"model": where["model"]})
    return openai.read(body, headers, where)


def headers(request_id: str, status: int) -> dict[str, str]:
    told = {
        "apim-request-id": request_id,
        "x-ms-region": "Sweden Central",
        "x-request-id": request_id,
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0" if status == 429 else "59",
    }
    if status == 429:
        told |= {"retry-after": "1", "retry-after-ms": "1000", "x-ratelimit-reset-requests": "1"}
    return told


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            message = "Requests to the ChatCompletions_Create Operation under Azure OpenAI API "
            message += "have exceeded call rate limit of your current OpenAI S0 pricing tier. "
            return Fault(429, f"{message}Please retry after 1 second.", _OWN, code="429")
        case 500:
            message = "Backend returned unexpected response. Please contact Microsoft for help."
            return Fault(500, message, _OWN, code="InternalServerError")
        case 504:
            return Fault(504, "The operation was timeout.", _OWN, code="Timeout")
        case 503 | 529:
            message = "The service is temporarily unable to process your request."
            return Fault(503, f"{message} Please try again later.", _OWN, code="ServiceUnavailable")
        case _:
            return openai.failure(status, model)


def unknown(method: str, path: str) -> Fault:
    return Fault(404, "Resource not found", _OWN, code="404")


def error(fault: Fault, request_id: str) -> bytes:
    if fault.kind == _OWN:
        return _encode({"error": {"code": fault.code, "message": fault.message}})
    return openai.error(fault, request_id)


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"data: %b\n\n" % error(fault or openai.failure(500, ""), request_id)


def whole(reply: Reply) -> bytes:
    said: dict[str, Any] = msgspec.json.decode(openai.whole(reply))
    for choice in said["choices"]:
        choice["content_filter_results"] = _FOUND
    return _encode(said | {"prompt_filter_results": _PROMPT})


def frames(reply: Reply) -> list[Frame]:
    nothing = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    filtered = b"data: %b\n\n" % _encode(nothing | {"prompt_filter_results": _PROMPT})
    return [Frame(filtered), *map(_filtered, openai.frames(reply))]


def _filtered(frame: Frame) -> Frame:
    if frame.data == _DONE:
        return frame
    said: dict[str, Any] = msgspec.json.decode(frame.data.removeprefix(b"data: "))
    for choice in said["choices"]:
        choice["content_filter_results"] = {}
    return replace(frame, data=b"data: %b\n\n" % _encode(said))
