"""Gemini on Vertex AI, from the provider's side: where it differs from AI Studio.

Shapes are as in recorded traffic: candidates have no index, a stream has its counts only at the
end, and there is no retry-after for throttled calls.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.simulator import gemini
from gateway.simulator.format import Frame, Reply, read_object
from gateway.simulator.gemini import stream_media_type, unknown
from gateway.simulator.simulated_request import Fault, SimulatedRequest

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_CREATED: Final = "2026-01-01T00:00:00.000000Z"
_EXHAUSTED: Final = (
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
)


def name() -> str:
    return "vertex"


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. A turn without a role is refused, as by the real API."""
    fields = read_object(body) or {}
    turns = fields.get("contents")
    for turn in turns if isinstance(turns, list) else ():
        if isinstance(turn, dict) and "role" not in turn:
            raise Fault(400, "Please use a valid role: user, model.", "INVALID_ARGUMENT")
    return gemini.read(body, headers, params)


def headers(request_id: str, status: int) -> dict[str, str]:
    return {"content-type": "application/json; charset=UTF-8"} if status != 200 else {}


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            return Fault(429, _EXHAUSTED, "RESOURCE_EXHAUSTED")
        case 500:
            return Fault(500, "Internal error encountered.", "INTERNAL")
        case 529:
            return failure(503, model)
        case _:
            return gemini.failure(status, model)


def error(fault: Fault, request_id: str) -> bytes:
    fields: dict[str, Any] = {
        "code": fault.status, "message": fault.message, "status": fault.kind,
    }  # fmt: skip
    return _encode({"error": fields})


def interruption(request_id: str, fault: Fault | None) -> bytes:
    return b"data: %b\r\n\r\n" % error(fault or failure(503, ""), request_id)


def whole(reply: Reply) -> bytes:
    return _as_vertex(gemini.whole(reply), ended=True)


def frames(reply: Reply) -> list[Frame]:
    return [
        replace(
            frame,
            data=b"data: %b\r\n\r\n"
            % _as_vertex(frame.data.removeprefix(b"data: "), ended=frame.part == "end"),
        )
        for frame in gemini.frames(reply)
    ]


def _as_vertex(body: bytes, *, ended: bool) -> bytes:
    """Converts a body of AI Studio to Vertex AI's."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    for candidate in fields["candidates"]:
        if candidate["index"] == 0:
            del candidate["index"]
    if "usageMetadata" in fields:
        counts = fields["usageMetadata"] if ended else {}
        fields["usageMetadata"] = {**counts, "trafficType": "ON_DEMAND"}
    return _encode(fields | {"createTime": _CREATED})
