"""The client side of one ASGI request: read the request, write, notice a disconnect."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

RESET: Final = "tollgate.reset"
"""ASGI extension with which an app can reset the connection; see serving.py."""


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


class Client:
    """Create it with `await Client.of(...)`, which reads the whole request, and close it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        self.body = body
        self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        self.query = scope["query_string"].decode("latin-1")
        self._reset = (scope.get("extensions") or {}).get(RESET)
        self._send = send
        self._receive = receive
        self._disconnect: asyncio.Task[None] | None = None
        """Ends when the client disconnects. Created on first use: most calls do not need it."""

    @classmethod
    async def of(cls, scope: Scope, receive: Receive, send: Send) -> "Client":
        """Raises ClientDisconnected."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return cls(scope, receive, send, body)

    @property
    def disconnected(self) -> bool:
        return self._disconnect is not None and self._disconnect.done()

    async def wait(self, seconds: float | None = None) -> bool:
        """True as soon as the client disconnects, False after `seconds`; None waits for ever."""
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(_until_disconnect(self._receive))
        if seconds == 0:
            await asyncio.sleep(0)  # so that a disconnect can be noticed
        else:
            await asyncio.wait({self._disconnect}, timeout=seconds)
        return self.disconnected

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        length = {"content-type": "application/json", "content-length": str(len(body))}
        await self.start(status, length | dict(headers))
        await self.write(body, more=False)

    async def reset(self) -> None:
        """Raises ConnectionResetError if the server cannot reset connections."""
        if self._reset is None:
            raise ConnectionResetError("the simulated provider resets the connection")
        await self._reset["reset"]()
        await self.wait()

    async def close(self) -> None:
        if self._disconnect is not None:
            self._disconnect.cancel()
            await asyncio.wait({self._disconnect})


async def _until_disconnect(receive: Receive) -> None:
    message: Message | dict[str, Any] = {"type": "http.request"}
    while message["type"] != "http.disconnect":
        message = await receive()
