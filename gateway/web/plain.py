"""uvicorn's HTTP/1.1 for each connection that is not hot. What is no HTTP is told in our words."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.core.errors import InvalidRequest
from gateway.web.door import Door
from gateway.web.headers import error_headers
from gateway.web.idle import Idle
from gateway.web.render import error_body

_TYPE: Final = (b"content-type", b"application/json")


class PlainProtocol(HttpToolsProtocol):
    """One connection. What it cannot read is refused as an OpenAI error object."""

    door: Door
    idle: Idle
    since: float
    _begun = False
    """A head is coming, and is not whole: it may take as long as a connection may be idle."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._begun and (self.cycle is None or self.cycle.response_complete):
            self._begun = True
            self.idle.enter(self)

    def on_headers_complete(self) -> None:
        self._begun = False
        self.idle.leave(self)
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.idle.leave(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """`msg` is uvicorn's; the connection ends, since nobody knows where the next one begins."""
        error = InvalidRequest(msg)
        body = error_body(error)
        pairs = [
            *self.server_state.default_headers,
            *error_headers(error, f"req_{self.door.now.world.new_id()}", None),
            _TYPE,
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[400], lines, body))
        self.transport.close()
