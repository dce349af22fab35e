"""Claude on Vertex AI, from the provider's side: Anthropic's messages at Google's `rawPredict`.

Errors of Google's front end (quotas, failures, unknown paths) have Google's format; errors of the
model servers, overload included, have Anthropic's. Based on public reports.
"""

from collections.abc import Mapping
from typing import Final

from gateway.simulator import anthropic, vertex
from gateway.simulator.anthropic import frames, stream_media_type, whole
from gateway.simulator.anthropic_requests import read_hosted
from gateway.simulator.simulated_request import Fault, SimulatedRequest

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_VERSION: Final = "vertex-2023-10-16"
_QUOTAS: Final = "https://cloud.google.com/vertex-ai/docs/generative-ai/quotas-genai"
_METRIC: Final = "aiplatform.googleapis.com/online_prediction_requests_per_base_model"


def name() -> str:
    return "anthropic-vertex"


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. The path says whether to stream."""
    stream = params["verb"] == "streamRawPredict"
    return read_hosted(body, _VERSION, params["model"], stream=stream)


def headers(request_id: str, status: int) -> dict[str, str]:
    return {"request-id": request_id}


def failure(status: int, model: str) -> Fault:
    match status:
        case 429:
            message = f"Quota exceeded for {_METRIC} with base model: {model}. Please submit a"
            return Fault(429, f"{message} quota increase request. {_QUOTAS}.", "RESOURCE_EXHAUSTED")
        case 400 | 529:
            return anthropic.failure(status, model)
        case _:
            return vertex.failure(status, model)


def unknown(method: str, path: str) -> Fault:
    return vertex.unknown(method, path)


def error(fault: Fault, request_id: str) -> bytes:
    """Google's error codes are in capitals, Anthropic's are not."""
    if fault.kind.isupper():
        return vertex.error(fault, request_id)
    return anthropic.error(fault, request_id)


def interruption(request_id: str, fault: Fault | None) -> bytes:
    """Inside a stream, errors come from the model servers."""
    if fault is not None:
        fault = anthropic.failure(fault.status, "")
    return anthropic.interruption(request_id, fault)
