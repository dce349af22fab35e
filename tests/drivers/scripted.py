"""A provider whose every connection follows a script of the test."""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from termios import FIONREAD
from typing import cast

from gateway.drivers.upstream.deadline_wheel import DeadlineWheel
from gateway.drivers.upstream.http_connection import WHOLE, Connection
from gateway.drivers.upstream.http_pool import Pool
from gateway.drivers.upstream.http_tunnel import Proxy

SOON_S = 20.0
"""What never takes as long, unless something is wrong."""


@dataclass
class Peer:
    """One connection, as the provider sees it; the first is number 0."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self) -> bytes:
        """A whole request. Raises IncompleteReadError when the client has left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + await self.reader.readexactly(length)

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def end(self) -> None:
        """Until the client has left."""
        while await self.reader.read(65536):
            pass

    async def leave_unread(self) -> None:
        """Until more has come, which is left with the system."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()
        sock: socket.socket = self.writer.get_extra_info("socket")
        await until(lambda: ioctl(sock.fileno(), FIONREAD, bytes(4)) != bytes(4))

    def reset(self) -> None:
        sock: socket.socket | None = self.writer.get_extra_info("socket")
        if sock is not None:  # else the client has left already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Play = Callable[[Peer], Awaitable[object]]


@dataclass
class Scripted:
    play: Play
    port: int = 0
    peers: list[Peer] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, RuntimeError):  # uvloop
                await self.play(peer)
        finally:
            writer.close()
            peer.left.set()

    async def all_left(self) -> None:
        async with asyncio.timeout(SOON_S):
            for peer in self.peers:
                await peer.left.wait()


@asynccontextmanager
async def scripted(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Listens on loopback; at the end every connection must be gone."""
    provider = Scripted(play)
    server = await asyncio.start_server(provider, "127.0.0.1", 0, ssl=tls)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
        await provider.all_left()
    finally:
        server.close()


@asynccontextmanager
async def pool_to(
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    host: str = "127.0.0.1",
    connect_s: float = SOON_S,
    idle_s: float = 60.0,
    proxy: Proxy | None = None,
) -> AsyncIterator[Pool]:
    wheel = DeadlineWheel()
    pool = Pool(host, port, tls, wheel, connect_s=connect_s, idle_s=idle_s, proxy=proxy)
    try:
        yield pool
    finally:
        async with asyncio.timeout(SOON_S):
            await pool.aclose()
        wheel.close()
        assert pool.open == 0


def request(body: bytes = b"{}") -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def sized(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    lines = [status, *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def whole(pool: Pool, within_s: float = SOON_S, body: bytes = b"{}") -> bytes:
    """The body of one answer, read whole."""
    answer = await pool.ask(request(body), time.monotonic() + within_s, whole=True)
    told = answer.take()
    pool.release(answer)
    return told


async def flow(pool: Pool, within_s: float = SOON_S) -> tuple[Connection, list[bytes]]:
    """All pieces of one answer, as they come; the connection is not given back."""
    answer = await pool.ask(request(), time.monotonic() + within_s, whole=False)
    try:
        return answer, await pieces(answer, within_s)
    except BaseException:
        answer.close()
        raise


async def pieces(answer: Connection, within_s: float = SOON_S) -> list[bytes]:
    found = []
    while True:
        if piece := answer.take():
            found.append(piece)
        elif answer.state == WHOLE:
            return found
        else:
            await answer.wait(time.monotonic() + within_s)


async def until(done: Callable[[], bool]) -> None:
    """Until something that no event tells of has happened."""
    async with asyncio.timeout(SOON_S):
        while not done():
            await asyncio.sleep(0.002)
