"""A CONNECT proxy that does connect: every name leads to one port of loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tests.drivers.scripted import SOON_S, Peer

OPENED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
END: Final = b"\r\n\r\n"

Instead = Callable[[Peer], Awaitable[object]]


@dataclass
class ConnectProxy:
    """`asked` are the heads it was sent. `instead` of connecting it may do something else; `says`
    is what it says when it has connected; spoken to by `tls`, if that is given. `ended` is set
    when a tunnel is gone on both sides.
    """

    to: int = 0
    says: bytes = OPENED
    instead: Instead | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _ways: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=list)
    _left: list[asyncio.Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Every tunnel, at once."""
        for way in self._ways:
            for writer in way:
                writer.transport.abort()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = asyncio.Event()
        self._left.append(left)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, RuntimeError):  # uvloop
                self.asked.append(await reader.readuntil(END))
                if self.instead is None:
                    await self._tunnel(reader, writer)
                else:
                    await self.instead(Peer(len(self.asked) - 1, reader, writer))
        finally:
            writer.close()
            self.ended.set()
            left.set()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, out = await asyncio.open_connection("127.0.0.1", self.to)
        self._ways.append((writer, out))
        writer.write(self.says)
        await asyncio.gather(_copied(reader, out), _copied(theirs, writer))

    async def all_left(self) -> None:
        async with asyncio.timeout(SOON_S):
            for left in self._left:
                await left.wait()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The end of one way is the end of both."""
    try:
        with suppress(ConnectionError, RuntimeError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def connect_proxy(
    to: int = 0,
    says: bytes = OPENED,
    instead: Instead | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ConnectProxy]:
    """Listens on loopback; at the end every connection must be gone."""
    proxy = ConnectProxy(to, says, instead, tls)
    server = await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
        await proxy.all_left()
    finally:
        server.close()
