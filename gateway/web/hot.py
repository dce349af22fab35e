"""A client straight from its socket: HTTP/1.1 for the one path that is hot.

A connection begins here. What is not the plainest of requests for a chat completion (another path
or method, a body without a length, `Expect`, an upgrade) is handed to uvicorn's own protocol with
every byte that came, and the connection stays there. So this speaks little HTTP, and all of it
strictly: llhttp reads the heads, and the body is as long as it was said to be.

One request is answered at a time. Bytes of the next one wait, and the client is made to wait.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from itertools import takewhile
from typing import Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.web.asgi import too_large
from gateway.web.client import Pairs
from gateway.web.door import PATH, Door

_ASKS: Final = b"POST %b HTTP/1.1\r\n" % PATH.encode()
_MAX_HEAD: Final = 64 * 1024
_AHEAD: Final = 64 * 1024
"""Bytes that may wait while a request is answered before the client is made to wait."""
_UNWANTED: Final = 16 * 1024 * 1024
"""Bytes of a body that are let pass when its request is refused: a client that is cut off while it
sends may never read why.
"""
_LOOK_S: Final = 1.0
_ODD: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Idle:
    """Connections that wait for a request: closed when they have for too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most_s: float) -> None:
        self._loop = loop
        self._most_s = most_s
        self._since: dict[HotProtocol, float] = {}
        """In the order of their times."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: "HotProtocol") -> None:
        self._since.pop(connection, None)
        self._since[connection] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def leave(self, connection: "HotProtocol") -> None:
        self._since.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        long_ago = self._loop.time() - self._most_s
        for connection in [*takewhile(lambda each: self._since[each] <= long_ago, self._since)]:
            del self._since[connection]
            connection.shutdown()
        if self._since:
            self._timer = self._loop.call_later(_LOOK_S, self._look)


class HotProtocol(asyncio.Protocol):
    """One connection, and the client of the request that is answered on it."""

    def __init__(
        self,
        door: Door,
        idle: Idle,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.headers: Pairs = []
        self._door = door
        self._idle = idle
        self._loop = loop
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._came = b""
        """What came and is no part of a request yet."""
        self._parts: list[bytes] = []
        self._left = 0
        """Bytes of this request's body that are still to come."""
        self._busy = False
        """A request is being answered."""
        self._unread = False
        """Its body is not wanted."""
        self._keep = True
        self._head = b""
        """Of an answer that has begun, until its first data."""
        self._tell: Callable[[], None] | None = None
        self._waits: asyncio.Future[None] | None = None
        """For the rest of a body."""
        self._drained: asyncio.Future[None] | None = None
        self._paused = False

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("HttpToolsProtocol", self))
        self._idle.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._left:
            data = self._more(data)
            if not data:
                return
        if self._came:
            data = self._came + data
        if self._busy:
            self._came = data
            if len(data) > _AHEAD and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        else:
            self._next(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        self._idle.leave(self)
        self._parser = None  # it refers to us
        self.resume_writing()
        waits, self._waits = self._waits, None
        if waits is not None and not waits.done():
            waits.set_exception(ConnectionAbortedError())
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # What the parser tells

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    # What uvicorn tells

    def shutdown(self) -> None:
        """Close, when the answer that is being given has ended."""
        if self._busy:
            self._keep = False
        elif not self._transport.is_closing():
            self._transport.close()

    # What the door does

    async def body(self, most: int) -> bytes:
        if self._left:
            if self._left + sum(map(len, self._parts)) > most:
                self._unread = True
                too_large(most)
            if self._transport.is_closing():
                raise ConnectionAbortedError
            self._waits = self._loop.create_future()
            await self._waits
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(body) > most:
            too_large(most)
        return body

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        self._tell = tell
        if tell is not None and self._transport.is_closing():
            self._tell = None
            tell()

    async def reply(self, status: int, headers: Pairs, body: bytes) -> None:
        head = self._head_of(status, headers)
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self._done()

    async def begin(self, status: int, headers: Pairs) -> None:
        self._head = self._head_of(status, headers) + b"transfer-encoding: chunked\r\n\r\n"

    async def write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        if self._drained is not None:
            await self._drained

    async def end(self, data: bytes) -> None:
        head, self._head = self._head, b""
        last = b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data) if data else head + b"0\r\n\r\n"
        self._transport.write(last)
        self._done()

    # Inside

    def _next(self, data: bytes) -> None:
        """Take a request out of what came, as soon as its head is whole."""
        if not data.startswith(_ASKS):
            if len(data) < len(_ASKS) and _ASKS.startswith(data):
                self._came = data
            else:
                self._hand_over(data)
            return
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._came = data
            if len(data) > _MAX_HEAD:
                self._hand_over(data)
            return
        length = self._read_head(data[:end])
        if length is None:
            self._hand_over(data)
            return
        self._came = b""
        self._busy = True
        self._unread = False
        self._parts = []
        self._left = length
        self._idle.leave(self)
        if rest := (self._more(data[end:]) if length else data[end:]):
            self._came = rest
        task = self._loop.create_task(self._serve())
        self._state.tasks.add(task)

    def _read_head(self, head: bytes) -> int | None:
        """The body's length; None when this is not as plain as we want it."""
        parser = self._parser
        assert parser is not None  # noqa: S101 - as long as it is connected
        self.headers = []
        try:
            parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            return None
        length = None
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name in _ODD:
                return None
        if length is None:
            return None
        self._keep = self._keep and parser.should_keep_alive()
        return int(length)

    def _more(self, data: bytes) -> bytes:
        """Some of the body, and what came behind it."""
        behind = b""
        if len(data) > self._left:
            data, behind = data[: self._left], data[self._left :]
        self._left -= len(data)
        parser = self._parser
        assert parser is not None  # noqa: S101
        parser.feed_data(data)
        if not self._unread:
            self._parts.append(data)
        if not self._left:
            waits, self._waits = self._waits, None
            if waits is not None and not waits.done():
                waits.set_result(None)
            if not self._busy:
                self._rest()
        return behind

    async def _serve(self) -> None:
        task = asyncio.current_task()
        try:
            await self._door.serve(self)
        finally:
            self._state.tasks.discard(cast("asyncio.Task[None]", task))

    def _head_of(self, status: int, headers: Pairs) -> bytes:
        lines = [b"%b: %b\r\n" % pair for pair in (*self._state.default_headers, *headers)]
        if not self._keep:
            lines.append(b"connection: close\r\n")
        head = _STATUS[status] + b"".join(lines)
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise ValueError("a header with a line break in it")
        return head

    def _done(self) -> None:
        """The answer is out. Before anything is awaited: the next request may be here already."""
        self._busy = False
        self._tell = None
        self._unread = True
        self._state.total_requests += 1
        if not self._keep or self._left > _UNWANTED:
            self._transport.close()
            return
        self._idle.enter(self)
        if not self._left:
            self._rest()

    def _rest(self) -> None:
        """The next request may have come."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._came:
            came, self._came = self._came, b""
            self._next(came)

    def _hand_over(self, data: bytes) -> None:
        """From now on the connection is uvicorn's."""
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        self._idle.leave(self)
        self._parser = None
        theirs = HttpToolsProtocol(self._config, self._state, self._app_state, self._loop)
        self._transport.set_protocol(theirs)
        theirs.connection_made(self._transport)
        theirs.data_received(data)


def hot(door: Door) -> type[asyncio.Protocol]:
    """What uvicorn.Config takes as `http`."""
    idle: Idle | None = None

    def protocol(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> HotProtocol:
        nonlocal idle
        loop = _loop or asyncio.get_running_loop()
        if idle is None:
            idle = Idle(loop, config.timeout_keep_alive)
        return HotProtocol(
            door, idle, config=config, server_state=server_state, app_state=app_state, loop=loop
        )

    return cast("type[asyncio.Protocol]", protocol)
