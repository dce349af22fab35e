"""The head of an answer, as the hot door writes it."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from gateway.web.client import Pairs
from gateway.web.headers import CLOSE

_LINE: Final = b"%b: %b\r\n".__mod__
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def head_of(
    status: int, always: Sequence[tuple[bytes, bytes]], headers: Pairs, *, keep: bool
) -> bytes:
    """Without the line that says how the body is sent. `always` are every answer's. Unless the
    connection is kept, the client is told. Raises ValueError for what is no header.
    """
    lines = [*map(_LINE, always), *map(_LINE, headers)]
    if not keep and CLOSE not in headers:
        lines.append(b"connection: close\r\n")
    head = _STATUS[status] + b"".join(lines)
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
        raise ValueError("a header with a line break in it")
    return head
