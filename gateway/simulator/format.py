"""The interface of a simulated wire format. Modules implement it as functions."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from gateway.simulator.answers import Answer, Call
from gateway.simulator.simulated_request import Fault, SimulatedRequest


class Reply(Struct, frozen=True):
    """An answer to be encoded. `number` counts the calls of a simulator from 1.

    `reports_usage` is False for a provider that sends no token counts. `more_usage` are fields of
    its usage that only some hosts have: what the call costs.
    """

    number: int
    request: SimulatedRequest
    answers: tuple[Answer, ...]
    prompt_tokens: int
    completion_tokens: int
    reports_usage: bool = True
    more_usage: Mapping[str, Any] = {}


class Frame(Struct, frozen=True):
    """One event, line or message of a stream. `size` is the number of billed bytes in it.

    The part `end` has what ends an answer: finish reason, usage and end marker.
    """

    data: bytes
    size: int = 0
    part: Literal["answer", "end"] = "answer"


class Format(Protocol):
    """Header names are lower case; `request_id` is the provider's id of the call."""

    def name(self) -> str: ...

    def stream_media_type(self) -> str:
        """The content type of a stream."""
        ...

    def read(
        self, body: bytes, headers: Mapping[str, str], params: Mapping[str, str]
    ) -> SimulatedRequest:
        """`params` are path and query parameters: `model`, `verb`, ... Raises Fault for what the
        real provider refuses.
        """
        ...

    def headers(self, request_id: str, status: int) -> dict[str, str]: ...

    def failure(self, status: int, model: str) -> Fault:
        """The provider's error for a status in behaviours.FAILURES."""
        ...

    def unknown(self, method: str, path: str) -> Fault:
        """The provider's error for an unknown path."""
        ...

    def error(self, fault: Fault, request_id: str) -> bytes: ...

    def whole(self, reply: Reply) -> bytes: ...

    def frames(self, reply: Reply) -> list[Frame]: ...

    def interruption(self, request_id: str, fault: Fault | None) -> bytes:
        """An error inside a stream; None is the provider's usual one."""
        ...


def read_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object, or None."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return fields if isinstance(fields, dict) else None


def compact(value: Any) -> str:
    """JSON text without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def arguments(call: Call) -> dict[str, Any]:
    """A call's arguments as an object, for formats that require one.

    Text that is not JSON goes under INVALID_JSON, as in Anthropic's documentation.
    """
    given = read_object(call.arguments.encode()) if call.arguments else {}
    return {"INVALID_JSON": call.arguments} if given is None else given
