"""uvicorn's HTTP/1.1, for connections off the hot path; its errors are OpenAI error objects."""

import asyncio
from functools import partial
from typing import Any, Final, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from gateway.core.errors import GatewayError, HeadersTooLarge, InvalidRequest
from gateway.web.backlog import Backlog
from gateway.web.client import lines_of
from gateway.web.door import Door
from gateway.web.headers import MAX_HEADERS, error_headers
from gateway.web.plain_cycle import LingeringTransport, content_length, run
from gateway.web.render import error_body
from gateway.web.timeouts import ClientTimeouts

_TYPE: Final = (b"content-type", b"application/json")
_VAIN: Final = 2 * MAX_HEADERS
"""Bytes that may come outside of bodies before a head is complete: heads, and the lines of chunks.
The parser keeps them, in fifteen times the memory.
"""
UNWANTED: Final = 16 * 1024 * 1024
"""Bytes of a refused request's body that are read and dropped, so that the connection is kept. With
a longer body it is not: we end our side, and drop what still comes. A client that is cut off while
it sends may never read the answer.
"""
_BEHIND: Final = 100
"""Pipelined requests that may wait: each takes a hundred times its bytes in memory."""


class _NoUpgradeParser(HttpRequestParser):
    """Ignores requests to upgrade to another protocol: Java's HTTP client asks for h2c, and so may
    curl. httptools would skip the body, so the head is parsed again without the `upgrade` header.
    """

    def __init__(self, protocol: "PlainProtocol") -> None:
        self._protocol = protocol
        self._begin()

    def _begin(self) -> None:
        super().__init__(self._protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own has it

    def feed_data(self, data: Any) -> None:
        while True:
            try:
                super().feed_data(data)
            except HttpParserUpgrade as met:
                head, self._protocol.again = self._protocol.again, b""
                if not head:
                    return  # a CONNECT, which is refused: what follows is not for us
                data = head + data[met.args[0] :]
                self._begin()  # behind `connection: close` it would parse no more
            else:
                return


class PlainProtocol(HttpToolsProtocol):
    """One connection. Invalid HTTP is refused with an OpenAI error object."""

    again = b""
    """A head to be parsed again, without its `upgrade` header."""
    since: float
    _begun = False
    """Whether a head is awaited, or incomplete: it may take as long as a connection may be idle."""
    _vain = 0
    """Bytes received since the last that belonged to a body, or ended a head."""
    _served: RequestResponseCycle | None = None
    """The request being answered; `cycle` is the latest, which may still wait for its turn."""
    _in_body = False
    """Whether the body of `cycle` is incomplete."""
    _fault: GatewayError | None = None
    """The error to end the connection with, once all earlier requests are answered."""
    _unwanted = 0
    """Bytes of a body that came after its request was answered."""
    _drops = False
    """Whether all further input is dropped."""

    def __init__(self, door: Door, timeouts: ClientTimeouts, *its: Any, **more: Any) -> None:
        super().__init__(*its, **more)
        self.door = door
        self.idle = timeouts.idle
        self.backlog = Backlog(timeouts.unread)
        self.parser = _NoUpgradeParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._begun = True
        self.idle.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._drops:
            return
        self._vain += len(data)  # the callbacks reset it
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._vain > _VAIN:
            self._refuse(HeadersTooLarge(f"The headers are larger than {MAX_HEADERS} bytes."))
        elif not self._begun and (self.cycle is None or self.cycle.response_complete):
            self._begun = True
            self.idle.enter(self)

    def on_message_begin(self) -> None:
        self._vain = self._unwanted = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # not a trailer, which could otherwise replace the key
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._vain = 0
        super().on_body(body)
        if self.cycle.response_complete:
            self._unwanted += len(body)
            if self._unwanted > UNWANTED:
                self._end_writing()
                raise BufferError  # stops the parser

    def on_headers_complete(self) -> None:
        self._vain = 0
        if len(self.pipeline) >= _BEHIND:
            raise BufferError
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":
            first = b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())
            lines = lines_of(pair for pair in self.headers if pair[0] != b"upgrade")
            self.again = b"%b\r\n%b\r\n" % (first, lines)
            return
        self._begun = False
        self.idle.leave(self)
        if self.parser.get_http_version() < "1.1":
            self.expect_100_continue = False  # it has no status 100
        super().on_headers_complete()
        self._in_body = True
        if method == b"CONNECT":
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if not self.again:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Uvicorn calls this; its own method starts the next pipelined request."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `idle` limits it; a timer would refer to us
        if self.transport.is_closing():
            self.backlog.watch(self.transport)
        elif self._fault is not None:
            self._end_if_answered(self._fault)
        elif self.cycle.response_complete:
            self.idle.enter(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.backlog.watch(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.backlog.resume()

    def shutdown(self) -> None:
        """Called by uvicorn, and by `idle`."""
        super().shutdown()
        if self.transport.is_closing():
            self.backlog.watch(self.transport)

    def retire(self) -> None:
        """Close after the next answer whose head is not sent yet, which says so."""
        if self._served is not None and not self._served.response_started:
            self._served.keep_alive = False

    def eof_received(self) -> None:
        """The client sends no more: close, which is the event loop's default, too."""
        self.transport.close()
        self.backlog.watch(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.idle.leave(self)
        self.backlog.forget()
        if self._served is not None:
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        short = content_length(cycle) <= UNWANTED
        cycle.keep_alive = cycle.keep_alive and short and not self.door.draining
        cycle.transport = LingeringTransport(self.transport, self._linger)
        super()._start_asgi_task(cycle, partial(run, app, cycle))

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn, with its own message."""
        if self._drops:
            return
        if len(self.pipeline) >= _BEHIND:
            msg = f"Wait for answers: more than {_BEHIND} requests are behind one on a connection."
        self._refuse(InvalidRequest(msg))

    def _refuse(self, error: GatewayError) -> None:
        """End the connection with this error, after the answers to all complete requests."""
        self._fault, self._drops = error, True  # where the next request begins is unknown
        cycle = self.cycle
        if not self._in_body:
            self._end_if_answered(error)
        elif self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            self._end_if_answered(error)
        else:
            self._end(None if cycle.response_started else error)

    def _end_if_answered(self, error: GatewayError) -> None:
        if not self.pipeline and (self._served is None or self._served.response_complete):
            self._end(error)

    def _end(self, error: GatewayError | None) -> None:
        if error is not None:
            self._tell(error)
        if self._served is not None:
            self._served.disconnected = True  # it sends nothing more
        self.transport.close()
        self.backlog.watch(self.transport)

    def _linger(self) -> bool:
        """Keep a closing connection open while its client still sends the request. True if so."""
        if not self._in_body or self._served is not self.cycle or self.door.draining:
            return False
        self._end_writing()
        return True

    def _end_writing(self) -> None:
        """Tell the client that no more comes; drop its input until `idle` ends the connection."""
        self._drops = True
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()

    def _tell(self, error: GatewayError) -> None:
        body = error_body(error)
        pairs = [
            *self.server_state.default_headers,
            *error_headers(error, f"req_{self.door.now.world.new_id()}", None),
            _TYPE,
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, body))


def plain(door: Door, timeouts: ClientTimeouts | None = None) -> type[asyncio.Protocol]:
    """A value for uvicorn.Config's `http`, for an app without a hot path (the admin API)."""
    made = partial(PlainProtocol, door, timeouts or ClientTimeouts())
    return cast("type[asyncio.Protocol]", made)
