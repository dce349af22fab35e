"""What a simulated wire format offers. A module offers these as functions."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from gateway.simulator.answers import Answer, Call
from gateway.simulator.asks import Fault, SimulatedRequest


class Reply(Struct, frozen=True):
    """An answer ready to be written. `number` counts the calls of a simulator from 1.

    `tells_usage` is False for a provider that does not say what it counted.
    """

    number: int
    request: SimulatedRequest
    answers: tuple[Answer, ...]
    prompt_tokens: int
    completion_tokens: int
    reports_usage: bool = True


class Frame(Struct, frozen=True):
    """One event, line or message of a stream. `size` is the bytes in it that are billed.

    The part `end` is what tells that the answer is over: finish, usage and end mark.
    """

    data: bytes
    size: int = 0
    part: Literal["answer", "end"] = "answer"


class Format(Protocol):
    """Header names are lower case; a request id is what the provider calls this call."""

    def name(self) -> str: ...

    def stream_media_type(self) -> str:
        """The content type of a stream."""
        ...

    def read(
        self, body: bytes, headers: Mapping[str, str], params: Mapping[str, str]
    ) -> SimulatedRequest:
        """`where` is what the path and the query say: `model`, `verb`, ... Raises Fault for what
        the real provider refuses.
        """
        ...

    def headers(self, request_id: str, status: int) -> dict[str, str]: ...

    def failure(self, status: int, model: str) -> Fault:
        """The fault that the provider tells for a status of behaviours.FAILURES."""
        ...

    def unknown(self, method: str, path: str) -> Fault:
        """The fault that the provider tells for a path that it has not."""
        ...

    def error(self, fault: Fault, request_id: str) -> bytes: ...

    def whole(self, reply: Reply) -> bytes: ...

    def frames(self, reply: Reply) -> list[Frame]: ...

    def interruption(self, request_id: str, fault: Fault | None) -> bytes:
        """A fault as it is told within a stream; None is the one that is usual there."""
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
    """A call's arguments where the format wants an object, whatever the model wrote.

    A text that is not JSON goes under INVALID_JSON, as Anthropic's documentation does.
    """
    given = read_object(call.arguments.encode()) if call.arguments else {}
    return {"INVALID_JSON": call.arguments} if given is None else given
