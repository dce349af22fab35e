"""A client straight from its socket: HTTP/1.1 for the one path that is hot.

A connection begins here. What is not the plainest of requests for a chat completion (another path
or method, a body without a length, `Expect`) is handed to uvicorn's own protocol with
every byte that came, and the connection stays there. So this speaks little HTTP, and all of it
strictly: llhttp reads the heads, and the body is as long as it was said to be.

One request is answered at a time. Bytes of the next one wait, and the client is made to wait.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.web.asgi import too_large
from gateway.web.client import Headers, Pairs
from gateway.web.door import PATH, Door
from gateway.web.hot_head import Heads
from gateway.web.hot_reply import head_of
from gateway.web.idle import BODY_S, PORTION, Idle, late
from gateway.web.plain import PlainProtocol

_ASKS: Final = b"POST %b HTTP/1.1\r\n" % PATH.encode()
_MAX_HEAD: Final = 64 * 1024
_AHEAD: Final = 64 * 1024
"""Bytes that may wait while a request is answered before the client is made to wait."""
_UNWANTED: Final = 16 * 1024 * 1024
"""Bytes of a body that are let pass when its request is refused: a client that is cut off while it
sends may never read why.
"""


class HotProtocol(asyncio.Protocol):
    """One connection, and the client of the request that is answered on it."""

    def __init__(
        self,
        door: Door,
        idle: Idle,
        bodies: Idle,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.headers: Pairs = []
        self.known: Headers | None = None
        self._door = door
        self._idle = idle
        self._bodies = bodies
        self._loop = _loop or asyncio.get_running_loop()
        self._uvicorn = (config, server_state, app_state)
        self._state = server_state
        self._transport: asyncio.Transport
        self._heads = Heads()
        self._came = b""
        """What came and is no part of a request yet."""
        self._parts: list[bytes] = []
        self._kept = 0
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
        self._reading = True

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
            if len(data) > _AHEAD:
                self._reads(on=False)
        else:
            self._next(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        self._idle.leave(self)
        self.resume_writing()
        if self._waits is not None and not self._waits.done():
            self._waits.set_exception(ConnectionAbortedError())
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # What uvicorn tells

    def shutdown(self) -> None:
        """Close, when the answer that is being given has ended."""
        if self._busy:
            self._keep = False
        elif not self._transport.is_closing():
            self._transport.close()

    def body_is_late(self) -> None:
        """Nothing came for too long of the body that is waited for."""
        if self._waits is not None and not self._waits.done():
            self._keep = False
            self._waits.set_exception(late(self._bodies.most_s))

    # What the door does

    async def body(self, most: int) -> bytes:
        if self._left:
            if self._left + self._kept > most:
                too_large(most)
            if self._transport.is_closing():
                raise ConnectionAbortedError
            self._waits = self._loop.create_future()
            self._reads(on=True)
            self._bodies.enter(self)
            try:
                await self._waits
            finally:
                self._bodies.leave(self)
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
        head = head_of(status, self._state.default_headers, headers, keep=self._keep)
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self._done()

    async def begin(self, status: int, headers: Pairs) -> None:
        head = head_of(status, self._state.default_headers, headers, keep=self._keep)
        self._head = head + b"transfer-encoding: chunked\r\n\r\n"

    def send(self, data: bytes) -> bool:
        head, self._head = self._head, b""
        self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        return self._drained is None

    async def drained(self) -> None:
        if self._drained is not None:
            await self._drained

    async def write(self, data: bytes) -> None:
        if not self.send(data):
            await self.drained()

    async def end(self, data: bytes) -> None:
        head, self._head = self._head, b""
        last = b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data) if data else head + b"0\r\n\r\n"
        self._transport.write(last)
        self._done()

    # Inside

    def _next(self, data: bytes) -> None:
        """Take a request out of what came, as soon as its head is whole."""
        end = data.find(b"\r\n\r\n") + 4
        if not data.startswith(_ASKS) and not _ASKS.startswith(data):
            length = None
        elif end < 4 and len(data) <= _MAX_HEAD:
            self._came = data
            return
        else:
            length = self._read_head(data[:end]) if end >= 4 else None
        if length is None:
            self._hand_over(data)
            return
        self._came = b""
        self._busy = True
        self._unread = False
        self._parts = []
        self._kept, self._left, self._waits = 0, length, None
        self._idle.leave(self)
        if rest := (self._more(data[end:]) if length else data[end:]):
            self._came = rest
        self._state.tasks.add(self._loop.create_task(self._serve()))

    def _read_head(self, head: bytes) -> int | None:
        """The body's length; None when this is not as plain as we want it."""
        heads = self._heads
        length = heads.read(head)
        if not heads.again:
            self.headers, self.known = heads.headers, None
            self._keep = self._keep and heads.keeps
        return length

    def _more(self, data: bytes) -> bytes:
        """Some of the body, and what came behind it."""
        behind = b""
        if len(data) > self._left:
            data, behind = data[: self._left], data[self._left :]
        self._left -= len(data)
        if not self._unread:
            self._parts.append(data)
            before, self._kept = self._kept, self._kept + len(data)
            if self._waits is None:
                if self._kept > _AHEAD:
                    self._reads(on=False)  # who is asking is not settled yet
            elif self._kept // PORTION > before // PORTION:
                self._bodies.enter(self)
        if not self._left:
            if self._waits is not None and not self._waits.done():
                self._waits.set_result(None)
            if not self._busy:
                self._rest()
        return behind

    async def _serve(self) -> None:
        task = asyncio.current_task(self._loop)  # which need not be looked for
        try:
            await self._door.serve(self)
        finally:
            self._state.tasks.discard(cast("asyncio.Task[None]", task))

    def _done(self) -> None:
        """The answer is out. Before anything is awaited: the next request may be here already."""
        self._busy = False
        self._tell = None
        self._unread = True
        self._parts = []
        self._state.total_requests += 1
        if not self._keep or self._left > _UNWANTED:
            self._transport.close()
            return
        self._idle.enter(self)
        self._rest()

    def _rest(self) -> None:
        """The next request may have come."""
        self._reads(on=True)
        if self._came and not self._left:
            came, self._came = self._came, b""
            self._next(came)

    def _reads(self, *, on: bool) -> None:
        if on != self._reading:
            self._reading = on
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _hand_over(self, data: bytes) -> None:
        """From now on the connection is uvicorn's."""
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        self._idle.leave(self)
        theirs = PlainProtocol(*self._uvicorn, self._loop)
        theirs.door, theirs.idle = self._door, self._idle
        self._transport.set_protocol(theirs)
        theirs.connection_made(self._transport)
        theirs.data_received(data)


def hot(door: Door, idle_s: float = 5.0, body_s: float = BODY_S) -> type[asyncio.Protocol]:
    """What uvicorn.Config takes as `http`. After so long an idle connection is closed, and a body
    that stops half-way is refused.
    """
    bodies = Idle(body_s, HotProtocol.body_is_late)
    return cast("type[asyncio.Protocol]", partial(HotProtocol, door, Idle(idle_s), bodies))
