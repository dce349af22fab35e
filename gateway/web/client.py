"""The client of one request: what it sent, and where its answer goes.

Implemented twice: `hot` is HTTP/1.1 on the socket itself, `asgi` is any ASGI server. To the door
they are the same.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeAlias

from gateway.handle import Life
from gateway.web.session import Session

Pairs: TypeAlias = list[tuple[bytes, bytes]]
Lines: TypeAlias = bytes
"""Headers as HTTP/1.1 lines, each with its CRLF."""

_LINE: Final = b"%b: %b\r\n".__mod__


def lines_of(pairs: Iterable[tuple[bytes, bytes]]) -> Lines:
    """Raises ValueError for a header with a line break."""
    each = [*map(_LINE, pairs)]
    lines = b"".join(each)
    if lines.count(b"\n") != len(each) or lines.count(b"\r") != len(each):
        raise ValueError("a header with a line break in it")
    return lines


def pairs_of(lines: Lines) -> Pairs:
    """The reverse of lines_of."""
    split = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in split]


class Client(Protocol):
    """One request. Either `reply`, or `begin`, any number of `write` or `send`, and one `end`."""

    session: Session | None
    """The caller that the same headers, content-length aside, authenticated before on this
    connection; None if they are to be read. Set by whoever reads them.
    """
    whole: bytes | None
    """The body, of any size, if all of it has arrived."""
    task: asyncio.Task[None]
    """The task that serves it."""
    is_gone: bool
    life: Life | None
    """The life of its request, from beginning to end. When the client goes away meanwhile, the door
    is called; whoever begins a life checks `is_gone`.
    """

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """As received; names in lower case."""
        ...

    async def body(self, most: int) -> bytes:
        """The whole body. Raises TooLarge before more than `most` bytes are kept,
        RequestTimeout when it stops half-way, and ConnectionAbortedError when the client goes away
        first.
        """
        ...

    def reply(self, status: int, headers: Lines, body: bytes) -> bool:
        """The whole answer; adds its content-length. False if `drain` must be awaited then."""
        ...

    async def begin(self, status: int, headers: Lines) -> None:
        """Begin an answer of unknown length. Its head may wait for the first `write`."""
        ...

    def send(self, data: bytes) -> bool:
        """Send at once. False if `drain` must be awaited before more is sent."""
        ...

    async def drain(self) -> None:
        """Wait while the client reads more slowly than we send."""
        ...

    async def write(self, data: bytes) -> None:
        """`send`, and `drain` if needed."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last data, and end the answer."""
        ...
