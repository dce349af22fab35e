"""Who asked: what it sent, and where its answer goes. Two kinds, by how its bytes come.

`hot` is HTTP/1.1 straight from the socket, `asgi` is any ASGI server. The door tells no difference.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeAlias

from gateway.handle import Life
from gateway.web.session import Session

Pairs: TypeAlias = list[tuple[bytes, bytes]]
Lines: TypeAlias = bytes
"""Headers as HTTP/1.1 writes them, each with the end of its line."""

_LINE: Final = b"%b: %b\r\n".__mod__


def lines_of(pairs: Iterable[tuple[bytes, bytes]]) -> Lines:
    """Raises ValueError for what is no header."""
    each = [*map(_LINE, pairs)]
    lines = b"".join(each)
    if lines.count(b"\n") != len(each) or lines.count(b"\r") != len(each):
        raise ValueError("a header with a line break in it")
    return lines


def pairs_of(lines: Lines) -> Pairs:
    """The other way round."""
    split = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in split]


class Client(Protocol):
    """One request. Either `reply`, or `begin`, any number of `write` or `send`, and one `end`."""

    session: Session | None
    """Whom the same headers, content-length aside, authenticated before on this connection; None
    where they are to be read. Whoever reads them sets it.
    """
    whole: bytes | None
    """The body, of any size, where all of it is here already."""
    task: asyncio.Task[None]
    """In which it is served."""
    is_gone: bool
    life: Life | None
    """Of its request, from its beginning to its end. Who sees that the client goes away meanwhile
    tells the door; who begins a life looks whether it is gone already.
    """

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """As they came; names in lower case."""
        ...

    async def body(self, most: int) -> bytes:
        """The whole body. Raises TooLarge before more than `most` bytes are kept,
        RequestTimeout when it stops half-way, and ConnectionAbortedError when the client goes away
        first.
        """
        ...

    def reply(self, status: int, headers: Lines, body: bytes) -> bool:
        """The whole answer; its length is told here. Whether it is out; else as `send`."""
        ...

    async def begin(self, status: int, headers: Lines) -> None:
        """An answer whose length is not known. It may wait for the first `write`."""
        ...

    def send(self, data: bytes) -> bool:
        """At once. Whether more may be sent; else `drain` is to be awaited first."""
        ...

    async def drain(self) -> None:
        """Waits while the client is slower than we are."""
        ...

    async def write(self, data: bytes) -> None:
        """Both."""
        ...

    async def end(self, data: bytes) -> None:
        """After all that was sent."""
        ...
