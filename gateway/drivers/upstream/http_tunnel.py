"""Ways to a provider: straight, or through a CONNECT proxy that the configuration names.

Through a tunnel (RFC 9110, 9.3.6) everything is between us and the provider: TLS and its names,
what is kept open, how long is waited. So a plain `http` provider has one, too: no proxy changes
its requests, holds its streams back or answers in its place, and no answer of a proxy is taken for
one of the provider. Only the proxy's name is looked up here, the provider's is not.
"""

import asyncio
import re
import socket
from base64 import b64encode
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from aiohappyeyeballs import start_connection

from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.dns_cache import Addresses

MAX_HEAD: Final = 16 * 1024
"""Bytes that a proxy may say before the tunnel is open."""
_PIECE: Final = 4096
_NEXT_ADDRESS_S: Final = 0.25
"""How long one address of a name may hang before the next is tried beside it (RFC 8305)."""
_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


class Proxy:
    """Where it is, and the asking. Its URL is a checked one: `http://user:password@host:port`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or 80
        self._proof = b""
        if parts.username is not None:
            who = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
            self._proof = b"proxy-authorization: Basic %b\r\n" % b64encode(b"%b:%b" % who)

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


async def dial(
    host: str, port: int, proxy: Proxy | None = None, known: Addresses | None = None
) -> socket.socket:
    """A connection on which the host hears us. Raises OSError or RuntimeError (uvloop's), and
    UnicodeError for a name that is none; of a proxy, Unreachable. Set a limit to its time.
    """
    sock = await _connected(known or addresses(host, port, proxy))
    if proxy is None:
        return sock
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, proxy.request(host, port))
        reply = Reply()
        while not reply.feed(await loop.sock_recv(sock, _PIECE)):
            pass
    except BaseException:
        sock.close()
        raise
    return sock


def dial_blocking(host: str, port: int, proxy: Proxy, timeout_s: float) -> socket.socket:
    """The same for those who wait in a thread, as long for each piece. Raises what `dial` does."""
    sock = socket.create_connection((proxy.host, proxy.port), timeout_s)
    try:
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
