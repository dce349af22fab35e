"""One HTTP/1.1 connection to a provider: a request out, its answer in, then the next.

    idle -> asked -> answering -> whole -> idle        and from each of these: closed

idle: nobody's. asked: a request is out, and no byte came. answering: bytes came. whole: the answer
is here, and may be read even when the connection is closed by then.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.core.errors import Reset, UpstreamError
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.deadline_wheel import NEVER, DeadlineWheel
from gateway.drivers.upstream.http_headers import Headers
from gateway.drivers.upstream.http_request import Post
from gateway.outbox import outbox

MAX_HEAD: Final = 64 * 1024
"""Bytes that may come and be no part of a body: a head, or lines between the chunks."""
HIGH_WATER: Final = 64 * 1024
"""Bytes of a flowing answer that may wait to be taken before the provider is made to wait."""
_LOOK_AGAIN_S: Final = 1.0

IDLE: Final = "idle"
ASKED: Final = "asked"
ANSWERING: Final = "answering"
WHOLE: Final = "whole"


class Stale(Reset):
    """A connection that had been used before was closed as a request went out on it."""


class Home(Protocol):
    """Where a connection belongs."""

    def made(self, connection: "Connection") -> None: ...
    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """Reads are by one task at a time: `ask`, then `take` and `wait` until `state` is whole."""

    def __init__(self, home: Home, wheel: DeadlineWheel) -> None:
        self._home = home
        self._wheel = wheel
        self._outbox = outbox()
        self._future = asyncio.get_running_loop().create_future
        self._parser: HttpResponseParser
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._pours: Callable[[bytes], bool] | None = None
        self._parts: list[bytes] = []
        self._counted = self._size = 0
        """Of these parts, those that have waited for more."""
        self._barren = 0
        """Bytes of the segments since the last that had some of a body."""
        self._awaited: list[None] = []
        """One for each answer that may begin: the parser takes it, or fails without."""
        self._collects = self._paused = self._used = self.open = False
        self._keeps = True
        self._error: UpstreamError | None = None
        self._asked_at = 0.0
        self.state: str = IDLE
        self.deadline, self.due = 0.0, NEVER
        self.status = 0
        """0 until the head of the answer is here."""
        self.headers = Headers()
        """Of the answer that is here, until it is at rest."""
        # What the parser tells most, with no function of ours between: 0.1 us for each.
        self.on_message_begin = self._awaited.pop
        self.on_body = self._parts.append

    def ask(self, request: Post, deadline: float, *, whole: bool) -> asyncio.Future[None]:
        """Send a request, and wait: until the answer is whole, or for the first of its body."""
        self._asked_at = time.monotonic()
        if not self.open:
            raise self._error or self._unheard(None)
        if isinstance(request, bytes):
            self._outbox.write(self._transport, request)
        else:
            self._transport.writelines(request)
        self._awaited.append(None)
        self.state = ASKED
        self.status = self._barren = 0
        self._collects = whole
        return self.wait(deadline)

    def wait(self, deadline: float) -> asyncio.Future[None]:
        """For more, after `take` gave nothing. Here or when awaited: raises UpstreamError."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._future()
        self.deadline = deadline
        if deadline < self.due:
            self._wheel.watch(self)
        return waiter

    def pour(self, into: Callable[[bytes], bool], deadline: float) -> asyncio.Future[None]:
        """Wait as `wait` does, and give what comes meanwhile to `into`, which says whether to go
        on. It may move `deadline`; what it raises is raised here.
        """
        waiter = self.wait(deadline)
        self._pours = into
        return waiter

    async def collect(self, deadline: float) -> None:
        """Wait until an answer that was to flow is whole after all."""
        self._collects = True
        self._resume()
        if self.state != WHOLE:
            await self.wait(deadline)

    def take(self) -> bytes:
        """What has come of the body since it was taken last; b"" when nothing has."""
        body = b"".join(self._parts)
        self._parts.clear()
        if self._counted:
            self._counted = self._size = 0
            self._resume()
        return body

    def rest(self, deadline: float) -> bool:
        """Be idle until the deadline; False when it cannot be used again. A new one can."""
        if (
            not self._keeps
            or self.state in (ASKED, ANSWERING)
            or self._parts
            or self._transport.get_write_buffer_size()  # it did not want all of the request
        ):
            return False
        self.state = IDLE
        self.headers.raw = b""
        self._used = True
        self.deadline = deadline
        if deadline < self.due:
            self._wheel.watch(self)
        return True

    def close(self) -> None:
        """At once; what was not sent is dropped."""
        if self.open:
            self.open = self._keeps = False
            self._pours = None
            self._wheel.forget(self)
            self._transport.abort()

    def drop(self) -> None:
        """Close, and tell whoever waits that the answer broke off."""
        self._peer_closed(ConnectionAbortedError())

    def strike(self, now: float) -> None:
        if self.state == IDLE:
            self.close()
        elif self._waiter is not None:
            self._fail(failures.timed_out())
        else:  # whoever reads is slow, not the provider
            self.deadline = now + _LOOK_AGAIN_S
            self._wheel.watch(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        self.open = True
        self._home.made(self)

    def data_received(self, data: bytes) -> None:
        pours = self._pours
        if pours is None:
            if self.state == ASKED:
                self.state = ANSWERING
                self.headers.raw = data
            elif self.state != ANSWERING or not self.open:
                self.close()  # more than was asked for
                return
            elif not self.status:
                self.headers.raw += data
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._spoilt()
            return
        parts = self._parts
        if self.state == WHOLE:
            self._wake()
        elif pours is None or not parts:
            self._more(len(data))
        else:
            body = b"".join(parts)  # of one part that is the part itself
            parts.clear()
            self._barren = 0
            try:
                if not pours(body):
                    self._wake()
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                self._wake(error)

    def eof_received(self) -> None:
        self._peer_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_closed(exc)
        del self._parser  # it refers to us
        self._home.lost(self)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        too_large = len(self.headers.raw) > MAX_HEAD and self.headers.size > MAX_HEAD
        if too_large or status < 100:  # llhttp takes any three digits
            raise HttpParserError("too large a head, or no status")
        self.status = status

    def on_message_complete(self) -> None:
        if self.status < 200:  # it will go on
            self.status = 0
            self._awaited.append(None)
            return
        self._keeps = self._parser.should_keep_alive()
        self.state = WHOLE

    # Inside

    def _spoilt(self) -> None:
        """What came was no HTTP, or more than one answer."""
        if self.state == WHOLE:
            self.close()
            self._wake()
        else:
            self._fail(failures.broken())

    def _more(self, size: int) -> None:
        """So many bytes came that are not poured, and the answer is not whole."""
        new = self._parts[self._counted :]
        if not new:
            self._barren += size
            if self._barren > MAX_HEAD:
                self._fail(failures.broken())
            return
        self._barren = 0
        self._counted += len(new)
        self._size += sum(map(len, new))
        if self._collects:
            if self._size > failures.MAX_ANSWER:
                self._fail(failures.too_large())
        elif self._waiter is not None:
            self._wake()
        elif self._size > HIGH_WATER and not self._paused and self.open:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self.open:
                self._transport.resume_reading()

    def _wake(self, error: Exception | None = None) -> None:
        waiter = self._waiter
        self._waiter = self._pours = None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _fail(self, error: UpstreamError) -> None:
        self._error = self._error or error
        self.close()
        if self._parts and not self._collects:
            self._wake()  # what came is taken first
        else:
            self._wake(error)

    def _peer_closed(self, exc: Exception | None) -> None:
        """The provider closed the connection, cleanly without `exc`."""
        if not self.open:
            return
        if self.state == ASKED:
            self._fail(self._unheard(exc))
        elif self.state != ANSWERING:
            self.close()
        elif not self.status:
            self._fail(failures.unheard(time.monotonic() - self._asked_at, exc))
        elif exc is None and self.headers.ends_with_the_connection:
            self.close()
            self.state = WHOLE
            self._wake()
        else:
            self._fail(failures.broken())

    def _unheard(self, exc: Exception | None) -> UpstreamError:
        error = failures.unheard(time.monotonic() - self._asked_at, exc)
        stale = self._used and isinstance(error, Reset)
        return Stale("the connection was stale") if stale else error
