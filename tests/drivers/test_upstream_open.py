"""What takes the place of an upstream when its configuration changes."""

import asyncio
import gc
from typing import Any

import pytest
from msgspec import structs

from gateway.core.snapshot import AwsAuth, Provider, Secret, Snapshot, Timeouts
from gateway.drivers.upstream.aiohttp_upstream import AiohttpUpstream
from gateway.drivers.upstream.open import open_upstreams
from tests.config.texts import SOUND, snapshot
from tests.drivers.scripted import Peer, scripted, until

ONE = Provider("one", "openai", "http://one:1/v1")
TWO = Provider("two", "openai", "http://two:2/v1")
SAME = Provider("same", "openai", "http://one:1/v2")


def having(*providers: Provider, client: str = "own", connect_s: float = 5.0) -> Snapshot:
    named = {each.name: each for each in providers}
    timeouts = Timeouts(connect_s=connect_s)
    return structs.replace(snapshot(SOUND), providers=named, client=client, timeouts=timeouts)


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (having(ONE, TWO), {"one": True, "two": True}),
        (having(TWO), {"two": True}),
        (
            having(structs.replace(ONE, base_url="http://three:3/v1"), TWO),
            {"one": False, "two": True},
        ),
        (
            having(structs.replace(ONE, quirks=frozenset({"max_tokens"})), TWO),
            {"one": False, "two": True},
        ),
        (
            having(structs.replace(ONE, proxy=Secret("http://proxy:1")), TWO),
            {"one": False, "two": True},
        ),
        (having(ONE, SAME, TWO), {"one": False, "same": False, "two": True}),
        (having(ONE, TWO, connect_s=1.0), {"one": False, "two": False}),
    ],
)
async def test_connections_are_kept_where_all_that_share_them_are_the_same(
    after: Snapshot, kept: dict[str, bool]
) -> None:
    async with open_upstreams({}, lambda: 0.0) as upstreams:
        old: Any = await upstreams.reconfigure(having(ONE, TWO))
        new: Any = await upstreams.reconfigure(after)
        assert {name: pool is old._pools.get(name) for name, pool in new._pools.items()} == kept


@pytest.mark.parametrize(("client", "warmed"), [("own", [1, 0]), ("aiohttp", [0, 0])])
async def test_those_that_models_have_are_warmed(client: str, warmed: list[int]) -> None:
    """A provider that no model has is asked by nobody."""
    async with scripted(Peer.end) as used, scripted(Peer.end) as unused:
        before = snapshot(SOUND)
        (name, *others) = before.providers
        urls = [f"http://127.0.0.1:{each.port}/v1" for each in (used, unused)]
        local = [Provider(each, "openai", urls[0]) for each in (name, *others)]
        asked = having(*local, Provider("unused", "openai", urls[1]), client=client)
        async with open_upstreams({}, lambda: 0.0) as upstreams:
            await upstreams.reconfigure(asked)
            await upstreams.warm(asked)
            await until(lambda: [len(used.peers), len(unused.peers)] == warmed)
            await upstreams.warm(asked)
            assert [len(used.peers), len(unused.peers)] == warmed


async def test_the_same_is_the_same() -> None:
    async with open_upstreams({}, lambda: 0.0) as upstreams:
        assert await upstreams.reconfigure(having(ONE)) is await upstreams.reconfigure(having(ONE))


async def test_a_signer_keeps_what_it_has_fetched() -> None:
    here = structs.replace(ONE, dialect="bedrock", auth=AwsAuth("eu-west-1", "id", None))
    async with open_upstreams({}, lambda: 0.0) as upstreams:
        await upstreams.reconfigure(having(here))
        first = upstreams._signers["one"]
        await upstreams.reconfigure(having(here, TWO))
        assert upstreams._signers["one"] is first
        await upstreams.reconfigure(having(structs.replace(here, auth=AwsAuth("us-east-1"))))
        assert upstreams._signers["one"] is not first
        await upstreams.reconfigure(having(here))
        first = upstreams._signers["one"]
        await upstreams.reconfigure(having(structs.replace(here, proxy=Secret("http://proxy:1"))))
        assert upstreams._signers["one"] is not first, "it would ask by the old way"


@pytest.mark.parametrize("proxy", [None, Secret("http://proxy:1")], ids=["straight", "proxy"])
async def test_aiohttps_session_ends_with_the_last_who_has_it(proxy: Secret | None) -> None:
    one = structs.replace(ONE, proxy=proxy)
    async with open_upstreams({}, lambda: 0.0) as upstreams:
        old = await upstreams.reconfigure(having(one, client="aiohttp"))
        assert isinstance(old, AiohttpUpstream)
        sessions: Any = [*old.sessions]
        assert len(sessions) == (1 if proxy is None else 2)
        new = await upstreams.reconfigure(having(TWO, client="aiohttp"))
        assert isinstance(new, AiohttpUpstream)
        assert not any(each.closed for each in sessions), "a request has them yet"
        del old
        gc.collect()
        async with asyncio.timeout(30):
            while not all(each.closed for each in sessions):
                await asyncio.sleep(0)
        assert not new.session.closed
    assert new.session.closed
