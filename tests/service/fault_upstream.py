"""A provider on a raw socket: the model that it is asked for says which script it follows."""

import asyncio
import re
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

OK: Final = "HTTP/1.1 200 OK"
HIDDEN: Final = ("set-cookie: session=hidden", "x-served-by: hidden-host", "via: 1.1 hidden")
"""Headers that are no client's business."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL: Final = re.compile(rb"bad-[a-z0-9-]+|good-[a-z]+")


@dataclass
class Wire:
    """One request's answer, as it is sent. `flowed` is set when the client has some of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    flowed: asyncio.Event
    number: int
    """How often this model has been asked before."""
    port: int
    elsewhere: int

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Wire], Awaitable[object]]
"""Gives True when the connection is kept for another request."""


@dataclass
class FaultUpstream:
    """Listens on `port`. Whoever comes to `elsewhere` has followed a redirect."""

    scripts: Mapping[str, Script]
    port: int = 0
    elsewhere: int = 0
    strays: int = 0
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    flowed: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        assert found is not None
        model = _MODEL.search(head + await reader.readexactly(int(found[1])))
        assert model is not None
        name = model[0].decode()
        number, self.asked[name] = self.asked[name], self.asked[name] + 1
        wire = Wire(reader, writer, self.flowed[name], number, self.port, self.elsewhere)
        return await self.scripts[name](wire) is True

    async def stray(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.strays += 1
        writer.close()


@asynccontextmanager
async def fault_upstream(scripts: Mapping[str, Script]) -> AsyncIterator[FaultUpstream]:
    provider = FaultUpstream(scripts)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    other = await asyncio.start_server(provider.stray, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    provider.elsewhere = other.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        other.close()


# What is sent


def head(*headers: str, status: str = OK) -> bytes:
    return "\r\n".join([status, *HIDDEN, *headers, "", ""]).encode("latin-1")


def sized(body: bytes, *headers: str, status: str = OK, off: int = 0) -> bytes:
    """An answer by its length, which may be `off`."""
    return head(*headers, f"content-length: {len(body) + off}", status=status) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED: Final = "transfer-encoding: chunked"
END: Final = chunk(b"")


# What is done


def says(*parts: bytes, keep: bool = False) -> Script:
    """And then the connection is closed, or kept."""

    async def script(wire: Wire) -> bool:
        await wire.say(*parts)
        return keep

    return script


def once_flowing(first: bytes, then: Script) -> Script:
    """Goes on when the client has something of it."""

    async def script(wire: Wire) -> object:
        await wire.say(first)
        async with asyncio.timeout(30):
            await wire.flowed.wait()
        return await then(wire)

    return script


def resets(*parts: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.say(*parts)
        if parts:
            await asyncio.sleep(0.02)  # else what was said may be lost with the connection
        wire.reset()

    return script


def hangs(*parts: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.say(*parts)
        await wire.reader.read()

    return script


def murmurs(noise: bytes) -> Script:
    """For ever."""

    async def script(wire: Wire) -> None:
        left = asyncio.ensure_future(wire.reader.read())
        try:
            while not left.done():
                await wire.say(noise)
                await asyncio.wait([left], timeout=0.05)
        finally:
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)

    return script


def half_closes(*parts: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.say(*parts)
        wire.writer.write_eof()
        await wire.reader.read()

    return script


def pours(first: bytes, block: bytes, times: int, last: bytes = b"") -> Script:
    """Much, and never all of it in memory."""

    async def script(wire: Wire) -> None:
        await wire.say(first)
        for _ in range(times):
            await wire.say(block)
        await wire.say(last)

    return script
