"""Where answers are kept: what each place does beside what all promise."""

import asyncio
from typing import Final

import pytest
from redis import Redis

from gateway.core.errors import CacheDown
from gateway.drivers.memory_responses import OVERHEAD_BYTES, MemoryResponses
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis_responses import RedisResponses
from tests.patience import PATIENT_S

pytest_plugins = ("tests.redis_server",)

KEY: Final = "k" * 64


async def test_the_longest_unused_goes_first() -> None:
    kept = MemoryResponses(3 * (OVERHEAD_BYTES + 1), lambda: 0.0)
    for name in "abc":
        kept.keep("t", name, b"1", 10)
    assert await kept.find("t", "a") is not None
    kept.keep("t", "d", b"1", 10)
    assert [name for name in "abcd" if await kept.find("t", name)] == ["a", "c", "d"]
    assert kept.size("t") == 3 * (OVERHEAD_BYTES + 1)


async def test_a_server_that_is_not_there_keeps_nothing_and_says_so() -> None:
    kept = RedisResponses("redis://127.0.0.1:1", 1_000, timeout_s=PATIENT_S)
    kept.keep("t", KEY, b"1", 10)
    with pytest.raises(CacheDown, match=r"\(unreachable\)"):
        await kept.find("t", KEY)
    await kept.aclose()


async def test_a_server_that_hangs_is_waited_for_no_longer_than_allowed() -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kept = RedisResponses(f"redis://127.0.0.1:{port}", 1_000, timeout_s=0.05)
    async with asyncio.timeout(PATIENT_S):
        with pytest.raises(CacheDown, match=r"\(timeout\)"):
            await kept.find("t", KEY)
    gone.set()
    await kept.aclose()
    server.close()
    await server.wait_closed()


async def test_everything_of_a_tenant_expires(shared_redis: EmbeddedRedis) -> None:
    kept = RedisResponses(shared_redis.url, 10_000, timeout_s=10)
    kept.keep("leaving", KEY, b"1", 50)
    await asyncio.wait([*kept._writing])
    await kept.aclose()
    space = "{tollgate:cache:leaving}:"
    with Redis.from_url(shared_redis.url) as client:
        left = {name: client.pttl(space + name) for name in (KEY, "ends", "sizes")}
    assert all(0 < ms <= 50_000 for ms in left.values()), left


async def test_a_lost_count_begins_anew(shared_redis: EmbeddedRedis) -> None:
    """Another program removed a part of it: room is never made without end."""
    kept = RedisResponses(shared_redis.url, 10_000, timeout_s=10)
    kept.keep("lossy", KEY, b"x" * 9_000, 50)
    await asyncio.wait([*kept._writing])
    with Redis.from_url(shared_redis.url) as client:
        client.delete("{tollgate:cache:lossy}:ends")
    kept.keep("lossy", KEY[:-1] + "l", b"x" * 9_000, 50)
    await asyncio.wait([*kept._writing])
    assert await kept.find("lossy", KEY[:-1] + "l") is not None
    await kept.aclose()
