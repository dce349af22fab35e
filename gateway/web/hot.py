"""HTTP/1.1 for the hot path, chat completions: a protocol of our own on the client's socket.

Every connection begins here. The first request that is not a plain chat completion (another path
or method, a body without a length, `Expect`) is handed over to uvicorn's protocol (plain.py), with
all bytes that came, and the connection stays there. So little of HTTP is implemented here, and that
strictly: llhttp parses the heads, and a body is exactly as long as its content-length.

One request is answered at a time. Bytes of the next are buffered, up to a limit.
"""

import asyncio
from functools import partial
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.core.errors import RequestTimeout
from gateway.handle import Life
from gateway.web.asgi import too_large
from gateway.web.backlog import Backlog
from gateway.web.client import Pairs
from gateway.web.door import PATH, Door
from gateway.web.hot_body import IncomingBody
from gateway.web.hot_head import HeadParser
from gateway.web.hot_reply import NULL_TRANSPORT, Openings, ResponseWriter
from gateway.web.idle import BUSY
from gateway.web.plain import UNWANTED, PlainProtocol
from gateway.web.session import Session
from gateway.web.timeouts import ClientTimeouts

_REQUEST_LINE: Final = b"POST %b HTTP/1.1\r\n" % PATH.encode()
_MAX_HEAD: Final = 64 * 1024
_AHEAD: Final = 64 * 1024
"""Bytes that are buffered while a request is answered; beyond that, reading is paused."""


class HotProtocol(ResponseWriter):
    """One connection; also the Client (client.py) of the request that is answered on it."""

    task: asyncio.Task[None]
    """Serves all its requests: a task for each would cost 0.5 to 1.6 us."""

    def __init__(
        self,
        door: Door,
        timeouts: ClientTimeouts,
        openings: Openings,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        loop = _loop or asyncio.get_running_loop()
        super().__init__(openings, Backlog(timeouts.unread), server_state, loop)
        self._keep = not door.draining
        self.headers: Pairs = []
        self.session: Session | None = None
        self.whole: bytes | None = None
        self.is_gone = False
        self.life: Life | None = None
        self.since = BUSY
        """BUSY also while a request is being answered."""
        self._door = door
        self._timeouts = timeouts
        self._uvicorn = (config, server_state, app_state)
        self._heads = HeadParser()
        self._buffer = b""
        """Bytes received that are not part of a request yet."""
        self._incoming: IncomingBody | None = None
        """The body, if it did not arrive together with its head."""
        self._next_request: asyncio.Future[None] | None = None
        """What the task awaits between two requests."""
        self._request_pending = False
        """The next request arrived before the task waited for it."""
        self._served = False
        """Whether there is a task."""
        self._open = True
        """Whether the connection is still ours, and not uvicorn's."""
        self._reading = True

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("HttpToolsProtocol", self))
        self._timeouts.idle.enter(self)

    def data_received(self, data: bytes) -> None:
        incoming = self._incoming
        if incoming is not None and incoming.left:
            data = self._more(incoming, data)
            if not data:
                return
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        if self.since is BUSY:
            self._buffer = data
            if len(data) > _AHEAD:
                self._set_reading(on=False)
        else:
            self._next(data)

    def eof_received(self) -> None:
        """The client sends no more: close, after sending what is already answered."""
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._transport = NULL_TRANSPORT
        self._buffer = b""
        self.resume_writing()
        if self._incoming is not None:
            self._incoming.fail(ConnectionAbortedError())
        self.is_gone = True
        self._door.client_gone(self)

    # Called by uvicorn

    def shutdown(self) -> None:
        """Close, after the answer in progress if there is one."""
        if self.since is BUSY:
            self._keep = False
        elif not self._transport.is_closing():
            self._close()

    # Called by the door

    async def body(self, most: int) -> bytes:
        body = self.whole
        if body is None:
            body = await self._rest_of(self._incoming, most)
        if len(body) > most:
            too_large(most)
        return body

    # Inside

    def _next(self, data: bytes) -> None:
        """Start the next request, as soon as its head is complete."""
        heads = self._heads
        begins = 0 if self.session is None else heads.match(data)
        if not begins:
            begins = self._new_head(data)
            if not begins:
                return
        ends = begins + heads.length
        self.since = BUSY
        if len(data) == ends:
            self.whole = data[begins:]
        elif len(data) > ends:
            self.whole, self._buffer = data[begins:ends], data[ends:]
        else:
            self._incoming = IncomingBody(heads.length, self._loop)
            if heads.length > UNWANTED:
                self._keep = False  # the answer says so: the rest may be too long to wait for
            self._more(self._incoming, data[begins:])
        waiter, self._next_request = self._next_request, None
        if waiter is None:
            self._request_pending = True
        elif not waiter.done():  # else we are being stopped
            waiter.set_result(None)

    def _new_head(self, data: bytes) -> int:
        """Where the body begins; 0 if the head is incomplete, or was not ours and handed over."""
        ends = data.find(b"\r\n\r\n") + 4
        ours = data.startswith(_REQUEST_LINE) or _REQUEST_LINE.startswith(data)
        if ours and ends < 4 and len(data) <= _MAX_HEAD:
            self._buffer = data
            return 0
        heads = self._heads
        if not ours or ends < 4 or not heads.parse(data[:ends]):
            self._hand_over(data)
            return 0
        self.headers, self.session = heads.headers, None
        self._keep = self._keep and heads.keep_alive
        if not self._served:
            self._served = True
            self.task = self._loop.create_task(self._serve())
            self._state.tasks.add(self.task)
            self.task.add_done_callback(self._task_done)
        return ends

    async def _serve(self) -> None:
        """Serve the connection's requests, one after the other."""
        serve, future = self._door.serve, self._loop.create_future
        while self._open:
            if self._request_pending:
                self._request_pending = False
                await asyncio.sleep(0)  # let other tasks run in between
            else:
                waiter = self._next_request = future()
                await waiter
                if self._next_request is waiter:  # `_leave` woke us, not a request
                    break
            if self._drained is not None:
                await self._drained  # a client that does not read gets no more answers
                if self.is_gone:
                    break
            await serve(self)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """No request is served here any more."""
        self._state.tasks.discard(task)
        if self._open:
            self._close()

    def _more(self, incoming: IncomingBody, data: bytes) -> bytes:
        """Take some of the body; returns what came behind it."""
        behind = incoming.feed(data)
        if incoming.discarding:
            if not incoming.left:
                self._incoming = None
                if incoming.is_last:
                    self._close()
                    return b""
        elif not incoming.waited_for and incoming.size > _AHEAD:
            self._set_reading(on=False)  # the caller is not authenticated yet
        return behind

    async def _rest_of(self, incoming: IncomingBody | None, most: int) -> bytes:
        """The whole body, once it has arrived."""
        if incoming is None or incoming.left + incoming.size > most:
            too_large(most)
        if self._transport.is_closing():
            raise ConnectionAbortedError
        self._set_reading(on=True)
        self._timeouts.bodies.enter(incoming)
        try:
            return await incoming.whole()
        except RequestTimeout:
            self._keep, self._incoming = False, None
            raise
        finally:
            self._timeouts.bodies.leave(incoming)

    def _done(self) -> None:
        """The answer was sent. Nothing may be awaited before: the next request may be buffered."""
        self.whole = None
        incoming = self._incoming
        if incoming is not None:
            incoming.discard()  # nobody reads any more of it
            if not incoming.left:
                self._incoming = None
        if not self._keep:
            self._end_connection()
            return
        self.since = self._loop.time()
        if self._buffer or not self._reading:
            data, self._buffer = self._buffer, b""
            if len(data) <= _AHEAD:  # else each answer would let as much in again
                self._set_reading(on=True)
            if data:
                self._next(data)

    def _end_connection(self) -> None:
        """Close, but not while the client sends: cut off, it may never read the last answer."""
        rest = self._incoming
        if rest is None or self._door.draining:
            self._close()
            return
        rest.is_last = True
        self.since = self._loop.time()  # from now on `idle` limits it
        self._end_writing()
        self._set_reading(on=True)

    def _set_reading(self, *, on: bool) -> None:
        if on != self._reading:
            self._reading = on
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _leave(self) -> None:
        """Stop tracking the connection: it is lost, or handed over."""
        self._open = False
        self.session = None  # now, not when the collector finds the cycle
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        self._timeouts.idle.leave(self)
        self._backlog.forget()
        waiter = self._next_request
        if waiter is not None and not waiter.done():
            waiter.set_result(None)  # to cancel it would leave a reference cycle

    def _hand_over(self, data: bytes) -> None:
        """Give the connection to uvicorn's protocol."""
        self._outbox.flush()  # this may call pause_writing
        self._leave()
        self._set_reading(on=True)
        theirs = PlainProtocol(self._door, self._timeouts, *self._uvicorn, self._loop)
        self._transport.set_protocol(theirs)
        theirs.connection_made(self._transport)
        if self._drained is not None:
            theirs.pause_writing()  # the transport says it only once
        theirs.data_received(data)


def hot(door: Door, timeouts: ClientTimeouts | None = None) -> type[asyncio.Protocol]:
    """A value for uvicorn.Config's `http`."""
    made = partial(HotProtocol, door, timeouts or ClientTimeouts(), Openings())
    return cast("type[asyncio.Protocol]", made)
