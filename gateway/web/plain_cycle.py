"""Changes to how uvicorn serves one request off the hot path."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.web.asgi import Message, Receive, Scope, Send


class LingeringTransport(asyncio.Transport):
    """What uvicorn gets as the transport of one request. When uvicorn closes it, `linger` says
    whether the connection is to stay open for a while.
    """

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], bool]) -> None:
        super().__init__()
        self._transport = transport
        self._linger = linger

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if not self._linger():
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def content_length(cycle: RequestResponseCycle) -> int:
    """Of the request's body, in bytes; 0 if it is chunked."""
    return int(dict(cycle.scope["headers"]).get(b"content-length", 0))


async def run(
    app: Any, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve a request. One that is cancelled has answered already, as far as its client reads:
    uvicorn would log a bug, and wait for the client to read a 500.
    """
    if scope["http_version"] < "1.1":
        send = _unchunked(cycle, send)
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        cycle.disconnected = True
        cycle.transport.abort()


def _unchunked(cycle: RequestResponseCycle, send: Send) -> Send:
    """HTTP/1.0 has no chunks: a body of unknown length ends with the connection."""

    async def sends(message: Message) -> None:
        cycle.chunked_encoding = False
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return sends
