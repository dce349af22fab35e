"""The head of an answer, as the hot door writes it."""

from http import HTTPStatus
from typing import Final

from gateway.web.client import Lines, Pairs, lines_of

_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_CLOSE: Final = b"connection: close\r\n"


class Openings:
    """How answers begin: the status, and the headers that every answer has, which uvicorn makes
    anew each second.
    """

    def __init__(self) -> None:
        self._always: Pairs | None = None
        self._made: dict[int, Lines] = {}

    def opening(self, status: int, always: Pairs) -> Lines:
        """Raises ValueError for what is no header."""
        if always is not self._always:
            self._always, self._made = always, {}
        return self._made.get(status) or self._make(status, always)

    def _make(self, status: int, always: Pairs) -> Lines:
        made = self._made[status] = _STATUS[status] + lines_of(always)
        return made


def closing(headers: Lines) -> Lines:
    """The same, with the client told that the connection is not kept."""
    return headers if _CLOSE in headers else headers + _CLOSE
