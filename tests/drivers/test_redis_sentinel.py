"""A service behind sentinels, with a master that is killed, demoted, or not what they say."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.drivers.redis.connection import RedisError, encode
from gateway.drivers.redis.servers import Redis, open_redis
from tests.drivers.redis_fleet import (
    Server,
    Tally,
    failed_over,
    pretended,
    running,
    said,
    sentinels,
)
from tests.in_time import in_time
from tests.patience import PATIENT_S, SOON_S
from tests.ports import free_port

PING, ROLE = encode("PING"), encode("ROLE")


@asynccontextmanager
async def opened(
    places: Sequence[str], who: str = "", settings: str = "", probe_s: float = 0.1
) -> AsyncIterator[Redis]:
    url = f"redis+sentinel://{who}{','.join(places)}/money{settings}"
    redis = open_redis(url, timeout_s=PATIENT_S, probe_s=probe_s)
    try:
        yield redis
    finally:
        await redis.aclose()


def at(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def naming(server: Server | None) -> bytes:
    if server is None:
        return b"*-1\r\n"
    port = b"%d" % server.port
    return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(port), port)


async def fault(redis: Redis) -> str:
    with pytest.raises(RedisError) as caught:
        await redis.call(PING)
    return caught.value.kind


async def redis_is_at(redis: Redis) -> str:
    try:
        return (await redis.everywhere(PING))[0][0]
    except RedisError:
        return "nowhere"


async def answered(redis: Redis) -> None:
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                await redis.call(PING)
            except RedisError:
                await asyncio.sleep(0.01)
            else:
                return


@asynccontextmanager
async def service(
    folder: Path, **settings: int
) -> AsyncIterator[tuple[Server, Server, list[Server]]]:
    """A master, its replica, and three sentinels."""
    master = Server(folder / "master", repl_diskless_sync_delay=0, **settings)
    replica = Server(folder / "replica", replicaof=f"127.0.0.1 {master.port}")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(master, replica))
        await said(replica, ("INFO", "replication"), "master_link_status:up")
        watching = await stack.enter_async_context(sentinels(folder, master, [replica], 3))
        yield master, replica, watching


@pytest.mark.parametrize("event", ["killed", "ordered", "ordered, with a master that is careful"])
async def test_a_failover_in_mid_load_is_followed_and_nothing_is_counted_twice(
    tmp_path: Path, event: str
) -> None:
    """A master that does not wait for replicas answers writes that the next master never sees,
    until it hears of that: none if it is killed, near a second's when it is not.
    """
    careful = "careful" in event
    settings = {"min_replicas_to_write": 1, "min_replicas_max_lag": 1} if careful else {}
    async with (
        service(tmp_path, **settings) as (master, replica, watching),
        opened([at(each) for each in watching], probe_s=0.2) as redis,
    ):
        tally, done = Tally(redis, SOON_S), asyncio.Event()
        load = asyncio.create_task(tally.add_until(done, ["n"] * 8, 0.002))
        await asyncio.sleep(0.2)  # some load
        if event == "killed":
            master.signal(signal.SIGKILL)
        else:
            await failed_over(watching[0])
        # They may have to vote again; one for which two seconds pass at once does nothing for 30.
        async with asyncio.timeout(120):
            while (await redis_is_at(redis)) != at(replica):
                await asyncio.sleep(0.01)
            before = tally.answered
            while tally.answered < before + 100:
                await asyncio.sleep(0.01)
        done.set()
        await load
        counted = int(await replica.ask("GET", "n"))
        print(f"{event}: {vars(tally)} counted {counted}")
        assert counted <= tally.answered + tally.unknown, "nothing twice"
        if careful:
            assert counted >= tally.answered - 5 * 8, "nothing lost but what was on its way"
        assert counted >= 100, "the new master counts"
        assert tally.late == 0


async def test_a_sentinel_that_hangs_costs_nothing(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, _, watching):
        watching[0].signal(signal.SIGSTOP)
        async with opened([at(each) for each in watching]) as redis:
            assert await in_time(SOON_S, redis.call(PING)) == b"PONG"


async def test_a_master_that_moves_is_left(tmp_path: Path) -> None:
    servers = [Server(tmp_path / name) for name in "ab"]
    now = servers[0]
    async with (
        running(*servers),
        pretended(lambda _: naming(now)) as sentinel,
        opened([sentinel]) as redis,
    ):
        assert await redis.everywhere(PING) == [(at(servers[0]), b"PONG")]
        now = servers[1]  # which the first knows nothing of
        async with asyncio.timeout(PATIENT_S):
            while await redis.everywhere(PING) != [(at(servers[1]), b"PONG")]:
                await asyncio.sleep(0.01)


async def test_most_sentinels_are_believed(tmp_path: Path) -> None:
    servers = [Server(tmp_path / name) for name in "ab"]
    async with (
        running(*servers),
        pretended(lambda _: naming(servers[1])) as behind,
        pretended(lambda _: naming(servers[0])) as one,
        pretended(lambda _: naming(servers[0])) as two,
        opened([behind, one, two]) as redis,
    ):
        assert await redis.everywhere(PING) == [(at(servers[0]), b"PONG")]


async def test_who_is_no_master_is_not_used(tmp_path: Path) -> None:
    master = Server(tmp_path / "master", repl_diskless_sync_delay=0)
    replica = Server(tmp_path / "replica", replicaof=f"127.0.0.1 {master.port}")
    now = replica
    async with (
        running(master, replica),
        pretended(lambda _: naming(now)) as sentinel,
        opened([sentinel]) as redis,
    ):
        assert await fault(redis) == "readonly"
        now = master
        await answered(redis)


@pytest.mark.parametrize(
    ("says", "kind"),
    [(naming(None), "unknown"), (b"-NOAUTH Authentication required\r\n", "noauth")],
)
async def test_sentinels_that_cannot_tell(says: bytes, kind: str) -> None:
    async with pretended(lambda _: says) as sentinel, opened([sentinel]) as redis:
        assert await fault(redis) == kind


async def test_no_sentinel_at_all() -> None:
    async with opened([f"127.0.0.1:{free_port()}"], probe_s=10) as redis:
        kinds = [await fault(redis) for _ in range(4)]
        assert kinds == ["unreachable"] * 3 + ["open"]


async def test_sentinels_and_masters_have_users_of_their_own(tmp_path: Path) -> None:
    heard: list[list[bytes]] = []
    server = Server(tmp_path, requirepass="gold")

    def answer(command: list[bytes]) -> bytes:
        heard.append(command)
        return b"+OK\r\n" if command[0] == b"AUTH" else naming(server)

    server.start()
    try:
        async with (
            pretended(answer) as sentinel,
            opened([sentinel], ":gold@", "?sentinel_username=eye&sentinel_password=glass") as redis,
        ):
            await answered(redis)
            assert heard[0] == [b"AUTH", b"eye", b"glass"]
            assert (await redis.call(ROLE))[0] == b"master"
    finally:
        server.end()
