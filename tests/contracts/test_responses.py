"""What every place promises that answers are kept in. A new one joins by one line in `places`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
from redis import Redis

from gateway.core.ports import Responses
from gateway.drivers.memory_responses import MemoryResponses
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis_responses import RedisResponses

pytest_plugins = ("tests.redis_server",)

ROOM: Final = 10_000
"""Bytes for a tenant."""
BIG: Final = b"x" * 3_000
"""Three of these fit, and not four."""
KEYS: Final = [f"{number:064x}" for number in range(10)]
LONG_S: Final = 100.0

Pass = Callable[[float], Awaitable[None]]
"""Let some seconds pass."""


class Place:
    """`passes` lets seconds go by; by the server's clock they really do."""

    def __init__(self, kept: Responses, passes: Pass) -> None:
        self.kept = kept
        self.passes = passes

    async def found(self, key: str, tenant: str = "acme") -> bytes | None:
        found = await self.kept.find(tenant, key)
        return found[0] if found else None

    async def all_found(self, tenant: str = "acme") -> list[int]:
        return [at for at, key in enumerate(KEYS) if await self.found(key, tenant) is not None]

    async def keep(
        self, key: str, data: bytes, ttl_s: float = LONG_S, tenant: str = "acme"
    ) -> None:
        """Until it is written, or found not to fit."""
        self.kept.keep(tenant, key, data, ttl_s)
        if isinstance(self.kept, RedisResponses):
            await asyncio.wait([*self.kept._writing])


@asynccontextmanager
async def memory(server: EmbeddedRedis) -> AsyncIterator[Place]:
    now = [1_000.0]

    async def passes(seconds: float) -> None:
        now[0] += seconds

    yield Place(MemoryResponses(ROOM, lambda: now[0]), passes)


@asynccontextmanager
async def redis(server: EmbeddedRedis) -> AsyncIterator[Place]:
    with Redis.from_url(server.url) as client:
        for key in client.scan_iter("{tollgate:cache:*"):
            client.delete(key)
    kept = RedisResponses(server.url, ROOM, timeout_s=10)
    yield Place(kept, asyncio.sleep)
    await kept.aclose()


places = {"memory": memory, "redis": redis}


@pytest.fixture(params=places)
async def place(
    request: pytest.FixtureRequest, shared_redis: EmbeddedRedis
) -> AsyncIterator[Place]:
    async with places[request.param](shared_redis) as made:
        yield made


async def test_what_is_kept_is_found_with_the_time_it_has_left(place: Place) -> None:
    assert await place.kept.find("acme", KEYS[0]) is None
    await place.keep(KEYS[0], b"\x00\xff answer")
    found = await place.kept.find("acme", KEYS[0])
    assert found is not None
    assert found[0] == b"\x00\xff answer"
    assert LONG_S - 30 < found[1] <= LONG_S


async def test_a_tenant_finds_its_own_only(place: Place) -> None:
    await place.keep(KEYS[0], b"a", tenant="acme")
    await place.keep(KEYS[1], b"b", tenant="acme2")
    assert (await place.all_found("acme"), await place.all_found("acme2")) == ([0], [1])


async def test_it_is_gone_when_its_time_is_over(place: Place) -> None:
    await place.keep(KEYS[0], b"a", 0.2)
    await place.keep(KEYS[1], b"b")
    await place.passes(0.25)
    assert await place.all_found() == [1]


async def test_a_newer_answer_takes_the_place_of_an_older(place: Place) -> None:
    for _ in range(5):  # and takes no more room
        await place.keep(KEYS[0], BIG)
    await place.keep(KEYS[0], b"new")
    await place.keep(KEYS[1], BIG)
    await place.keep(KEYS[2], BIG)
    assert await place.found(KEYS[0]) == b"new"
    assert await place.all_found() == [0, 1, 2]


async def test_room_is_made_for_the_newest(place: Place) -> None:
    for at, key in enumerate(KEYS):
        await place.keep(key, BIG, LONG_S + at)
    assert await place.all_found() == [7, 8, 9]


async def test_one_tenant_cannot_use_up_the_room_of_another(place: Place) -> None:
    await place.keep(KEYS[0], BIG, tenant="small")
    for key in KEYS:
        await place.keep(key, BIG, tenant="large")
    assert await place.all_found("small") == [0]


async def test_what_is_larger_than_all_the_room_is_not_kept(place: Place) -> None:
    await place.keep(KEYS[0], b"old")
    await place.keep(KEYS[1], b"other")
    await place.keep(KEYS[0], b"x" * ROOM)
    assert await place.all_found() == [1], "nor is what it was to replace"


async def test_room_of_what_has_expired_is_used_again(place: Place) -> None:
    await place.keep(KEYS[0], BIG)
    await place.keep(KEYS[1], BIG, 0.2)
    await place.passes(0.25)
    for key in KEYS[2:4]:
        await place.keep(key, BIG, LONG_S + 1)
    assert await place.all_found() == [0, 2, 3]


async def test_many_at_once_never_pass_the_bound(place: Place) -> None:
    for _ in range(3):
        for key in KEYS:
            place.kept.keep("acme", key, BIG, LONG_S)
    await place.keep(KEYS[0], BIG)
    assert len(await place.all_found()) == 3
