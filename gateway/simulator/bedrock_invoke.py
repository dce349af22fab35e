"""Bedrock's `invoke`, from the provider's side: Anthropic's messages in Bedrock's frame.

Shapes are those of recorded traffic: each event of a stream is a `chunk` that holds Anthropic's
in base64, beside padding; there is no ping, and the last one has Bedrock's own counts.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.simulator import anthropic
from gateway.simulator.anthropic import whole
from gateway.simulator.anthropic_requests import read_hosted
from gateway.simulator.asks import Ask, Fault
from gateway.simulator.bedrock import error, failure, headers, interruption, streams, unknown
from gateway.simulator.eventstream import event
from gateway.simulator.format import Frame, Reply, read_object

__all__ = [
    "error", "failure", "frames", "headers", "interruption", "name", "read", "streams", "unknown",
    "whole",
]  # fmt: skip

_encode: Final = msgspec.json.Encoder().encode
_VERSION: Final = "bedrock-2023-05-31"
_PADDING: Final = "abcdefgh"


def name() -> str:
    return "bedrock-invoke"


def read(body: bytes, headers: Mapping[str, str], where: Mapping[str, str]) -> Ask:
    """Raises Fault 400. The signature is not looked at."""
    if "stream" in (read_object(body) or {}):
        raise Fault(400, "stream: Extra inputs are not permitted")
    stream = where["verb"] == "invoke-with-response-stream"
    return read_hosted(body, _VERSION, where["model"], stream=stream)


def frames(reply: Reply) -> list[Frame]:
    """One answer: the format has no `n`."""
    written = []
    for frame in anthropic.frames(reply):
        said: dict[str, Any] = msgspec.json.decode(frame.data.partition(b"\ndata: ")[2])
        if said["type"] == "ping":
            continue
        if said["type"] == "message_stop" and reply.tells_usage:
            said["amazon-bedrock-invocationMetrics"] = _metrics(reply)
        held = {"bytes": base64.b64encode(_encode(said)).decode(), "p": _PADDING}
        written.append(Frame(event("chunk", _encode(held)), frame.size, frame.part))
    return written


def _metrics(reply: Reply) -> dict[str, int]:
    """Latencies are in milliseconds."""
    return {
        "inputTokenCount": reply.prompt_tokens,
        "outputTokenCount": reply.completion_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
