"""Connections through a CONNECT proxy: opened as RFC 9110 says, and otherwise as those without."""

import asyncio
import gc
import socket
import ssl
import time
import weakref
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest
import trustme

from gateway.core.errors import Broken, TimedOut, Unreachable
from gateway.drivers.upstream.http_pool import Pool, tls_context
from gateway.drivers.upstream.http_tunnel import (
    MAX_HEAD,
    Proxy,
    ProxyReply,
    connect,
    dial_blocking,
)
from gateway.drivers.upstream.short_http import send_request
from tests.drivers.connect_proxy import ConnectProxy, Instead, connect_proxy
from tests.drivers.scripted import (
    CHUNKED,
    SOON_S,
    Peer,
    Play,
    Scripted,
    chunk,
    flow,
    pool_to,
    request,
    scripted,
    sized,
    until,
    whole,
)  # fmt: skip
from tests.drivers.tls_server import server
from tests.in_time import in_time

pytestmark = pytest.mark.usefixtures("who_leaves_has_not_worked")

HOST: Final = "models.example.invalid"
"""Nobody but the proxy knows it."""
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED: Final = "the proxy made no connection to the provider: it answered {}"
WANTS: Final = "the proxy wants a user and a password, or others than these: it answered 407"
BROKE: Final = "the proxy broke off before it connected, or what answers there is none"
HINDERED: Final = "the provider could not be connected to through its proxy"


# What is asked, and what is answered ---------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "there", "asks"),
    [
        ("http://p:1", ("h", 443), b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n"),
        ("http://p:1", ("::1", 80), b"CONNECT [::1]:80 HTTP/1.1\r\nhost: [::1]:80\r\n\r\n"),
        (
            "http://user:p%40ss%2Fw@p:1",
            ("h", 443),
            b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\nproxy-authorization: Basic "
            + b64encode(b"user:p@ss/w")
            + b"\r\n\r\n",
        ),
        (
            "http://user@p:1",
            ("h", 443),
            b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\nproxy-authorization: Basic "
            + b64encode(b"user:")
            + b"\r\n\r\n",
        ),
    ],
)
def test_what_a_proxy_is_asked(url: str, there: tuple[str, int], asks: bytes) -> None:
    assert Proxy(url).request(*there) == asks


def test_a_proxy_does_not_show_its_password() -> None:
    assert "canary" not in repr(Proxy("http://user:canary@p:1"))


def to_the_end(sent: bytes, size: int) -> None:
    """Heard until who sent it has left."""
    reply = ProxyReply()
    for at in range(0, len(sent), size):
        assert not reply.feed(sent[at : at + size])
    reply.feed(b"")


LONG: Final = b"x-why: " + b"because " * 12_500 + b"\r\n\r\n"
OPENS: Final = {
    "200": ESTABLISHED,
    "no reason": b"HTTP/1.1 200\r\n\r\n",
    "old": b"HTTP/1.0 200 OK\r\n\r\n",
    "another 2xx": b"HTTP/1.1 204 No Content\r\n\r\n",
    "with a length, which means nothing here": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
}
OPENS_NOT: Final = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\n", WANTS),
    "403 with a page": (
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\n<html>...",
        REFUSED.format(403),
    ),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", REFUSED.format(502)),
    "302": (b"HTTP/1.1 302 Found\r\nlocation: http://login/\r\n\r\n", REFUSED.format(302)),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", REFUSED.format(101)),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", BROKE),
    "another HTTP": (b"HTTP/2 200\r\n\r\n", BROKE),
    "no status": (b"HTTP/1.1 2000 OK\r\n\r\n", BROKE),
    "nothing": (b"", BROKE),
    "the end within the line": (b"HTTP/1.1 20", BROKE),
    "the end within the head": (b"HTTP/1.1 200 OK\r\nvia: 1", BROKE),
    "a refusal broken off": (b"HTTP/1.1 503 No\r\nvia: 1", REFUSED.format(503)),
    "100 kB of head": (b"HTTP/1.1 200 OK\r\n" + LONG, BROKE),
    "100 kB of no line": (b"HTTP/1.1 200 " + b"x" * 100_000, BROKE),
    "bytes beyond": (ESTABLISHED + b"\x15\x03\x03", BROKE),
    "one byte beyond": (ESTABLISHED + b"H", BROKE),
}


def heard(sent: bytes, size: int) -> list[bool]:
    """Whether it is open, piece by piece of this size."""
    reply = ProxyReply()
    return [reply.feed(sent[at : at + size]) for at in range(0, len(sent), size)]


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("sent", OPENS.values(), ids=OPENS)
def test_what_opens_a_tunnel(sent: bytes, size: int) -> None:
    *before, last = heard(sent, size)
    assert last
    assert not any(before), "open before its head was over"


@pytest.mark.parametrize("size", [7, 4096])
@pytest.mark.parametrize(("sent", "says"), OPENS_NOT.values(), ids=OPENS_NOT)
def test_what_does_not(sent: bytes, says: str, size: int) -> None:
    if sent.startswith(ESTABLISHED):
        size = len(sent)  # in a piece of its own it is the peer's to be refused
    with pytest.raises(Unreachable) as caught:
        to_the_end(sent, size)
    assert str(caught.value) == says


def test_a_head_is_not_gathered_for_ever() -> None:
    reply = ProxyReply()
    line = b"HTTP/1.1 200 OK\r\n"
    assert not reply.feed(line)
    for _ in range(MAX_HEAD - len(line)):
        assert not reply.feed(b"x")
    with pytest.raises(Unreachable):
        reply.feed(b"x")


# Through one ---------------------------------------------------------------------------------


@dataclass
class World:
    provider: Scripted
    proxy: ConnectProxy
    pool: Pool


@asynccontextmanager
async def world(
    play: Play,
    tls: ssl.SSLContext | None = None,
    trusts: ssl.SSLContext | None = None,
    *,
    instead: Instead | None = None,
    says: bytes = ESTABLISHED,
    connect_s: float = SOON_S,
) -> AsyncIterator[World]:
    async with (
        scripted(play, tls) as provider,
        connect_proxy(provider.port, says, instead) as proxy,
        pool_to(
            443, trusts, host=HOST, connect_s=connect_s, proxy=Proxy(proxy.url)
        ) as pool,
    ):  # fmt: skip
        yield World(provider, proxy, pool)


async def told(peer: Peer) -> None:
    """Every request is answered with the number of its connection."""
    while True:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))


async def test_one_tunnel_serves_many_and_the_name_is_verified(
    authority: trustme.CA, cafile: str
) -> None:
    named: list[str | None] = []
    context = server(authority, HOST)
    context.sni_callback = lambda sock, name, context: named.append(name)
    async with world(told, context, tls_context(cafile)) as all_:
        assert [await whole(all_.pool) for _ in range(5)] == [b"0"] * 5
        assert all_.pool.open == 1
        assert len(all_.proxy.asked) == 1
        assert all_.proxy.asked[0].startswith(b"CONNECT %b:443 HTTP/1.1\r\n" % HOST.encode())
    assert named == [HOST]


async def test_a_session_of_tls_is_taken_up_again_in_another_tunnel(
    authority: trustme.CA, cafile: str
) -> None:
    async def once(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number, "connection: close"))

    async with world(once, server(authority, HOST), tls_context(cafile)) as all_:
        assert [await whole(all_.pool) for _ in range(3)] == [b"0", b"1", b"2"]
        spoken = [peer.writer.get_extra_info("ssl_object") for peer in all_.provider.peers]
        assert [each.session_reused for each in spoken] == [False, True, True]
        assert len(all_.proxy.asked) == 3


async def test_plain_http_goes_through_a_tunnel_too() -> None:
    heard_: list[bytes] = []

    async def play(peer: Peer) -> None:
        while True:
            heard_.append(await peer.hear())
            peer.say(sized(b"ok"))

    async with world(play) as all_:
        assert [await whole(all_.pool) for _ in range(3)] == [b"ok"] * 3
        assert len(all_.proxy.asked) == 1
    assert heard_ == [request()] * 3


async def test_connections_side_by_side_have_tunnels_of_their_own() -> None:
    async with world(told) as all_:
        deadline = time.monotonic() + SOON_S
        taken = [await all_.pool.ask(request(), deadline, whole=True) for _ in range(3)]
        assert [each.take() for each in taken] == [b"0", b"1", b"2"]
        for each in taken:
            all_.pool.release(each)
        assert [await whole(all_.pool) for _ in range(3)] == [b"2"] * 3
        assert len(all_.proxy.asked) == 3


async def test_large_answers_and_slow_readers(authority: trustme.CA, cafile: str) -> None:
    block = bytes(range(256)) * 4096

    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED)
        for _ in range(20):
            peer.say(chunk(block))
            await peer.writer.drain()
        peer.say(chunk(b""))
        await peer.end()

    async with world(play, server(authority, HOST), tls_context(cafile)) as all_:
        answer, found = await flow(all_.pool)
        assert b"".join(found) == block * 20
        answer.close()


async def test_the_proxys_certificate_is_not_enough(authority: trustme.CA, cafile: str) -> None:
    context = server(authority, "127.0.0.1", "localhost")
    async with world(told, context, tls_context(cafile)) as all_:
        with pytest.raises(Unreachable, match=HINDERED):
            await whole(all_.pool)


async def test_a_stale_tunnel_is_replaced_unseen() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))
        if peer.number:
            await peer.end()
        else:
            await peer.reader.readexactly(1)  # the next request crosses with our leaving

    async with world(play) as all_:
        assert [await whole(all_.pool) for _ in range(2)] == [b"0", b"1"]
        assert len(all_.proxy.asked) == 2


async def test_an_idle_tunnel_that_the_proxy_closes() -> None:
    async with world(told) as all_:
        assert await whole(all_.pool) == b"0"
        all_.proxy.cut()
        await until(lambda: all_.pool.open == 0)
        assert await whole(all_.pool) == b"1"


async def test_a_tunnel_that_is_cut_within_an_answer(authority: trustme.CA, cafile: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED + chunk(b"some"))
        await peer.end()

    async with world(play, server(authority, HOST), tls_context(cafile)) as all_:
        deadline = time.monotonic() + SOON_S
        answer = await all_.pool.ask(request(), deadline, whole=False)
        assert answer.take() == b"some"
        all_.proxy.cut()
        with pytest.raises(Broken):
            await answer.wait(deadline)


# What goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("sent", "says"), OPENS_NOT.values(), ids=OPENS_NOT)
async def test_a_proxy_that_does_not_connect(
    authority: trustme.CA, cafile: str, tls: bool, sent: bytes, says: str
) -> None:
    async def instead(peer: Peer) -> None:
        peer.say(sent)

    context = server(authority, HOST) if tls else None
    async with world(told, context, tls_context(cafile) if tls else None, instead=instead) as all_:
        with pytest.raises(Unreachable) as caught:
            await whole(all_.pool)
        assert str(caught.value) == says
        assert not all_.provider.peers
        assert all_.pool.open == 0


async def test_one_that_has_said_enough_is_left() -> None:
    """It goes on for ever, and is not heard to the end."""

    async def instead(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.say(b"x-more: and so on\r\n" * 100)
            await peer.writer.drain()

    async with world(told, instead=instead) as all_:
        with pytest.raises(Unreachable, match=BROKE):
            await in_time(SOON_S, whole(all_.pool))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["at once", "in the head"])
@pytest.mark.parametrize(
    ("connect_s", "within_s", "expected"), [(0.1, 5.0, Unreachable), (5.0, 0.1, TimedOut)]
)
async def test_one_that_hangs(
    said: bytes, connect_s: float, within_s: float, expected: type[Exception]
) -> None:
    async def instead(peer: Peer) -> None:
        peer.say(said)
        await peer.end()

    async with world(told, instead=instead, connect_s=connect_s) as all_:
        began = time.monotonic()
        with pytest.raises(expected):
            await in_time(SOON_S / 2, whole(all_.pool, within_s))
        assert time.monotonic() - began > 0.09
        await all_.proxy.all_left()


async def test_a_slow_proxy_has_no_more_time_than_any_connection() -> None:
    """Byte by byte, each well within the time."""

    async def instead(peer: Peer) -> None:
        pause = asyncio.Event()
        for byte in ESTABLISHED:
            peer.say(bytes([byte]))
            asyncio.get_running_loop().call_later(0.02, pause.set)
            await pause.wait()
            pause.clear()
        await peer.end()

    async with world(told, instead=instead, connect_s=0.2) as all_:
        with pytest.raises(Unreachable, match=HINDERED):
            await in_time(SOON_S, whole(all_.pool))


async def test_a_handshake_that_hangs_in_the_tunnel(cafile: str) -> None:
    async with world(Peer.end, None, tls_context(cafile), connect_s=0.1) as all_:
        with pytest.raises(Unreachable, match=HINDERED):
            await in_time(SOON_S, whole(all_.pool))
        await all_.provider.all_left()


async def test_a_cancelled_call_hangs_up() -> None:
    async with world(told, instead=Peer.end) as all_:
        call = asyncio.create_task(whole(all_.pool))
        await until(lambda: bool(all_.proxy.asked))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await all_.proxy.all_left()
        assert all_.pool.open == 0


async def test_who_leaves_as_a_proxy_is_known_by_its_tls_is_no_bug(
    authority: trustme.CA, cafile: str
) -> None:
    """That it is not asked any more is told to nobody, and not logged as an error of ours."""
    logged: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, met: logged.append(met["message"]))
    calls: list[asyncio.Task[object]] = []
    there: weakref.WeakSet[ssl.SSLObject] = weakref.WeakSet()

    class Leaving(ssl.SSLObject):
        def do_handshake(self) -> None:
            there.add(self)
            super().do_handshake()
            calls.pop().cancel()

    tls = tls_context(cafile)
    tls.sslobject_class = Leaving
    async with connect_proxy(instead=Peer.end, tls=server(authority, "127.0.0.1")) as proxy:
        way = Proxy(proxy.url, tls)
        calls.append(asyncio.create_task(connect(asyncio.Protocol, HOST, 443, tls, way)))
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
    await until(lambda: gc.collect() >= 0 and not there)
    assert not logged


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
async def test_no_proxy_there(host: str) -> None:
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        proxy = Proxy(f"http://{host}:{held.getsockname()[1]}")
        async with pool_to(443, host=HOST, proxy=proxy) as pool:
            with pytest.raises(Unreachable, match=HINDERED):
                await whole(pool)


async def test_every_address_of_a_proxys_name_is_tried() -> None:
    """Its first is ::1 on most machines, where nobody listens."""
    async with scripted(told) as provider, connect_proxy(provider.port) as proxy:
        named = Proxy(f"http://localhost:{proxy.port}")
        async with pool_to(80, host=HOST, proxy=named) as pool:
            assert await whole(pool) == b"0"


# In a thread ---------------------------------------------------------------------------------


async def test_those_who_wait_in_a_thread_have_tunnels_too() -> None:
    async with scripted(told) as provider, connect_proxy(provider.port) as proxy:

        def asks() -> bytes:
            with dial_blocking(HOST, 80, Proxy(proxy.url), SOON_S) as sock:
                sock.sendall(request())
                return sock.recv(4096)

        assert await asyncio.to_thread(asks) == sized(b"0")


def page(peer: Peer) -> Awaitable[object]:
    """More than fits into one piece, and its end is the connection's."""
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 300_000

    async def play() -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.say(answer)

    return play()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("tls", [False, True], ids=["to http", "to https"])
async def test_they_speak_tls_to_proxies_and_through_them(
    authority: trustme.CA, cafile: str, monkeypatch: pytest.MonkeyPatch, secure: bool, tls: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", cafile)
    shows = server(authority, HOST, "127.0.0.1")
    async with (
        scripted(page, shows if tls else None) as provider,
        connect_proxy(provider.port, tls=shows if secure else None) as proxy,
    ):
        url = f"http{'s' if tls else ''}://{HOST}/page"
        way = Proxy(proxy.url)
        answer = await asyncio.to_thread(lambda: send_request(url, timeout_s=SOON_S, proxy=way))
        assert (answer.status, len(answer.body)) == (200, 300_000)
        assert proxy.asked[0].startswith(b"CONNECT %b:" % HOST.encode())


@pytest.mark.parametrize("names", [("127.0.0.1",), (HOST,)], ids=["the provider", "the proxy"])
async def test_and_verify_both(
    authority: trustme.CA, cafile: str, monkeypatch: pytest.MonkeyPatch, names: tuple[str]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", cafile)
    shows = server(authority, *names)
    async with (
        scripted(page, shows) as provider,
        connect_proxy(provider.port, tls=shows) as proxy,
    ):
        way = Proxy(proxy.url)
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(
                lambda: send_request(f"https://{HOST}/", timeout_s=SOON_S, proxy=way)
            )


async def test_and_are_refused_in_the_same_words() -> None:
    async def instead(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 407 No\r\n\r\n")

    async with connect_proxy(instead=instead) as proxy:
        with pytest.raises(Unreachable, match=WANTS):
            await asyncio.to_thread(dial_blocking, HOST, 80, Proxy(proxy.url), SOON_S)
