"""Connections to one origin: the one that was used last is used next, so that few stay open.

No redirects, no cookies; a proxy named in the environment is not asked. There is no limit to the
connections: the door bounds what is in flight.
"""

import asyncio
import ssl
import time
from contextlib import suppress
from typing import Final

from gateway.core.errors import Unreachable, UpstreamError
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.deadline_wheel import DeadlineWheel
from gateway.drivers.upstream.http_connection import Connection, Stale
from gateway.drivers.upstream.http_request import Post
from gateway.drivers.upstream.http_tunnel import Proxy, addresses, connect
from gateway.drivers.upstream.tls_sessions import Spoken, resuming

IDLE_S: Final = 60.0
"""After so long an idle connection is closed."""


def tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """Verifies certificate and host, by the system's authorities or those in a file."""
    context = ssl.create_default_context(cafile=cafile)
    context.set_alpn_protocols(["http/1.1"])
    return resuming(context)


class Pool:
    """`tls` is None for plain HTTP; each connection is through the `proxy`, where there is one, and
    is otherwise as one without. Lives in one event loop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        wheel: DeadlineWheel,
        *,
        connect_s: float,
        idle_s: float = IDLE_S,
        proxy: Proxy | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._wheel = wheel
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._proxy = proxy
        self._addresses = addresses(host, port, proxy)
        self._spoken: Spoken | None = None
        """Whose session is to be remembered when the next connection is opened."""
        self._idle: dict[Connection, None] = {}  # in order: popitem gives the last
        self._open: set[Connection] = set()
        self._emptied: asyncio.Future[None] | None = None
        self._keeps = True

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    async def ask(self, request: Post, deadline: float, *, whole: bool) -> Connection:
        """A connection on which the answer is: whole, or the first of its body.

        Give it back with `release`, or close it. The deadline is in seconds of time.monotonic;
        it bounds connecting as well. Raises UpstreamError.
        """
        connection = self._idle.popitem()[0] if self._idle else await self._connect(deadline)
        while True:
            try:
                await connection.ask(request, deadline, whole=whole)
            except Stale:
                # The provider closed it meanwhile; a new connection is never stale.
                connection = await self._connect(deadline)
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    async def warm(self) -> None:
        """Open a connection for the first request, where there is none. Whether that succeeds is
        told to whoever asks.
        """
        if self._open or not self._keeps:
            return
        with suppress(UpstreamError):
            self.release(await self._connect(time.monotonic() + self._connect_s))

    def release(self, connection: Connection) -> None:
        """It is free for the next request; or closed, if anything about it is not as it should."""
        if self._keeps and connection.rest(time.monotonic() + self._idle_s):
            self._idle[connection] = None
        else:
            connection.close()

    def retire(self) -> None:
        """Keep no connection from now on: each is closed once the call that it serves is over.
        It still serves calls, each over a connection of its own.
        """
        self._keeps = False
        for connection in [*self._idle]:
            connection.close()

    async def aclose(self) -> None:
        """Close all connections, also those in use, and wait until they are."""
        self._keeps = False
        self._emptied = asyncio.get_running_loop().create_future()
        for connection in [*self._open]:
            connection.drop()
        if self._open:
            await self._emptied

    def made(self, connection: Connection) -> None:
        self._open.add(connection)

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    async def _connect(self, deadline: float) -> Connection:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise failures.no_time()
        connection = Connection(self, self._wheel)
        try:
            async with asyncio.timeout(min(left_s, self._connect_s)):
                await self._dial(connection)
        except TimeoutError as error:
            late = left_s <= self._connect_s
            raise (failures.timed_out() if late else self._unreachable()) from error
        except (OSError, RuntimeError, UnicodeError) as error:  # uvloop has RuntimeErrors
            raise self._unreachable() from error
        if self._emptied is not None:  # we are being stopped
            connection.close()  # not in `made`: there uvloop loses track of the socket
            raise self._unreachable()
        return connection

    def _unreachable(self) -> Unreachable:
        return failures.unreachable(proxied=self._proxy is not None)

    async def _dial(self, connection: Connection) -> None:
        if self._spoken is not None and self._spoken.remember():
            self._spoken = None
        try:
            transport, _ = await connect(
                lambda: connection, self._host, self._port, self._tls, self._proxy, self._addresses
            )
        except BaseException:
            connection.close()
            self.lost(connection)  # uvloop does not tell when it was made a moment ago
            raise
        spoken = transport.get_extra_info("ssl_object")
        if isinstance(spoken, Spoken) and not spoken.session_reused:
            self._spoken = spoken
