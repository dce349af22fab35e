"""Connections to one origin: the one that was used last is reused first, so that few stay open.

No redirects, no cookies; proxies from the environment are ignored. The number of connections is
unlimited: admission bounds the requests in flight.
"""

import asyncio
import ssl
import time
from contextlib import suppress
from typing import Final

from gateway.core.errors import UNSENT, Unreachable, UpstreamError
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.deadline_wheel import DeadlineWheel
from gateway.drivers.upstream.http_connection import Connection
from gateway.drivers.upstream.http_request import Post
from gateway.drivers.upstream.http_tunnel import Proxy, addresses, connect
from gateway.drivers.upstream.tls_sessions import ResumableSSLObject, with_resumption

IDLE_S: Final = 60.0
"""How long an idle connection is kept."""


def tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """Verifies certificate and host name, by the system's CAs or those in a file."""
    context = ssl.create_default_context(cafile=cafile)
    context.set_alpn_protocols(["http/1.1"])
    return with_resumption(context)


class Pool:
    """`tls` is None for plain HTTP; with a `proxy` each connection is a tunnel through it. For use
    on one event loop.
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
        self._to_remember: ResumableSSLObject | None = None
        """A connection whose TLS session is saved before the next one is opened."""
        self._idle: dict[Connection, None] = {}  # in order: popitem gives the last
        self._open: set[Connection] = set()
        self._all_closed: asyncio.Future[None] | None = None
        self._reuses = True

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    async def ask(self, request: Post, deadline: float, *, whole: bool) -> Connection:
        """Send a request; gives the connection, with the `whole` answer or the first of its body.

        Give it back with `release`, or close it. The deadline is in seconds of time.monotonic and
        includes connecting. Raises UpstreamError.
        """
        connection = self._idle.popitem()[0] if self._idle else await self._connect(deadline)
        while True:
            try:
                await connection.ask(request, deadline, whole=whole)
            except failures.Stale:
                # The provider had closed it while idle; a new connection is never stale.
                connection = await self._connect(deadline)
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    async def warm(self) -> None:
        """Open a connection for the first request, where there is none. Failures are ignored: the
        next `ask` raises them.
        """
        if self._open or not self._reuses:
            return
        with suppress(UpstreamError):
            self.release(await self._connect(time.monotonic() + self._connect_s))

    def release(self, connection: Connection) -> None:
        """Keep it for the next request, or close it if it cannot be reused."""
        if self._reuses and connection.make_idle(time.monotonic() + self._idle_s):
            self._idle[connection] = None
        else:
            connection.close()

    def retire(self) -> None:
        """Keep no idle connections from now on: each is closed after its call. The pool still
        serves calls, each over a new connection.
        """
        self._reuses = False
        for connection in [*self._idle]:
            connection.close()

    async def aclose(self) -> None:
        """Close all connections, also those in use, and wait until they are closed."""
        self._reuses = False
        self._all_closed = asyncio.get_running_loop().create_future()
        for connection in [*self._open]:
            connection.drop()
        if self._open:
            await self._all_closed

    def connection_opened(self, connection: Connection) -> None:
        self._open.add(connection)

    def connection_closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        if self._all_closed is not None and not self._open and not self._all_closed.done():
            self._all_closed.set_result(None)

    async def _connect(self, deadline: float) -> Connection:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise failures.no_time()
        connection = Connection(self, self._wheel)
        try:
            async with asyncio.timeout(min(left_s, self._connect_s)):
                await self._dial(connection)
        except TimeoutError as error:
            out_of_time = left_s <= self._connect_s
            raise (failures.no_time() if out_of_time else self._unreachable()) from error
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            raise
        except (OSError, RuntimeError, UnicodeError) as error:  # uvloop has RuntimeErrors
            raise self._unreachable() from error
        if self._all_closed is not None:  # we are being stopped
            connection.close()  # not in `connection_opened`: there uvloop loses track of the socket
            raise self._unreachable()
        return connection

    def _unreachable(self) -> Unreachable:
        return failures.unreachable(proxied=self._proxy is not None)

    async def _dial(self, connection: Connection) -> None:
        if self._to_remember is not None and self._to_remember.remember():
            self._to_remember = None
        try:
            transport, _ = await connect(
                lambda: connection, self._host, self._port, self._tls, self._proxy, self._addresses
            )
        except BaseException:
            connection.close()
            self.connection_closed(
                connection
            )  # uvloop may not call connection_lost when it was just made
            raise
        ssl_object = transport.get_extra_info("ssl_object")
        if isinstance(ssl_object, ResumableSSLObject) and not ssl_object.session_reused:
            self._to_remember = ssl_object
