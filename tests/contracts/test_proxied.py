"""What every way of calling providers promises of the proxy on the way there."""

import asyncio
import logging
import socket
import ssl
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest
import trustme

from gateway.core.catalog import Deployment, Model
from gateway.core.errors import Broken, Reset, TimedOut, Unreachable
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate
from gateway.core.ports import Upstream
from gateway.core.snapshot import Provider, Secret, Timeouts
from tests.contracts.test_upstream import ANSWER, EVENT, LAST, UPSTREAMS, asked, both
from tests.drivers.connect_proxy import ConnectProxy, Instead, connect_proxy
from tests.drivers.scripted import SOON_S, Peer, Play, chunk, scripted, sized
from tests.in_time import in_time

HOST: Final = "models.example.invalid"
"""Nobody but the proxy knows it."""
USER, PASSWORD = "egress-canary", "p@ss/word-canary"
WRITTEN: Final = "egress-canary:p%40ss%2Fword-canary@"
PROVEN: Final = b"proxy-authorization: Basic " + b64encode(f"{USER}:{PASSWORD}".encode())
SECRETS: Final = (USER, "word-canary", PROVEN.split()[-1].decode())
FLOWING: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
FLOW: Final = FLOWING + b"transfer-encoding: chunked\r\n\r\n"
WANTS: Final = "the proxy wants a user and a password, or others than these: it answered 407"
BROKE: Final = "the proxy broke off before it connected, or what answers there is none"


def candidate(provider: str) -> Candidate:
    here = Deployment(f"m@{provider}", provider, "m")
    return Candidate(Model("m", (here,), FREE, 9, 9, 9), here, "none", 9, Nanos(0))


async def told(peer: Peer) -> None:
    """A whole answer to who wants one, else a flow."""
    while True:
        head = await peer.hear()
        flows = b"accept: text/event-stream" in head.lower()
        peer.say(FLOW + chunk(EVENT + LAST) + chunk(b"") if flows else sized(ANSWER))


@dataclass
class Bench:
    upstream: Upstream

    async def get(self, way: str, provider: str = "p", timeout_s: float = SOON_S) -> str:
        if way == "send":
            answer = await self.upstream.send(candidate(provider), asked(), timeout_s=timeout_s)
            return answer.first.text or ""
        flow = self.upstream.stream(candidate(provider), asked(), timeout_s=timeout_s)
        async with aclosing(flow) as deltas:
            heard = [some async for some in deltas]
        return "".join(c.text for some in heard for delta in some for c in delta.choices)


class Makes:
    """Providers, proxies and the client that is on trial; all closed at the end."""

    def __init__(
        self, client: str, stack: AsyncExitStack, tls: ssl.SSLContext, ca: str, *, secure: bool
    ) -> None:
        """`secure`: the proxies are spoken to by TLS."""
        self._client, self._stack, self._tls, self._ca = client, stack, tls, ca
        self._secure = secure

    async def provider(self, play: Play = told, *, tls: bool = True) -> int:
        there = scripted(play, self._tls if tls else None)
        return (await self._stack.enter_async_context(there)).port

    async def proxy(self, to: int = 0, instead: Instead | None = None) -> ConnectProxy:
        there = connect_proxy(to, instead=instead, tls=self._tls if self._secure else None)
        return await self._stack.enter_async_context(there)

    async def bench(
        self, providers: Mapping[str, str | None], url: str = f"https://{HOST}/v1", **more: float
    ) -> Bench:
        """`providers`: the URL of each one's proxy, by name."""
        timeouts = Timeouts(**{"connect_s": SOON_S, "idle_s": SOON_S} | more)
        made = {
            name: Provider(
                name, "openai", url, Secret("key"), proxy=Secret(proxy) if proxy else None
            )
            for name, proxy in providers.items()
        }
        client = UPSTREAMS[self._client](made, timeouts, cafile=self._ca)
        return Bench(await self._stack.enter_async_context(client))


@pytest.fixture(params=product(UPSTREAMS, (False, True)), ids=lambda p: f"{p[0]}{'_tls' * p[1]}")
async def makes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Makes]:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "127.0.0.1", "localhost", "egress.invalid").configure_cert(context)
    async with AsyncExitStack() as stack:
        client, secure = request.param
        yield Makes(client, stack, context, str(path), secure=secure)


# What works ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
async def test_one_tunnel_for_many_calls(makes: Makes, tls: bool, way: str) -> None:
    heads: list[bytes] = []

    async def play(peer: Peer) -> None:
        await told(noting(peer, heads))

    proxy = await makes.proxy(await makes.provider(play, tls=tls))
    url = f"{'https' if tls else 'http'}://{HOST}/v1"
    bench = await makes.bench({"p": proxy.url}, url)
    for _ in range(5):
        assert await bench.get(way) == "hello"
    assert len(proxy.asked) == 1
    port = b"443" if tls else b"80"
    first, *lines = proxy.asked[0].lower().split(b"\r\n")
    assert first == b"connect %b:%b http/1.1" % (HOST.encode(), port)
    assert [line for line in lines if line] == [b"host: %b:%b" % (HOST.encode(), port)]
    assert len(heads) == 5
    for head in heads:
        assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n"), "no URL as a target"
        assert b"proxy" not in head.lower()


def noting(peer: Peer, heads: list[bytes]) -> Peer:
    """The same, which notes what it hears."""

    class Noting(Peer):
        async def hear(self) -> bytes:
            heads.append(await super().hear())
            return heads[-1]

    return Noting(peer.number, peer.reader, peer.writer)


@both
async def test_user_and_password_are_for_the_proxy_alone(makes: Makes, way: str) -> None:
    heads: list[bytes] = []

    async def play(peer: Peer) -> None:
        await told(noting(peer, heads))

    proxy = await makes.proxy(await makes.provider(play))
    bench = await makes.bench({"p": proxy.url.replace("//", f"//{WRITTEN}")})
    assert await bench.get(way) == "hello"
    assert PROVEN in proxy.asked[0].split(b"\r\n")
    for secret in SECRETS:
        assert secret.encode() not in heads[0]


@both
async def test_each_provider_goes_its_own_way(makes: Makes, way: str) -> None:
    """Also where they are at one place: no connection is of both."""
    there = await makes.provider(tls=False)
    one, two = await makes.proxy(there), await makes.proxy(there)
    providers = {"a": one.url, "b": two.url, "c": one.url, "d": None}
    bench = await makes.bench(providers, f"http://127.0.0.1:{there}/v1")
    for name, asked_ in (("a", (1, 0)), ("b", (1, 1)), ("c", (1, 1)), ("d", (1, 1)), ("a", (1, 1))):
        assert await bench.get(way, name) == "hello"
        assert (len(one.asked), len(two.asked)) == asked_, f"after {name}"


@both
async def test_the_proxys_name_alone_is_looked_up(
    makes: Makes, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once, however many tunnels there are; uvloop's lookups cannot be heard, so there it is
    only seen that the provider's, which nobody knows, is not needed.
    """
    loop = asyncio.get_running_loop()
    asked_for: list[object] = []
    hears = isinstance(loop, asyncio.BaseEventLoop)
    name = "egress.invalid" if hears else "localhost"

    async def heard(host: object, port: int, **_: object) -> list[object]:
        asked_for.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    proxy = await makes.proxy(await makes.provider())
    if hears:
        monkeypatch.setattr(loop, "getaddrinfo", heard)
    bench = await makes.bench({"p": proxy.url.replace("127.0.0.1", name)})
    assert await asyncio.gather(*(bench.get(way) for _ in range(3))) == ["hello"] * 3
    assert len(proxy.asked) == 3
    assert asked_for == (["egress.invalid"] if hears else [])


@both
async def test_a_proxy_of_the_environment_is_not_asked(
    makes: Makes, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await makes.provider(tls=False)
    stray = await makes.proxy(there)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, stray.url)
        monkeypatch.setenv(name.upper(), stray.url)
    bench = await makes.bench({"p": None}, f"http://127.0.0.1:{there}/v1")
    assert await bench.get(way) == "hello"
    assert not stray.asked


# What goes wrong -----------------------------------------------------------------------------

LONG: Final = b"x-why: " + b"because " * 12_500 + b"\r\n\r\n"
REFUSALS: Final = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", WANTS),
    "403": (
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\nhidden",
        "the proxy made no connection to the provider: it answered 403",
    ),
    "502": (
        b"HTTP/1.1 502 hidden\r\n\r\n",
        "the proxy made no connection to the provider: it answered 502",
    ),
    "leaves at once": (b"", BROKE),
    "leaves in its head": (b"HTTP/1.1 200 OK\r\nvia: hid", BROKE),
    "100 kB of head": (b"HTTP/1.1 200 OK\r\n" + LONG, BROKE),
    "bytes beyond the head": (b"HTTP/1.1 200 OK\r\n\r\n" + sized(ANSWER), BROKE),
    "no proxy": (b"SSH-2.0-OpenSSH_9.2\r\n", BROKE),
}


@both
@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
@pytest.mark.parametrize(("sent", "says"), REFUSALS.values(), ids=REFUSALS)
async def test_a_proxy_that_does_not_connect(
    makes: Makes, tls: bool, way: str, sent: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def instead(peer: Peer) -> None:
        peer.say(sent)

    proxy = await makes.proxy(instead=instead)
    url = f"{'https' if tls else 'http'}://{HOST}/v1"
    bench = await makes.bench({"p": proxy.url.replace("//", f"//{WRITTEN}")}, url)
    with caplog.at_level(logging.DEBUG), pytest.raises(Unreachable) as caught:
        await in_time(SOON_S, bench.get(way))
    assert str(caught.value) == says
    assert caught.value.bills == "nothing"
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    for secret in (*SECRETS, "hidden"):
        assert secret not in shown
    assert len(proxy.asked) == 1, "asked again"


@both
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["at once", "in its head"])
@pytest.mark.parametrize(
    ("connect_s", "within_s", "kind"), [(0.1, SOON_S, Unreachable), (SOON_S, 0.1, TimedOut)]
)
async def test_a_proxy_that_hangs(
    makes: Makes, way: str, said: bytes, connect_s: float, within_s: float, kind: type[Exception]
) -> None:
    async def instead(peer: Peer) -> None:
        peer.say(said)
        await peer.end()

    proxy = await makes.proxy(instead=instead)
    bench = await makes.bench({"p": proxy.url}, connect_s=connect_s)
    with pytest.raises(kind):
        await in_time(SOON_S / 2, bench.get(way, timeout_s=within_s))
    await proxy.all_left()


@both
async def test_a_cancelled_call_hangs_up(makes: Makes, way: str) -> None:
    reached = asyncio.Event()

    async def instead(peer: Peer) -> None:
        reached.set()
        await peer.end()

    proxy = await makes.proxy(instead=instead)
    bench = await makes.bench({"p": proxy.url})
    call = asyncio.create_task(bench.get(way))
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await proxy.all_left()


@both
@pytest.mark.parametrize(
    ("connect_s", "within_s", "kind"), [(0.3, SOON_S, Unreachable), (SOON_S, 0.3, TimedOut)]
)
async def test_a_handshake_that_hangs_behind_it(
    makes: Makes, way: str, connect_s: float, within_s: float, kind: type[Exception]
) -> None:
    proxy = await makes.proxy(await makes.provider(Peer.end, tls=False))
    bench = await makes.bench({"p": proxy.url}, connect_s=connect_s)
    with pytest.raises(kind):
        await in_time(SOON_S / 2, bench.get(way, timeout_s=within_s))
    await proxy.all_left()


@both
async def test_the_provider_is_verified_through_it(makes: Makes, way: str) -> None:
    proxy = await makes.proxy(await makes.provider())
    bench = await makes.bench({"p": proxy.url}, "https://other.example.invalid/v1")
    with pytest.raises(Unreachable, match="through its proxy"):
        await bench.get(way)


@both
async def test_a_proxy_that_cannot_prove_who_it_is_learns_nothing(makes: Makes, way: str) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    async with connect_proxy(await makes.provider(), tls=stranger) as proxy:
        bench = await makes.bench({"p": proxy.url.replace("//", f"//{WRITTEN}")})
        with pytest.raises(Unreachable, match="through its proxy"):
            await bench.get(way)
        assert not proxy.asked


@both
async def test_a_proxy_that_speaks_no_tls(makes: Makes, way: str) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        bench = await makes.bench({"p": f"https://{WRITTEN}127.0.0.1:{port}"})
        with pytest.raises(Unreachable, match="through its proxy"):
            await bench.get(way)


async def test_a_tunnel_that_is_cut_within_a_stream(makes: Makes) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(FLOW + chunk(EVENT))
        await peer.end()

    proxy = await makes.proxy(await makes.provider(play))
    bench = await makes.bench({"p": proxy.url})
    flow = bench.upstream.stream(candidate("p"), asked(), timeout_s=SOON_S)
    async with aclosing(flow) as deltas:
        await anext(deltas)
        proxy.cut()
        with pytest.raises(Broken):
            await anext(deltas)


async def test_a_tunnel_that_is_cut_before_an_answer(makes: Makes) -> None:
    heard = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.hear()
        heard.set()
        await peer.end()

    proxy = await makes.proxy(await makes.provider(play))
    bench = await makes.bench({"p": proxy.url})
    call = asyncio.create_task(bench.get("send"))
    await heard.wait()
    proxy.cut()
    with pytest.raises(Reset):
        await call


@both
async def test_an_idle_tunnel_that_is_cut_is_made_anew(makes: Makes, way: str) -> None:
    proxy = await makes.proxy(await makes.provider())
    bench = await makes.bench({"p": proxy.url})
    assert await bench.get(way) == "hello"
    proxy.cut()
    await proxy.all_left()
    for _ in range(5):  # turns of the loop, until the client has seen it
        await asyncio.sleep(0)
    assert await bench.get(way) == "hello"
    assert len(proxy.asked) == 2
