"""uvicorn's HTTP/1.1 for each connection that is not hot. What is no HTTP is told in our words."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.core.errors import InvalidRequest
from gateway.web.door import Door
from gateway.web.headers import error_headers
from gateway.web.render import error_body

_TYPE: Final = (b"content-type", b"application/json")


class PlainProtocol(HttpToolsProtocol):
    """One connection. What it cannot read is refused as an OpenAI error object."""

    door: Door

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
