"""Ways to a provider: straight, or through a CONNECT proxy that the configuration names.

Through a tunnel (RFC 9110, 9.3.6) everything is between us and the provider: TLS and its names,
what is kept open, how long is waited. So a plain `http` provider has one, too: no proxy changes
its requests, holds its streams back or answers in its place, and no answer of a proxy is taken for
one of the provider. Only the proxy's name is looked up here, the provider's is not. A proxy that is
spoken to by TLS is verified as a provider is, and what goes through it is in its TLS with its own.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import Final, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlsplit

from aiohappyeyeballs import start_connection

from gateway.core.errors import Unreachable
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.dns_cache import Addresses

MAX_HEAD: Final = 16 * 1024
"""Bytes that a proxy may say before the tunnel is open."""
_PIECE: Final = 4096
_NEXT_ADDRESS_S: Final = 0.25
"""How long one address of a name may hang before the next is tried beside it (RFC 8305)."""
_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


P = TypeVar("P", bound=asyncio.Protocol)


class Proxy:
    """Where it is, and the asking. Its URL is a checked one: `http://user:password@host:port`.

    One at `https` is spoken to by `tls`, or as the system's authorities say.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or 80
        self._secure = parts.scheme == "https"
        self._tls = tls
        self._proof = b""
        if parts.username is not None:
            who = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
            self._proof = b"proxy-authorization: Basic %b\r\n" % b64encode(b"%b:%b" % who)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """None where it is spoken to without."""
        if self._secure and self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls if self._secure else None

    def request(self, host: str, port: int) -> bytes:
        """What asks for a tunnel to there."""
        there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        named = there.encode("ascii")
        return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (named, named, self._proof)


class Reply:
    """What a proxy answers to that, fed in pieces."""

    def __init__(self) -> None:
        self._head = bytearray()

    def feed(self, piece: bytes) -> bool:
        """Whether the tunnel is open; b"" is the end of the connection. Raises Unreachable."""
        head = self._head
        head += piece
        said = _STATUS.match(head)
        if said is None and (not piece or b"\n" in head or len(head) > MAX_HEAD):
            raise failures.no_proxy()
        if said is not None and said[1][:1] != b"2":  # its page is not waited for
            raise failures.proxy_refused(int(said[1]))
        _, ended, beyond = head.partition(_END)
        # Who is at the other end has nothing to say yet.
        if not piece or len(head) > MAX_HEAD or beyond:
            raise failures.no_proxy()
        return bool(ended)


def addresses(host: str, port: int, proxy: Proxy | None = None) -> Addresses:
    """Of what is connected to on the way there: keep it for all that `dial` is asked for."""
    return Addresses(host, port) if proxy is None else Addresses(proxy.host, proxy.port)


async def connect(
    make: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    proxy: Proxy | None = None,
    known: Addresses | None = None,
) -> tuple[asyncio.Transport, P]:
    """A connection on which the host hears us, by TLS unless that is None. Raises OSError or
    RuntimeError (uvloop's), and UnicodeError for a name that is none; of a proxy, Unreachable. Set
    a limit to its time.
    """
    sock = await _connected(known or addresses(host, port, proxy))
    if proxy is not None and proxy.tls is not None:
        return await _within(make, host, port, tls, proxy, proxy.tls, sock)
    if proxy is not None:
        await _open_tunnel(sock, proxy.request(host, port))
    loop, name = asyncio.get_running_loop(), host if tls else None
    return await loop.create_connection(make, sock=sock, ssl=tls, server_hostname=name)


async def _open_tunnel(sock: socket.socket, request: bytes) -> None:
    """For a tunnel, which is open then."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, request)
        reply = Reply()
        while not reply.feed(await loop.sock_recv(sock, _PIECE)):
            pass
    except BaseException:
        sock.close()
        raise


class _Asking(asyncio.Protocol):
    """Asks the same of a proxy that is spoken to by TLS, and stays until TLS is made through it:
    asyncio tells who is there of the end of a connection that it was never told of.
    """

    def __init__(self, request: bytes) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self._request = request
        self._reply = Reply()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self._transport.abort()  # nothing was asked
            return
        try:
            if self._reply.feed(data):
                self._transport.pause_reading()
                self.opened.set_result(None)
        except Unreachable as error:
            self.opened.set_exception(error)
            self.opened.exception()  # nobody may be left to be told, which is no bug to be logged

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.data_received(b"")


async def _within(
    make: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    proxy: Proxy,
    outer: ssl.SSLContext,
    sock: socket.socket,
) -> tuple[asyncio.Transport, P]:
    """TLS in the proxy's TLS, or nothing in it."""
    loop = asyncio.get_running_loop()
    request = proxy.request(host, port)
    transport, asking = await loop.create_connection(
        lambda: _Asking(request), sock=sock, ssl=outer, server_hostname=proxy.host
    )
    way: asyncio.Transport | None = transport
    try:
        await asking.opened
        if tls is not None:
            way = await loop.start_tls(transport, asking, tls, server_hostname=host)
        if way is None or way.is_closing():
            raise ConnectionAbortedError
    except TypeError as error:  # asyncio's, before 3.11.8 and 3.12.2: TLS in TLS cannot fail there
        transport.abort()
        raise ConnectionAbortedError from error
    except BaseException:
        transport.abort()
        raise
    made = make()
    way.set_protocol(made)
    made.connection_made(way)
    way.resume_reading()
    return way, made


def dial_blocking(host: str, port: int, proxy: Proxy, timeout_s: float) -> socket.socket:
    """A tunnel for who waits in a thread, as long for each piece. Raises what `connect` does."""
    sock = socket.create_connection((proxy.host, proxy.port), timeout_s)
    try:
        if proxy.tls is not None:
            sock = proxy.tls.wrap_socket(sock, server_hostname=proxy.host)
        sock.sendall(proxy.request(host, port))
        reply = Reply()
        while not reply.feed(sock.recv(_PIECE)):
            pass
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(to: Addresses) -> socket.socket:
    found = await to.find()
    try:
        return await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1)
    except BaseException:  # a limit to its time among them
        to.forget()
        raise
