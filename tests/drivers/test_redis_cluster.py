"""A cluster: who has which slot, slots that move, nodes that fail."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.cluster import first_key, slot_of
from gateway.drivers.redis.connection import RedisError, encode
from gateway.drivers.redis.servers import Redis, open_redis
from gateway.outbox import outbox
from tests.drivers.redis_fleet import Server, Tally, cluster, pretended, said
from tests.in_time import at_once, in_time
from tests.patience import PATIENT_S, SOON_S, limit
from tests.ports import free_port

COUNT = "return redis.call('INCR', KEYS[1])"
LOAD = encode("SCRIPT", "LOAD", COUNT)
PING = encode("PING")
LIMIT_S = 0.25
"""Where a node hangs."""
SLACK_S = 0.25
"""Several nodes may be asked in that time."""
HOMES = [f"{{home-{number}}}" for number in range(30)]


@asynccontextmanager
async def opened(*places: str, probe_s: float = 1.0) -> AsyncIterator[Redis]:
    url = f"redis+cluster://{','.join(places)}"
    redis = open_redis(url, timeout_s=PATIENT_S, greeting=[LOAD], probe_s=probe_s)
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def three(folder: Path, replicas: int = 0) -> AsyncIterator[tuple[Redis, list[Server]]]:
    async with cluster(folder, 3, replicas) as nodes, opened(at(nodes[1])) as redis:
        yield redis, nodes


def at(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def home_of(nodes: list[Server], number: int) -> str:
    """A home whose slot the numbered of three nodes has."""
    edge = [number * 16_384 // 3, (number + 1) * 16_384 // 3]
    return next(home for home in HOMES if edge[0] <= slot_of(home.encode()) < edge[1])


async def add(redis: Redis, home: str) -> int:
    count: int = await redis.call(encode("EVAL", COUNT, 1, f"tg:{home}:n"))
    return count


async def fault(redis: Redis, home: str) -> str:
    with pytest.raises(RedisError) as caught:
        await redis.call(encode("INCR", f"tg:{home}:n"))
    return caught.value.kind


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (encode("GET", "k"), b"k"),
        (encode("INCR", ""), b""),
        (encode("EVALSHA", "0" * 40, 2, "tg:{a}:x", "tg:{a}:y", 1), b"tg:{a}:x"),
        (encode("EVALSHA", "0" * 40, 1, "only"), b"only"),
        (encode("FCALL", "reserve", 1, "tg:{a}:x"), b"tg:{a}:x"),
        (encode("EVALSHA", "0" * 40, 0), None),
        (encode("EVALSHA", "0" * 40, 0, "argument"), None),
        (encode("PING"), None),
        (encode("INFO", "server"), None),
        (encode("CONFIG", "GET", "save"), None),
    ],
)
def test_the_first_key_of_a_command(command: bytes, key: bytes | None) -> None:
    assert first_key(command) == key


async def test_slots_are_those_of_the_server(tmp_path: Path) -> None:
    keys = ["", "a", "123456789", "tg:{acme}:holds", "{}x", "a{b", "{a}{b}", "x{{a}}", "ключ"]
    async with cluster(tmp_path, 1) as (node,), opened(at(node)) as redis:
        theirs = [await redis.call(encode("CLUSTER", "KEYSLOT", key)) for key in keys]
        assert [slot_of(key.encode()) for key in keys] == theirs
        assert await asyncio.gather(*(add(redis, home) for home in HOMES)) == [1] * len(HOMES)


async def test_each_home_has_its_node_and_each_node_the_scripts(tmp_path: Path) -> None:
    async with three(tmp_path) as (redis, nodes):
        ((_, sha), *others) = await redis.everywhere(LOAD)
        assert len(others) == 2
        by_hash = [encode("EVALSHA", sha, 1, f"tg:{home}:n") for home in HOMES]
        assert await asyncio.gather(*map(redis.call, by_hash)) == [1] * len(HOMES)
        assert sum(size for _, size in await redis.everywhere(encode("DBSIZE"))) == len(HOMES)
        for node in nodes:
            await node.ask("SCRIPT", "FLUSH")
        with pytest.raises(RedisError, match="NOSCRIPT"):
            await redis.call(by_hash[0])
        assert await redis.call(LOAD) == sha  # to all of them
        assert await asyncio.gather(*map(redis.call, by_hash)) == [2] * len(HOMES)


async def test_keys_of_two_homes_are_refused(tmp_path: Path) -> None:
    async with three(tmp_path) as (redis, nodes):
        both = encode("EVAL", COUNT, 2, home_of(nodes, 0), home_of(nodes, 1))
        with pytest.raises(RedisError) as caught:
            await redis.call(both)
        assert caught.value.kind == "crossslot"


def stand_still() -> None:
    """What a callback does that works for long."""
    time.sleep(2 * LIMIT_S)


async def test_a_loop_that_stood_still_follows_a_slot_all_the_same(tmp_path: Path) -> None:
    async with three(tmp_path) as (redis, nodes):
        homes = [home_of(nodes, 0), home_of(nodes, 1)]
        await asyncio.gather(*(redis.call(encode("GET", home)) for home in homes))
        slot, owner = slot_of(homes[0].encode()), await nodes[1].ask("CLUSTER", "MYID")
        for node in (nodes[1], nodes[0]):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner)
        limit(redis, LIMIT_S)
        adding = asyncio.create_task(add(redis, homes[0]))
        await asyncio.sleep(0)
        await outbox().sent()
        stand_still()
        assert await adding == 1


async def test_a_slot_that_moves_is_followed_each_command_executed_once(tmp_path: Path) -> None:
    async with three(tmp_path) as (redis, nodes):
        home = home_of(nodes, 0)
        slot, key = slot_of(home.encode()), f"tg:{home}:n"
        ids = [await node.ask("CLUSTER", "MYID") for node in nodes]
        counts = [await add(redis, home)]
        await nodes[1].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        await nodes[0].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        counts.append(await add(redis, home))  # it is there still
        await nodes[0].ask("MIGRATE", "127.0.0.1", nodes[1].port, key, 0, 1_000)
        counts.append(await redis.call(encode("INCR", key)))  # ASK
        await nodes[1].ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        await nodes[0].ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        counts += [await add(redis, home) for _ in range(20)]  # MOVED, once
        assert counts == [*range(1, 24)]
        moved = await nodes[0].ask("INFO", "errorstats")
        assert "errorstat_MOVED:count=1\r\n" in moved.decode()


async def test_a_slot_between_two_nodes_is_tried_again(tmp_path: Path) -> None:
    """TRYAGAIN: of two keys one is here and one is there."""
    both = encode("EVAL", "return redis.call('INCR', KEYS[2])", 2, "{a}1", "{a}2")
    async with cluster(tmp_path, 2) as nodes, opened(at(nodes[0])) as redis:
        slot = slot_of(b"a")
        source, target = nodes if slot < 8_192 else nodes[::-1]
        ids = [await node.ask("CLUSTER", "MYID") for node in (source, target)]
        await source.ask("SET", "{a}1", 0)
        await source.ask("SET", "{a}2", 0)
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        await source.ask("MIGRATE", "127.0.0.1", target.port, "{a}1", 0, 1_000)
        asked = asyncio.ensure_future(redis.call(both))
        await said(source, ("INFO", "errorstats"), "errorstat_TRYAGAIN")
        await source.ask("MIGRATE", "127.0.0.1", target.port, "{a}2", 0, 1_000)
        for node in (target, source):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        assert await asked == 1


async def test_a_home_between_two_nodes_waits_until_it_is_there_as_a_whole(tmp_path: Path) -> None:
    """A script reads keys that it does not name: to one that is where they are not yet, nothing was
    ever held or spent.
    """
    purse = Purse("acme", (Account("tenant", "acme", (Budget(100, "total"),)),))
    async with cluster(tmp_path, 2) as nodes:
        slot = slot_of(b"{acme}")
        source, target = nodes if slot < 8_192 else nodes[::-1]
        ids = [await node.ask("CLUSTER", "MYID") for node in (source, target)]
        ledger = RedisLedger(f"redis+cluster://{at(source)}", timeout_s=PATIENT_S)
        holds = [await ledger.reserve(purse, name, Amounts(Nanos(10))) for name in "abc"]
        await ledger.settle(cast("Hold", holds[0]), Amounts(Nanos(3)))
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        keys = await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
        limit(ledger, LIMIT_S)
        for key in sorted(keys, key=lambda key: not key.endswith(b"holds")):
            await source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 1_000)
            if key.endswith((b"holds", b":h:b")):
                with pytest.raises(LedgerDown):
                    await ledger.reserve(purse, "d", Amounts(Nanos(10)))
                await ledger.settle(cast("Hold", holds[1]), Amounts(Nanos(3)))
        assert await source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        for node in (target, source):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        limit(ledger, PATIENT_S)
        async with asyncio.timeout(PATIENT_S):
            while ledger.owed:
                await asyncio.sleep(0.01)
        (balance,) = await ledger.balances(purse)
        assert (balance.spent, balance.held) == (6, 10)
        first, last = await ledger.records("acme")
        assert [first.hold, last.hold] == ["a", "b"]
        counted = await ledger.counted("acme")
        assert await ledger.load("acme", counted, newest=first.at, force=True) is None
        assert await ledger.load("acme", counted, newest=last.at, force=True) == 0
        await ledger.aclose()


async def test_a_node_that_is_killed_is_replaced_and_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    async with three(tmp_path, 1) as (redis, nodes):
        hit, spared = home_of(nodes, 0), home_of(nodes, 1)
        on_hit, on_spared = (Tally(redis, SOON_S) for _ in range(2))
        done = asyncio.Event()
        load = asyncio.gather(
            on_hit.add_until(done, [f"{hit}n"] * 4, 0.005),
            on_spared.add_until(done, [f"{spared}n"] * 4, 0.005),
        )
        await asyncio.sleep(0.2)  # some load
        nodes[0].signal(signal.SIGKILL)
        began = time.perf_counter()
        before = on_hit.answered
        async with asyncio.timeout(40):
            while on_hit.answered < before + 100:
                await asyncio.sleep(0.01)
        gap = time.perf_counter() - began
        done.set()
        await load
        counted = int(await redis.call(encode("GET", f"{hit}n")))
        print(f"back after {gap:.1f} s, {vars(on_hit)} counted {counted}")
        assert counted <= on_hit.answered + on_hit.unknown, "nothing twice"
        assert int(await redis.call(encode("GET", f"{spared}n"))) == on_spared.answered
        assert on_spared.refused == on_spared.unknown == 0, on_spared.kinds
        assert on_hit.late == on_spared.late == 0


async def test_a_node_that_hangs_is_waited_for_once_and_holds_up_no_other(tmp_path: Path) -> None:
    async with three(tmp_path) as (redis, nodes):
        hit, spared = home_of(nodes, 0), home_of(nodes, 1)
        assert [await add(redis, hit), await add(redis, spared)] == [1, 1]
        nodes[0].signal(signal.SIGSTOP)
        limit(redis, LIMIT_S)
        assert await in_time(LIMIT_S + SLACK_S, fault(redis, hit)) == "timeout"
        assert [at_once(fault(redis, hit)) for _ in range(50)] == ["open"] * 50
        limit(redis, PATIENT_S)
        assert await in_time(SOON_S, add(redis, spared)) == 2
        nodes[0].signal(signal.SIGCONT)


async def test_no_node_at_all() -> None:
    async with opened(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}") as redis:
        assert await fault(redis, "{a}") == "unreachable"
        assert [at_once(fault(redis, "{a}")) for _ in range(20)] == ["open"] * 20
        assert not redis.is_open


async def test_a_cluster_that_comes_up_later_is_found(tmp_path: Path) -> None:
    slots = b"-LOADING the dataset in memory\r\n"

    async with (
        cluster(tmp_path, 1) as (node,),
        pretended(lambda command: slots if command[0] == b"CLUSTER" else b"+OK\r\n") as place,
        opened(place, probe_s=0.05) as redis,
    ):
        assert await fault(redis, "{a}") == "loading"
        slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % node.port
        async with asyncio.timeout(PATIENT_S):
            while not redis.is_open:
                await asyncio.sleep(0.01)
        assert await add(redis, "{a}") == 1, "a node without a name is where it was asked"


@pytest.mark.parametrize(
    "says", [b"-ERR This instance has cluster support disabled\r\n", b"*0\r\n"]
)
async def test_what_is_no_cluster(says: bytes) -> None:
    def answer(command: list[bytes]) -> bytes:
        return says if command[0] == b"CLUSTER" else b"+OK\r\n"

    async with pretended(answer) as place, opened(place) as redis:
        assert await fault(redis, "{a}") in {"other", "clusterdown"}


async def test_a_closed_cluster_stays_closed(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1) as (node,):
        async with opened(at(node)) as redis:
            assert await redis.call(PING) == b"PONG"
        assert await fault(redis, "{a}") == "closed"
        assert not redis.is_open
