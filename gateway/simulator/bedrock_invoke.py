"""Bedrock's `invoke`, from the provider's side: Anthropic's messages, wrapped by Bedrock.

Shapes are as in recorded traffic: each event of a stream is a `chunk` with Anthropic's event in
base64 and padding; there is no ping, and the last event has Bedrock's own counts.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.simulator import anthropic
from gateway.simulator.anthropic import whole
from gateway.simulator.anthropic_requests import read_hosted
from gateway.simulator.bedrock import (
    error,
    failure,
    headers,
    interruption,
    stream_media_type,
    unknown,
)
from gateway.simulator.eventstream import event
from gateway.simulator.format import Frame, Reply, read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "stream_media_type",
    "unknown", "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_VERSION: Final = "bedrock-2023-05-31"
_PADDING: Final = "abcdefgh"


def name() -> str:
    return "bedrock-invoke"


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. The signature is not checked."""
    if "stream" in (read_object(body) or {}):
        raise Fault(400, "stream: Extra inputs are not permitted")
    stream = params["verb"] == "invoke-with-response-stream"
    return read_hosted(body, _VERSION, params["model"], stream=stream)


def frames(reply: Reply) -> list[Frame]:
    """Of the first answer: the format has no `n`."""
    events = []
    for frame in anthropic.frames(reply):
        fields: dict[str, Any] = msgspec.json.decode(frame.data.partition(b"\ndata: ")[2])
        if fields["type"] == "ping":
            continue
        if fields["type"] == "message_stop" and reply.reports_usage:
            fields["amazon-bedrock-invocationMetrics"] = _metrics(reply)
        chunk = {"bytes": base64.b64encode(_encode(fields)).decode(), "p": _PADDING}
        events.append(Frame(event("chunk", _encode(chunk)), frame.size, frame.part))
    return events


def _metrics(reply: Reply) -> dict[str, int]:
    """Latencies are in milliseconds."""
    return {
        "inputTokenCount": reply.prompt_tokens,
        "outputTokenCount": reply.completion_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
