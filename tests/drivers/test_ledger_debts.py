"""What is owed to Redis gets there, whatever else cannot."""

import asyncio
from pathlib import Path

from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.commands import SCRIPTS, HomeCommands
from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.plans import prefix
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.cluster import slot_of
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.wire import RedisError
from tests.drivers.redis_fleet import cluster
from tests.patience import PATIENT_S, limit

pytest_plugins = ("tests.redis_server",)

TEN, ONE = Amounts(Nanos(10)), Amounts(Nanos(1))
MANY = 250
"""More than are sent at once."""


def purse(home: str) -> Purse:
    return Purse(home, (Account("tenant", home, (Budget(100_000, "total"),)),))


async def held(ledger: RedisLedger, home: str, count: int) -> list[Hold]:
    answers = [await ledger.reserve(purse(home), f"{home}{n}", TEN) for n in range(count)]
    return [answer for answer in answers if isinstance(answer, Hold)]


async def stands(ledger: RedisLedger, home: str) -> tuple[int, int]:
    """Spent and held."""
    (balance,) = await ledger.balances(purse(home))
    return balance.spent, balance.held


async def until_paid(ledger: RedisLedger, owed: int) -> None:
    async with asyncio.timeout(PATIENT_S):
        while ledger.owed > owed:
            await asyncio.sleep(0.01)


async def test_a_home_whose_book_is_broken_holds_up_no_other(own_redis: EmbeddedRedis) -> None:
    ledger = RedisLedger(own_redis.url, probe_s=0.05, timeout_s=PATIENT_S)
    bad, good = await held(ledger, "bad", MANY), await held(ledger, "good", 3)
    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:
        server.set("tg:{bad}:usage", "no stream")
        for hold in bad:
            ledger.settle(hold, ONE)
        await ledger.wait_settled()
        assert ledger.owed == MANY
        for hold in good:
            ledger.settle(hold, ONE)
        ledger._connection._wire.fail("lost", "the connection was lost")  # type: ignore[attr-defined]
        assert ledger.owed == MANY + 3
        await until_paid(ledger, MANY)
        assert await stands(ledger, "good") == (3, 0)
        server.delete("tg:{bad}:usage")
        await until_paid(ledger, 0)
    assert await stands(ledger, "bad") == (MANY, 0)
    await ledger.aclose()


async def test_a_node_that_is_away_holds_up_no_other(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as (here, away):
        ledger = RedisLedger(
            f"redis+cluster://127.0.0.1:{here.port}", probe_s=0.05, timeout_s=PATIENT_S
        )
        low = {slot_of(prefix(name).encode()) < 8_192: name for name in map(str, range(20))}
        gone, good = await held(ledger, low[False], MANY), await held(ledger, low[True], 3)
        away.end()
        for hold in gone:
            ledger.settle(hold, ONE)
        await ledger.wait_settled()
        assert ledger.owed == MANY
        node = ledger._connection._nodes["127.0.0.1", here.port]  # type: ignore[attr-defined]
        for hold in good:
            ledger.settle(hold, ONE)
        node._wire.fail("lost", "the connection was lost")
        await ledger.wait_settled()
        assert ledger.owed == MANY + 3
        await until_paid(ledger, MANY)
        assert await stands(ledger, low[True]) == (3, 0)
        limit(ledger, 0.1)
        await ledger.aclose()


async def test_a_leave_waits_for_the_voids_of_its_own_home_only() -> None:
    """A reserve that comes late would take the place again, once its request has left."""
    taken: list[bytes] = []
    refused = asyncio.Event()

    async def send(command: bytes) -> int:
        await asyncio.sleep(0)
        if command == void:
            refused.set()
            raise RedisError("unreachable", "away", sent=False)
        taken.append(command)
        return 1

    here, there = HomeCommands("here", SCRIPTS, 10), HomeCommands("there", SCRIPTS, 10)
    void, waits, goes = there.void("h"), there.leave("l"), here.leave("l")
    owed = Debts(send, lambda: 0.0, lambda _: None)
    owed.add("leave", waits)
    owed.add("leave", goes)
    owed.add("void", void)
    async with asyncio.timeout(PATIENT_S):
        await refused.wait()
        while len(owed) > 2:
            await asyncio.sleep(0)
        assert taken == [goes]
        void = b""
        while len(owed):
            await asyncio.sleep(0.01)
    assert taken[2:] == [waits]
