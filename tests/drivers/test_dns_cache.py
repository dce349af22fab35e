"""Names of providers are looked up once for all who connect, and again after a moment."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from gateway.core.errors import Unreachable
from gateway.drivers.upstream import http_pool
from gateway.drivers.upstream.dns_cache import TTL_S, Address, Addresses
from gateway.drivers.upstream.http_tunnel import Proxy
from tests.drivers.scripted import Peer, pool_to, scripted, sized, until, whole

HOST = "models.example.invalid"


class Names:
    """A name server that is asked instead of the system's; `now` is the time."""

    def __init__(self, *ports: int) -> None:
        self.ports = [*ports]
        self.asked = 0
        self.now = 0.0
        self.answers = asyncio.Event()
        self.answers.set()

    async def lookup(self, host: str, port: int) -> Sequence[Address]:
        assert host == HOST
        self.asked += 1
        await self.answers.wait()
        if not self.ports:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        number = self.ports.pop(0) if len(self.ports) > 1 else self.ports[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number))]

    def addresses(self, host: str = HOST, port: int = 1, proxy: Proxy | None = None) -> Addresses:
        return Addresses(host, port, lookup=self.lookup, clock=lambda: self.now)


@pytest.mark.parametrize(("after_s", "asked"), [(0.0, 1), (TTL_S - 1, 1), (TTL_S + 1, 2)])
async def test_an_answer_is_kept_for_so_long(after_s: float, asked: int) -> None:
    names = Names(1, 2)
    found = names.addresses()
    await found.find()
    names.now = after_s
    assert (await found.find())[0][4] == ("127.0.0.1", asked)
    assert names.asked == asked


async def test_all_who_wait_share_one_lookup() -> None:
    names = Names(1)
    names.answers.clear()
    found = names.addresses()
    waiting = [asyncio.create_task(found.find()) for _ in range(5)]
    await until(lambda: names.asked == 1)
    waiting[0].cancel()
    names.answers.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert told[1:] == [await found.find()] * 4
    assert names.asked == 1


async def test_a_failure_is_not_kept() -> None:
    names = Names()
    found = names.addresses()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await found.find()
    names.ports.append(1)
    assert await found.find()
    assert names.asked == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(host: str) -> None:
    assert (await Names().addresses(host).find())[0][4][0] == host


async def told(peer: Peer) -> None:
    """One answer for a connection: the next request needs another."""
    await peer.hear()
    peer.say(sized(b"%d" % peer.number, "connection: close"))


async def test_a_pool_asks_once_for_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(told) as provider:
        names = Names(provider.port)
        monkeypatch.setattr(http_pool, "addresses", names.addresses)
        async with pool_to(provider.port, host=HOST) as pool:
            found = await asyncio.gather(*(whole(pool) for _ in range(8)))
            found += [await whole(pool)]
        assert len({*found}) == 9
    assert names.asked == 1


async def test_where_nobody_answers_the_name_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that has moved is found before its old address is too old."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()[1]
    async with scripted(told) as provider:
        names = Names(nobody, provider.port)
        monkeypatch.setattr(http_pool, "addresses", names.addresses)
        async with pool_to(provider.port, host=HOST) as pool:
            with pytest.raises(Unreachable):
                await whole(pool)
            assert await whole(pool) == b"0"
    assert names.asked == 2
