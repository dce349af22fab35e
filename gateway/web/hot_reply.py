"""Writes the answers of the hot path."""

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateway.outbox import outbox
from gateway.web.backlog import Backlog
from gateway.web.client import Lines, Pairs, lines_of

_CLOSE: Final = b"connection: close\r\n"
_CLOSES: Final = b"\r\n" + _CLOSE


class Openings:
    """How answers begin: the status line, and the headers that all have. uvicorn renews those each
    second (`date`); in between, each beginning is built once.
    """

    def __init__(self) -> None:
        self._always: Pairs | None = None
        self._made: dict[int, Lines] = {}

    def opening(self, status: int, always: Pairs) -> Lines:
        """Raises ValueError for what is no header."""
        if always is not self._always:
            self._always, self._made = always, {}
        return self._made.get(status) or self._make(status, always)

    def _make(self, status: int, always: Pairs) -> Lines:
        made = self._made[status] = STATUS_LINE[status] + lines_of(always)
        return made


class NullTransport(asyncio.Transport):
    """In place of a lost connection, while an answer is still read on to its usage. asyncio ignores
    writes to a lost one, uvloop raises.
    """

    def write(self, data: object) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return True

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


NULL_TRANSPORT: Final = NullTransport()


class ResponseWriter(ABC, asyncio.Protocol):
    """The writing side of one connection, answer by answer; a subclass reads."""

    _transport: asyncio.Transport

    def __init__(
        self,
        openings: Openings,
        backlog: Backlog,
        state: ServerState,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._openings = openings
        self._backlog = backlog
        self._state = state
        self._loop = loop
        self._outbox = outbox(loop)
        self._keep = True
        """Whether the connection is kept after the answer."""
        self._head = b""
        """The head of an answer that has begun, until its first data is sent with it."""
        self._begun = False
        """Whether an answer of unknown length is in progress."""
        self._retires = False
        """Whether the answer after that one is the last."""
        self._drained: asyncio.Future[None] | None = None

    @abstractmethod
    def _done(self) -> None:
        """The answer was sent."""

    def retire(self) -> None:
        """Close after the next answer whose head is not sent yet, which says so."""
        if self._begun:
            self._retires = True
        else:
            self._keep = False

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self._backlog.watch(self._transport)

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        self._backlog.resume()
        if drained is not None and not drained.done():
            drained.set_result(None)

    def reply(self, status: int, headers: Lines, body: bytes) -> bool:
        if not self._keep and _CLOSES not in headers:
            headers += _CLOSE
        opening = self._openings.opening(status, self._state.default_headers)
        whole = b"%b%bcontent-length: %d\r\n\r\n%b" % (opening, headers, len(body), body)
        self._outbox.write(self._transport, whole)
        self._done()
        return True

    async def begin(self, status: int, headers: Lines) -> None:
        if not self._keep and _CLOSES not in headers:
            headers += _CLOSE
        opening = self._openings.opening(status, self._state.default_headers)
        self._head = b"%b%btransfer-encoding: chunked\r\n\r\n" % (opening, headers)
        self._begun = True

    def send(self, data: bytes) -> bool:
        chunk = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:  # sent with the first data; prepending always would cost 0.05 us
            chunk, self._head = self._head + chunk, b""
        self._outbox.write(self._transport, chunk)
        return self._drained is None

    async def drain(self) -> None:
        if self._drained is not None:
            await self._drained

    async def write(self, data: bytes) -> None:
        if not self.send(data):
            await self.drain()

    async def end(self, data: bytes) -> None:
        head, self._head = self._head, b""
        last = b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data) if data else head + b"0\r\n\r\n"
        self._outbox.write(self._transport, last)
        self._begun = False
        self._done()
        if self._retires:
            self._keep = False

    def _close(self) -> None:
        """Close once all is sent, or the client does not read it for too long."""
        self._outbox.close(self._transport)
        self._backlog.watch(self._transport)

    def _end_writing(self) -> None:
        """Tell the client that no more comes, without cutting it off while it sends."""
        self._outbox.flush()
        if self._transport.can_write_eof():  # not with TLS
            self._transport.write_eof()
