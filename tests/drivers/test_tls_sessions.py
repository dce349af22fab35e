"""A new connection takes up the TLS session of a former one, and never one it should not."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import pytest
import trustme

from gateway.core.errors import Unreachable
from gateway.drivers.upstream.http_pool import tls_context
from gateway.drivers.upstream.tls_sessions import KEPT_S, MOST, Sessions, with_resumption
from tests.drivers.scripted import Peer, Scripted, pool_to, scripted, sized, whole
from tests.drivers.tls_server import server

HOST: Final = "localhost"
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


async def closing(peer: Peer) -> None:
    """One answer for a connection: the next request needs another."""
    await peer.hear()
    peer.say(sized(b"%d" % peer.number, "connection: close"))


async def keeping(peer: Peer) -> None:
    while True:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))


def resumed(provider: Scripted) -> list[bool]:
    """Of each connection, as the provider says."""
    return [p.writer.get_extra_info("ssl_object").session_reused for p in provider.peers]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("version", VERSIONS)
async def test_those_after_the_first_resume(
    authority: trustme.CA, cafile: str, version: str
) -> None:
    async with (
        scripted(closing, server(authority, HOST, newest=VERSIONS[version])) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        assert [await whole(pool) for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        assert resumed(provider) == [False, True, True, True]


async def test_while_the_first_is_still_open(authority: trustme.CA, cafile: str) -> None:
    async with (
        scripted(keeping, server(authority, HOST)) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        await whole(pool)
        await asyncio.gather(*(whole(pool) for _ in range(5)))
        assert resumed(provider) == [False, True, True, True, True]


async def test_a_certificate_is_verified_again_in_an_hour(
    authority: trustme.CA, cafile: str, clock: Clock
) -> None:
    """Counted from the whole handshake: those that resumed it do not prolong it."""
    context = with_resumption(tls_context(cafile), Sessions(clock))
    async with (
        scripted(closing, server(authority, HOST)) as provider,
        pool_to(provider.port, context, host=HOST) as pool,
    ):
        for at_s in (0.0, 0.0, KEPT_S - 1, KEPT_S + 1, KEPT_S + 1):
            clock.now = at_s
            await whole(pool)
        assert resumed(provider) == [False, True, True, False, True]


async def test_a_session_the_provider_has_forgotten_is_made_anew(
    authority: trustme.CA, cafile: str
) -> None:
    client = tls_context(cafile)
    for _ in range(2):  # the second one has other keys for its tickets
        async with (
            scripted(closing, server(authority, HOST)) as provider,
            pool_to(provider.port, client, host=HOST) as pool,
        ):
            assert [await whole(pool), await whole(pool)] == [b"0", b"1"]
            assert resumed(provider) == [False, True]


async def test_who_cannot_take_it_up_is_verified_and_the_session_dropped(
    authority: trustme.CA, cafile: str
) -> None:
    """An impostor is shown a ticket, cannot read it, and has to prove who it is."""
    sessions = Sessions()
    client = with_resumption(tls_context(cafile), sessions)
    async with (
        scripted(closing, server(authority, HOST)) as provider,
        pool_to(provider.port, client, host=HOST) as pool,
    ):
        await whole(pool)
        await whole(pool)
    assert sessions.get(HOST) is not None
    async with (
        scripted(closing, server(trustme.CA(), HOST)) as impostor,
        pool_to(impostor.port, client, host=HOST) as pool,
    ):
        with pytest.raises(Unreachable):
            await whole(pool)
    assert sessions.get(HOST) is None


async def test_a_server_that_gives_no_tickets(authority: trustme.CA, cafile: str) -> None:
    context = server(authority, HOST)
    context.num_tickets = 0
    async with (
        scripted(closing, context) as provider,
        pool_to(provider.port, tls_context(cafile), host=HOST) as pool,
    ):
        assert [await whole(pool) for _ in range(3)] == [b"0", b"1", b"2"]
        assert resumed(provider) == [False, False, False]


async def session_of(authority: trustme.CA, cafile: str) -> ssl.SSLSession:
    sessions = Sessions()
    async with (
        scripted(closing, server(authority, HOST)) as provider,
        pool_to(provider.port, with_resumption(tls_context(cafile), sessions), host=HOST) as pool,
    ):
        await whole(pool)
        await whole(pool)
    session = sessions.get(HOST)
    assert session is not None
    return session


async def test_sessions_are_bounded_and_those_of_another_host_are_not_shown(
    authority: trustme.CA, cafile: str
) -> None:
    session, sessions = await session_of(authority, cafile), Sessions()
    for number in range(MOST):
        sessions.save(f"h{number}", session)
    assert sessions.get("h0") is session
    assert sessions.get("other") is None
    sessions.save("one more", session)
    kept: Mapping[str, object] = sessions._by_host
    assert [*kept] == ["one more"]
    sessions.drop("one more")
    assert sessions.get("one more") is None
