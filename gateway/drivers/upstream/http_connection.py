"""One HTTP/1.1 connection to a provider: a request out, its answer in, then the next.

    idle -> asked -> answering -> whole -> idle        and from each of these: closed

idle: free. asked: a request was sent, no byte has come. answering: bytes have come. whole: the
answer is complete, and can be read even if the connection is closed by then.
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
"""Bytes that may come outside of a body: a head, or lines between the chunks."""
HIGH_WATER: Final = 64 * 1024
"""Bytes of a streamed answer that may be buffered before reading is paused."""
_LOOK_AGAIN_S: Final = 1.0

IDLE: Final = "idle"
ASKED: Final = "asked"
ANSWERING: Final = "answering"
WHOLE: Final = "whole"


class ConnectionOwner(Protocol):
    """Is called when a connection was opened or closed: its pool."""

    def connection_opened(self, connection: "Connection") -> None: ...
    def connection_closed(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """Used by one task at a time: `ask`, then `take` and `wait` until `state` is whole."""

    def __init__(self, owner: ConnectionOwner, wheel: DeadlineWheel) -> None:
        self._owner = owner
        self._wheel = wheel
        self._outbox = outbox()
        self._future = asyncio.get_running_loop().create_future
        self._parser: HttpResponseParser
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Callable[[bytes], bool] | None = None
        self._parts: list[bytes] = []
        self._counted = self._size = 0
        """How many of `_parts` were counted, and their size in bytes."""
        self._non_body_bytes = 0
        """Bytes received since the last that belonged to a body."""
        self._expected: list[None] = []
        """One item for each expected answer: on_message_begin pops it, and fails when empty."""
        self._buffering = self._paused = self._used = self.open = False
        self._reusable = True
        self._error: UpstreamError | None = None
        self._sent_at = 0.0
        self.state: str = IDLE
        self.deadline, self.due = 0.0, NEVER
        self.status = 0
        """0 until the head of the answer has come."""
        self.headers = Headers()
        """Of the current answer, until the connection is idle."""
        # The parser's most frequent callbacks, without a Python function between: saves 0.1 us.
        self.on_message_begin = self._expected.pop
        self.on_body = self._parts.append

    def ask(self, request: Post, deadline: float, *, whole: bool) -> asyncio.Future[None]:
        """Send a request, and wait until the answer is `whole`, or for the first of its body."""
        self._sent_at = time.monotonic()
        if not self.open:
            raise self._error or self._closed_early(None)
        if isinstance(request, bytes):
            self._outbox.write(self._transport, request)
        else:
            self._transport.writelines(request)
        self._expected.append(None)
        self.state = ASKED
        self.status = self._non_body_bytes = 0
        self._buffering = whole
        return self.wait(deadline)

    def wait(self, deadline: float) -> asyncio.Future[None]:
        """Wait for more, after `take` gave nothing. Raises UpstreamError, now or when awaited."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._future()
        self.deadline = deadline
        if deadline < self.due:
            self._wheel.watch(self)
        return waiter

    def pour(self, sink: Callable[[bytes], bool], deadline: float) -> asyncio.Future[None]:
        """Wait as `wait` does, and pass what comes to `sink`, which returns whether to go on. It
        may move `deadline`; what it raises is raised here.
        """
        waiter = self.wait(deadline)
        self._sink = sink
        return waiter

    async def collect(self, deadline: float) -> None:
        """Wait until an answer that was to be streamed is whole."""
        self._buffering = True
        self._resume()
        if self.state != WHOLE:
            await self.wait(deadline)

    def take(self) -> bytes:
        """What has come of the body since the last call; b"" when nothing has."""
        body = b"".join(self._parts)
        self._parts.clear()
        if self._counted:
            self._counted = self._size = 0
            self._resume()
        return body

    def make_idle(self, deadline: float) -> bool:
        """Keep it idle until the deadline; False when it cannot be reused. A new one can."""
        if (
            not self._reusable
            or self.state in (ASKED, ANSWERING)
            or self._parts
            or self._transport.get_write_buffer_size()  # the request was not read to its end
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
        """Close at once; unsent bytes are dropped."""
        if self.open:
            self.open = self._reusable = False
            self._sink = None
            self._wheel.forget(self)
            self._transport.abort()

    def drop(self) -> None:
        """Close; whoever waits gets an error that the answer broke off."""
        self._peer_closed(ConnectionAbortedError())

    def deadline_passed(self, now: float) -> None:
        if self.state == IDLE:
            self.close()
        elif self._waiter is not None:
            self._fail(failures.timed_out())
        else:  # our consumer is slow, not the provider
            self.deadline = now + _LOOK_AGAIN_S
            self._wheel.watch(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        self.open = True
        self._owner.connection_opened(self)

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
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
            self._break_off(whole=self.state == WHOLE)  # no HTTP, or more than one answer
            return
        parts = self._parts
        if self.state == WHOLE:
            self._wake()
        elif sink is None or not parts:
            self._on_data(len(data))
        else:
            body = b"".join(parts)  # of one part that is the part itself
            parts.clear()
            self._non_body_bytes = 0
            try:
                if not sink(body):
                    self._wake()
            except Exception as error:  # noqa: BLE001 - passed on to whoever waits
                self._wake(error)

    def eof_received(self) -> None:
        self._peer_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_closed(exc)
        del self._parser  # it refers to us
        self._owner.connection_closed(self)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        too_large = len(self.headers.raw) > MAX_HEAD and self.headers.size > MAX_HEAD
        if too_large or status < 100:  # llhttp takes any three digits
            raise HttpParserError("too large a head, or no status")
        self.status = status

    def on_message_complete(self) -> None:
        if self.status < 200:  # informational: another head follows
            self.status = 0
            self._expected.append(None)
            return
        self._reusable = self._parser.should_keep_alive()
        self.state = WHOLE

    # Inside

    def _on_data(self, size: int) -> None:
        """`size` bytes came that did not go to a sink, and the answer is not whole."""
        new_parts = self._parts[self._counted :]
        if not new_parts:
            self._non_body_bytes += size
            if self._non_body_bytes > MAX_HEAD:
                self._fail(failures.broken())
            return
        self._non_body_bytes = 0
        self._counted += len(new_parts)
        self._size += sum(map(len, new_parts))
        if self._buffering:
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
        self._waiter = self._sink = None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _fail(self, error: UpstreamError) -> None:
        self._error = self._error or error
        self.close()
        if self._parts and not self._buffering:
            self._wake()  # what came is taken first
        else:
            self._wake(error)

    def _peer_closed(self, exc: Exception | None) -> None:
        """The provider closed the connection; cleanly if `exc` is None."""
        if not self.open:
            return
        if self.state == ASKED:
            self._fail(self._closed_early(exc))
        elif self.state != ANSWERING:
            self.close()
        elif not self.status:
            self._fail(failures.closed_early(time.monotonic() - self._sent_at, exc))
        else:
            self._break_off(whole=exc is None and self.headers.ends_with_the_connection)

    def _break_off(self, *, whole: bool = False) -> None:
        """No more comes of the answer. Of an error the status is enough."""
        if whole or self.status >= 400:
            self.close()
            self.state = WHOLE
            self._wake()
        else:
            self._fail(failures.broken())

    def _closed_early(self, exc: Exception | None) -> UpstreamError:
        error = failures.closed_early(time.monotonic() - self._sent_at, exc)
        stale = self._used and isinstance(error, Reset)
        return failures.Stale("the connection was stale") if stale else error
