"""An event loop that stands still for longer than a command has: Redis is not to blame."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.drivers.redis.connection import RedisConnection, RedisError, encode
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.wire import Wire
from gateway.outbox import outbox
from tests.patience import PATIENT_S, limit

pytest_plugins = ("tests.redis_server",)

LIMIT_S = 0.25
LARGE = 1_000_000
"""More bytes than are read at once, or a socket has room for."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(url, timeout_s=PATIENT_S, greeting=[encode("TIME")])
    try:
        yield connection
    finally:
        await connection.aclose()


def stand_still() -> None:
    """In the midst of a turn of the loop. What a callback does that works for long."""
    time.sleep(2 * LIMIT_S)


async def test_a_command_that_waits_to_be_written(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        await connection.call(encode("PING"))
        limit(connection, LIMIT_S)
        answer = connection.call(encode("ECHO", "heard"))
        stand_still()
        assert await answer == b"heard"


async def test_an_answer_that_waits_to_be_read(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        await connection.call(encode("PING"))
        limit(connection, LIMIT_S)
        answer = connection.call(encode("ECHO", "heard"))
        await outbox().sent()
        stand_still()
        assert await answer == b"heard"


async def test_an_answer_that_is_read_piece_by_piece(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        await connection.call(encode("SET", "large", b"x" * LARGE))
        limit(connection, LIMIT_S)
        answer = connection.call(encode("GET", "large"))
        await outbox().sent()
        stand_still()
        assert len(await answer) == LARGE


async def test_a_connection_that_is_being_made(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        limit(connection, LIMIT_S)
        answer = connection.call(encode("ECHO", "heard"))
        for _ in range(3):
            await asyncio.sleep(0)
        stand_still()
        assert await answer == b"heard"


@pytest.mark.parametrize("connected_before", [True, False])
async def test_a_server_that_hangs_as_well_is_not_waited_for_for_ever(
    own_redis: EmbeddedRedis, connected_before: bool
) -> None:
    async with connected(own_redis.url) as connection:
        if connected_before:
            await connection.call(encode("PING"))
        assert own_redis.pid
        os.kill(own_redis.pid, signal.SIGSTOP)
        limit(connection, LIMIT_S)
        answer = connection.call(encode("PING"))
        loop = asyncio.get_running_loop()

        def stumble() -> None:
            """Each turn is longer than the moment that is given to what has come."""
            time.sleep(LIMIT_S / 5)
            if not answer.done():
                loop.call_soon(stumble)

        stumble()
        with pytest.raises(RedisError) as caught:
            await asyncio.wait_for(answer, PATIENT_S)
        os.kill(own_redis.pid, signal.SIGCONT)
        assert caught.value.kind == "timeout"


class Trickles(asyncio.Protocol):
    """A server that begins a long answer, and never comes to its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.gone = asyncio.Event()

    def data_received(self, _: bytes) -> None:
        self._transport.write(b"$%d\r\n" % LARGE)
        self._more()

    def _more(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"x")
            asyncio.get_running_loop().call_later(LIMIT_S / 50, self._more)

    def connection_lost(self, _: Exception | None) -> None:
        self.gone.set()


@pytest.mark.parametrize("unread", [False, True])
async def test_an_answer_that_trickles_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unread: bool
) -> None:
    """Also where there is something to be read whenever it is looked."""
    if unread:
        monkeypatch.setattr(Wire, "_has_unread", lambda _: True)
    loop, path, server = asyncio.get_running_loop(), tmp_path / "s", Trickles()
    connection = RedisConnection(f"unix://{path}", timeout_s=LIMIT_S)
    async with await loop.create_unix_server(lambda: server, path):
        answers = [connection.call(encode("PING")) for _ in range(32)]
        ended = asyncio.gather(*answers, return_exceptions=True)
        said = await asyncio.wait_for(ended, PATIENT_S)
        assert {each.kind for each in said if isinstance(each, RedisError)} == {"timeout"}
        assert len(said) == 32
        await connection.aclose()
        await server.gone.wait()


class HangsUp(asyncio.Protocol):
    """A server that answers OK, and hangs up on the first who asks."""

    def __init__(self, met: list["HangsUp"]) -> None:
        self._first = not met
        self.gone = asyncio.Event()
        met.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"+OK\r\n" * data.count(b"*1\r\n"))
        if self._first:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.gone.set()


async def test_a_connection_that_is_lost_with_its_first_answer_is_made_anew(tmp_path: Path) -> None:
    met: list[HangsUp] = []
    loop, path = asyncio.get_running_loop(), tmp_path / "s"
    async with await loop.create_unix_server(lambda: HangsUp(met), path):
        async with connected(f"unix://{path}") as connection:
            with pytest.raises(RedisError, match="lost"):
                await connection.call(encode("PING"))
            assert await connection.call(encode("PING")) == b"OK"
        await asyncio.gather(*(each.gone.wait() for each in met))
        assert len(met) == 2
