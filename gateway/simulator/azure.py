"""Azure OpenAI, from the provider's side: OpenAI's chat completions at a deployment's path.

Shapes are as in recorded traffic: content filter results are in each choice and, for the prompt, in
a first chunk without id and choices. Azure's own errors have a code and a message.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.simulator import openai
from gateway.simulator.format import Frame, Reply, read_object
from gateway.simulator.openai import stream_media_type
from gateway.simulator.simulated_request import Fault, SimulatedRequest

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_AZURE_KIND: Final = "azure"
"""Kind of the faults in Azure's own format; all others have OpenAI's."""
_SAFE: Final = {"filtered": False, "severity": "safe"}
_FILTER_RESULTS: Final = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE)
_PROMPT: Final = [{"prompt_index": 0, "content_filter_results": _FILTER_RESULTS}]
_DONE: Final = b"data: [DONE]\n\n"


def name() -> str:
    return "azure"


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400, and 404 without an api-version. The deployment is the model."""
    if "api-version" not in params:
        raise unknown("POST", "")
    fields = read_object(body)
    if fields is not None:
        body = _encode(fields | {"model": params["model"]})
    return openai.read(body, headers, params)


def headers(request_id: str, status: int) -> dict[str, str]:
    values = {
        "apim-request-id": request_id,
        "x-ms-region": "Sweden Central",
        "x-request-id": request_id,
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0" if status == 429 else "59",
    }
    if status == 429:
        values |= {"retry-after": "1", "retry-after-ms": "1000", "x-ratelimit-reset-requests": "1"}
    return values


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            message = "Requests to the ChatCompletions_Create Operation under Azure OpenAI API "
            message += "have exceeded call rate limit of your current OpenAI S0 pricing tier. "
            return Fault(429, f"{message}Please retry after 1 second.", _AZURE_KIND, code="429")
        case 500:
            message = "Backend returned unexpected response. Please contact Microsoft for help."
            return Fault(500, message, _AZURE_KIND, code="InternalServerError")
        case 504:
            return Fault(504, "The operation was timeout.", _AZURE_KIND, code="Timeout")
        case 503 | 529:
            message = "The service is temporarily unable to process your request."
            return Fault(
                503, f"{message} Please try again later.", _AZURE_KIND, code="ServiceUnavailable"
            )
        case _:
            return openai.failure(status, model)


def unknown(method: str, path: str) -> Fault:
    return Fault(404, "Resource not found", _AZURE_KIND, code="404")


def error(fault: Fault, request_id: str) -> bytes:
    if fault.kind == _AZURE_KIND:
        return _encode({"error": {"code": fault.code, "message": fault.message}})
    return openai.error(fault, request_id)


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"data: %b\n\n" % error(fault or openai.failure(500, ""), request_id)


def whole(reply: Reply) -> bytes:
    body: dict[str, Any] = msgspec.json.decode(openai.whole(reply))
    for choice in body["choices"]:
        choice["content_filter_results"] = _FILTER_RESULTS
    return _encode(body | {"prompt_filter_results": _PROMPT})


def frames(reply: Reply) -> list[Frame]:
    nothing = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    filtered = b"data: %b\n\n" % _encode(nothing | {"prompt_filter_results": _PROMPT})
    return [Frame(filtered), *map(_filtered, openai.frames(reply))]


def _filtered(frame: Frame) -> Frame:
    if frame.data == _DONE:
        return frame
    chunk: dict[str, Any] = msgspec.json.decode(frame.data.removeprefix(b"data: "))
    for choice in chunk["choices"]:
        choice["content_filter_results"] = {}
    return replace(frame, data=b"data: %b\n\n" % _encode(chunk))
