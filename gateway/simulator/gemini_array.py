"""Google's streams without `alt=sse`: one JSON array with an object per piece.

Source: ai.google.dev, "Generating content", streamGenerateContent. Errors are in an array too.
"""

from typing import Final

from gateway.simulator.format import Format, Frame, Reply
from gateway.simulator.simulated_request import Fault

_BETWEEN: Final = b"\n,\r\n"
_END: Final = b"\n]\n"


class AsArray:
    """A format that wraps `events`, the same one with server-sent events."""

    def __init__(self, events: Format) -> None:
        self._events = events
        self.read = events.read
        self.headers = events.headers
        self.failure = events.failure
        self.unknown = events.unknown
        self.whole = events.whole

    def name(self) -> str:
        return self._events.name()

    def stream_media_type(self) -> str:
        return "application/json; charset=UTF-8"

    def error(self, fault: Fault, request_id: str) -> bytes:
        return b"[%b%b" % (self._events.error(fault, request_id), _END)

    def frames(self, reply: Reply) -> list[Frame]:
        frames = [
            Frame((_BETWEEN if at else b"[") + _object(frame.data), frame.size, frame.part)
            for at, frame in enumerate(self._events.frames(reply))
        ]
        return [*frames, Frame(_END, part="end")]

    def interruption(self, request_id: str, fault: Fault | None) -> bytes:
        error = _object(self._events.interruption(request_id, fault))
        return _BETWEEN + error + _END


def _object(event: bytes) -> bytes:
    return event.removeprefix(b"data: ").rstrip()
