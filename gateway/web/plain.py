"""uvicorn's HTTP/1.1 for each connection that is not hot. What is no HTTP is told in our words."""

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
"""Bytes that may come and be no part of a body, in whole reads: heads, and what ends chunks. The
parser keeps them all, as fifteen times as many.
"""
UNWANTED: Final = 16 * 1024 * 1024
"""Bytes of a body that are let pass when its request is refused, and the connection kept. After a
longer one it is not: its client sees the end, and what it still sends is dropped. One that is cut
off while it sends may never read why.
"""
_BEHIND: Final = 100
"""Requests that may wait for their turn: each takes a hundred times the bytes that ask for it."""


class _Staying(HttpRequestParser):
    """Goes on in HTTP/1.1 with who asks for another protocol: Java's HTTP client asks for h2c, and
    so may curl. httptools would pass over the body, so that the head is read again without that.
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
                    return  # a CONNECT: nothing behind it is for us, and it is told so
                data = head + data[met.args[0] :]
                self._begin()  # behind a `connection: close` it would read no more
            else:
                return


class PlainProtocol(HttpToolsProtocol):
    """One connection. What it cannot read is refused as an OpenAI error object."""

    again = b""
    """A head that is to be read again, without what asks for another protocol."""
    since: float
    _begun = False
    """A head is to come, or to become whole: it may take as long as a connection may be idle."""
    _vain = 0
    _served: RequestResponseCycle | None = None
    """What is being answered; `cycle` is what came last, and may have to wait for its turn."""
    _in_body = False
    """Whether some of the body of `cycle` is still to come."""
    _fault: GatewayError | None = None
    """What ends the connection, once all that came before it is answered."""
    _unwanted = 0
    """Bytes that came of a body whose request is answered."""
    _drops = False
    """Whatever still comes."""

    def __init__(self, door: Door, timeouts: ClientTimeouts, *its: Any, **more: Any) -> None:
        super().__init__(*its, **more)
        self.door = door
        self.idle = timeouts.idle
        self.backlog = Backlog(timeouts.unread)
        self.parser = _Staying(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._begun = True
        self.idle.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._drops:
            return
        self._vain += len(data)  # unless something comes of it
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
        if not self._in_body:  # else it is a trailer, which may say nothing of who asks for what
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._vain = 0
        super().on_body(body)
        if self.cycle.response_complete:
            self._unwanted += len(body)
            if self._unwanted > UNWANTED:
                self._end_writing()
                raise BufferError  # the parser goes no further

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
            self.expect_100_continue = False  # it knows no 100
        super().on_headers_complete()
        self._in_body = True
        if method == b"CONNECT":
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if not self.again:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Uvicorn calls this, and begins with what waits behind it."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `idle` says how long, and a timer would keep us
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
        """Uvicorn calls this, and `idle`."""
        super().shutdown()
        if self.transport.is_closing():
            self.backlog.watch(self.transport)

    def retire(self) -> None:
        """Close behind the next answer whose head is not out yet: it says so."""
        if self._served is not None and not self._served.response_started:
            self._served.keep_alive = False

    def eof_received(self) -> None:
        """Nothing more will come: the connection closes, as the event loop would have it."""
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
        """Uvicorn calls this, and words `msg`."""
        if self._drops:
            return
        if len(self.pipeline) >= _BEHIND:
            msg = f"Wait for answers: more than {_BEHIND} requests are behind one on a connection."
        self._refuse(InvalidRequest(msg))

    def _refuse(self, error: GatewayError) -> None:
        """The connection ends with it, behind the answers to all requests that came whole."""
        self._fault, self._drops = error, True  # nobody knows where another request begins
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
            self._served.disconnected = True  # of what it still says nothing is sent
        self.transport.close()
        self.backlog.watch(self.transport)

    def _linger(self) -> bool:
        """Whether the client is still sending what it is answered."""
        if not self._in_body or self._served is not self.cycle or self.door.draining:
            return False
        self._end_writing()
        return True

    def _end_writing(self) -> None:
        """The client sees the end, and may send on for as long as a connection may be idle."""
        self._drops = True
        if self.transport.can_write_eof():  # TLS has no such half
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
    """What uvicorn.Config takes as `http`, for a face without a hot path; `door` is another's."""
    made = partial(PlainProtocol, door, timeouts or ClientTimeouts())
    return cast("type[asyncio.Protocol]", made)
