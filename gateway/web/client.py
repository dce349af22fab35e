"""Who asked: what it sent, and where its answer goes. Two kinds, by how its bytes come.

`hot` is HTTP/1.1 straight from the socket, `asgi` is any ASGI server. The door tells no difference.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

Pairs: TypeAlias = list[tuple[bytes, bytes]]


class Headers(Struct, frozen=True):
    """What we read of a request's headers. `extras` are its x-gateway-*, without that prefix."""

    authorization: bytes
    content_length: int
    encoded: bool
    extras: Mapping[str, str]


class Client(Protocol):
    """One request. Either `reply`, or `begin`, any number of `write` or `send`, and one `end`."""

    known: Headers | None
    """What was read of the headers, where the same came before on this connection, but for the
    length; None where it is to be read. Whoever reads it leaves it here.
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

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """What to call, once, if the client goes away before its answer has ended."""
        ...

    async def reply(self, status: int, headers: Pairs, body: bytes) -> None:
        """The whole answer; its length is told here."""
        ...

    async def begin(self, status: int, headers: Pairs) -> None:
        """An answer whose length is not known. It may wait for the first `write`."""
        ...

    def send(self, data: bytes) -> bool:
        """At once. Whether more may be sent; else `drained` is to be awaited first."""
        ...

    async def drained(self) -> None:
        """Waits while the client is slower than we are."""
        ...

    async def write(self, data: bytes) -> None:
        """Both."""
        ...

    async def end(self, data: bytes) -> None:
        """After all that was sent."""
        ...
