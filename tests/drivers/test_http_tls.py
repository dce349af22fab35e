"""TLS to providers: verified by name and authority, and never left half-open."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import trustme

from gateway.core.errors import Broken, TimedOut, Unreachable
from gateway.drivers.upstream.http_pool import tls_context
from tests.drivers.scripted import (
    CHUNKED,
    SOON_S,
    Peer,
    chunk,
    flow,
    pool_to,
    scripted,
    sized,
    until,
    whole,
)  # fmt: skip
from tests.drivers.tls_server import server
from tests.in_time import in_time

HOST: Final = "localhost"
UNSIZED: Final = b"HTTP/1.1 200 OK\r\n\r\n"


async def told(peer: Peer) -> None:
    while True:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))


async def test_one_connection_serves_many(authority: trustme.CA, cafile: str) -> None:
    asked: list[str | None] = []
    context = server(authority, HOST)
    context.sni_callback = lambda sock, name, context: asked.append(name)
    async with (
        scripted(told, context) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        assert [await whole(pool) for _ in range(5)] == [b"0"] * 5
        spoken = provider.peers[0].writer.get_extra_info("ssl_object")
        assert spoken.selected_alpn_protocol() == "http/1.1"
        assert spoken.version() in ("TLSv1.2", "TLSv1.3")
    assert asked == [HOST]


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

    async with (
        scripted(play, server(authority, HOST)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        answer, found = await flow(pool)
        assert b"".join(found) == block * 20
        answer.close()


@pytest.mark.parametrize("name", ["wrong.example", "127.0.0.1"])
async def test_a_certificate_for_another_name(
    authority: trustme.CA, cafile: str, name: str
) -> None:
    async with (
        scripted(told, server(authority, name)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        with pytest.raises(Unreachable):
            await whole(pool)


@pytest.mark.parametrize("trusts", [lambda: None, trustme.CA], ids=["ours", "another's"])
async def test_an_authority_nobody_knows(
    authority: trustme.CA, tmp_path: Path, trusts: Callable[[], trustme.CA | None]
) -> None:
    other = trusts()
    if other is not None:
        other.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = tls_context(str(tmp_path / "ca.pem") if other else None)
    async with (
        scripted(told, server(authority, HOST)) as provider,
        pool_to(provider.port, client, host=HOST) as pool,
    ):
        with pytest.raises(Unreachable):
            await whole(pool)


async def test_an_address_is_verified_too(authority: trustme.CA, cafile: str) -> None:
    async with (
        scripted(told, server(authority, "127.0.0.1")) as provider,
        pool_to(provider.port, tls_context(cafile)) as pool,
    ):
        assert await whole(pool) == b"0"


async def test_it_speaks_no_tls(cafile: str) -> None:
    async def play(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        scripted(play) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        with pytest.raises(Unreachable):
            await whole(pool)


@pytest.mark.parametrize(
    ("connect_s", "within_s", "expected"), [(0.1, 5.0, Unreachable), (5.0, 0.1, TimedOut)]
)
async def test_a_handshake_that_hangs(
    cafile: str, connect_s: float, within_s: float, expected: type[Exception]
) -> None:
    async with (
        scripted(Peer.end) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST, connect_s=connect_s) as pool,
    ):
        began = time.monotonic()
        with pytest.raises(expected):
            await in_time(SOON_S / 2, whole(pool, within_s))
        assert time.monotonic() - began > 0.09
        await provider.all_left()


async def test_a_cancelled_handshake_hangs_up(cafile: str) -> None:
    async with (
        scripted(Peer.end) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        call = asyncio.create_task(whole(pool))
        await until(lambda: bool(provider.peers))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await provider.all_left()
        assert pool.open == 0


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_an_idle_connection_that_is_closed(
    authority: trustme.CA, cafile: str, how: str
) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))
        await peer.writer.drain()
        await idle.wait()
        getattr(peer.writer.transport, how)()

    idle = asyncio.Event()
    async with (
        scripted(play, server(authority, HOST)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        assert await whole(pool) == b"0"
        idle.set()
        await until(lambda: pool.open == 0)
        assert await whole(pool) == b"1"


async def test_an_answer_until_the_end(authority: trustme.CA, cafile: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(UNSIZED + b"hello")

    async with (
        scripted(play, server(authority, HOST)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        assert await whole(pool) == b"hello"


async def test_an_answer_cut_by_its_length(authority: trustme.CA, cafile: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(b"hello")[:-1])

    async with (
        scripted(play, server(authority, HOST)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        with pytest.raises(Broken):
            await whole(pool)
