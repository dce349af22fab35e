"""Ways to a provider: straight, or through a CONNECT proxy that the configuration names.

Through a tunnel (RFC 9110, 9.3.6) everything is end to end between us and the provider: TLS, host
names, keep-alive, timeouts. So a plain `http` provider gets one, too: the proxy cannot change its
requests, buffer its streams or answer in its place. Only the proxy's name is resolved here, the
proxy resolves the provider's. A proxy at https is verified as a provider is; TLS to a provider
then runs inside the TLS to the proxy.
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
"""Bytes that a proxy may send before the tunnel is open."""
_PIECE: Final = 4096
_HAPPY_EYEBALLS_S: Final = 0.25
"""How long one address of a name may hang before the next is tried beside it (RFC 8305)."""
_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


P = TypeVar("P", bound=asyncio.Protocol)


class Proxy:
    """A proxy, by its validated URL: `http://user:password@host:port`.

    One at `https` is connected to with `tls`, or with the system's CAs.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or 80
        self._secure = parts.scheme == "https"
        self._tls = tls
        self._auth_line = b""
        if parts.username is not None:
            userinfo = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
            self._auth_line = b"proxy-authorization: Basic %b\r\n" % b64encode(b"%b:%b" % userinfo)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """None for a proxy at plain http."""
        if self._secure and self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls if self._secure else None

    def request(self, host: str, port: int) -> bytes:
        """The CONNECT request for a tunnel to this host."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        target = authority.encode("ascii")
        return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, self._auth_line)


class ProxyReply:
    """Parses a proxy's answer to CONNECT, fed in pieces."""

    def __init__(self) -> None:
        self._head = bytearray()

    def feed(self, piece: bytes) -> bool:
        """Whether the tunnel is open; b"" is the end of the connection. Raises Unreachable."""
        head = self._head
        head += piece
        status = _STATUS.match(head)
        if status is None and (not piece or b"\n" in head or len(head) > MAX_HEAD):
            raise failures.proxy_broke_off()
        if status is not None and status[1][:1] != b"2":  # its page is not waited for
            raise failures.proxy_refused(int(status[1]))
        _, ended, excess = head.partition(_END)
        # Bytes behind the head are an error: the provider speaks only after our request.
        if not piece or len(head) > MAX_HEAD or excess:
            raise failures.proxy_broke_off()
        return bool(ended)


def addresses(host: str, port: int, proxy: Proxy | None = None) -> Addresses:
    """The DNS cache of the proxy, or of the host itself: keep it for all calls of `connect`."""
    return Addresses(host, port) if proxy is None else Addresses(proxy.host, proxy.port)


async def connect(
    protocol_factory: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    proxy: Proxy | None = None,
    cache: Addresses | None = None,
) -> tuple[asyncio.Transport, P]:
    """A connection to the host, with TLS unless that is None. Raises OSError or RuntimeError
    (uvloop's), UnicodeError for an invalid name, and Unreachable for a proxy's failure. Has no
    timeout of its own.
    """
    sock = await _open_socket(cache or addresses(host, port, proxy))
    if proxy is not None and proxy.tls is not None:
        return await _connect_tls_in_tls(protocol_factory, host, port, tls, proxy, proxy.tls, sock)
    if proxy is not None:
        await _open_tunnel(sock, proxy.request(host, port))
    loop, name = asyncio.get_running_loop(), host if tls else None
    return await loop.create_connection(protocol_factory, sock=sock, ssl=tls, server_hostname=name)


async def _open_tunnel(sock: socket.socket, request: bytes) -> None:
    """Send the CONNECT request and wait until the tunnel is open."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, request)
        reply = ProxyReply()
        while not reply.feed(await loop.sock_recv(sock, _PIECE)):
            pass
    except BaseException:
        sock.close()
        raise


class _TunnelOpener(asyncio.Protocol):
    """Opens a tunnel at an https proxy, and stays the protocol until TLS is set up inside it:
    asyncio may call connection_lost on a protocol whose connection_made it never called.
    """

    def __init__(self, request: bytes) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self._request = request
        self._reply = ProxyReply()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self._transport.abort()  # unsolicited bytes
            return
        try:
            if self._reply.feed(data):
                self._transport.pause_reading()
                self.opened.set_result(None)
        except Unreachable as error:
            self.opened.set_exception(error)
            self.opened.exception()  # marks it as retrieved: nobody may be waiting any more

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.data_received(b"")


async def _connect_tls_in_tls(
    protocol_factory: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    proxy: Proxy,
    outer: ssl.SSLContext,
    sock: socket.socket,
) -> tuple[asyncio.Transport, P]:
    """Connect through an https proxy: TLS inside its TLS, or plain HTTP inside it."""
    loop = asyncio.get_running_loop()
    request = proxy.request(host, port)
    transport, opener = await loop.create_connection(
        lambda: _TunnelOpener(request), sock=sock, ssl=outer, server_hostname=proxy.host
    )
    channel: asyncio.Transport | None = transport
    try:
        await opener.opened
        if tls is not None:
            channel = await loop.start_tls(transport, opener, tls, server_hostname=host)
        if channel is None or channel.is_closing():
            raise ConnectionAbortedError
    except TypeError as error:  # asyncio's, before 3.11.8 and 3.12.2: TLS in TLS cannot fail there
        transport.abort()
        raise ConnectionAbortedError from error
    except BaseException:
        transport.abort()
        raise
    protocol = protocol_factory()
    channel.set_protocol(protocol)
    protocol.connection_made(channel)
    channel.resume_reading()
    return channel, protocol


def dial_blocking(host: str, port: int, proxy: Proxy, timeout_s: float) -> socket.socket:
    """A tunnel on a blocking socket; the timeout is for each read. Raises what `connect` does."""
    sock = socket.create_connection((proxy.host, proxy.port), timeout_s)
    try:
        if proxy.tls is not None:
            sock = proxy.tls.wrap_socket(sock, server_hostname=proxy.host)
        sock.sendall(proxy.request(host, port))
        reply = ProxyReply()
        while not reply.feed(sock.recv(_PIECE)):
            pass
    except BaseException:
        sock.close()
        raise
    return sock


async def _open_socket(cache: Addresses) -> socket.socket:
    found = await cache.find()
    try:
        return await start_connection(found, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1)
    except BaseException:  # also a timeout's cancellation
        cache.forget()
        raise
