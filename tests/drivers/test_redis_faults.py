"""What the ledger does while Redis is stopped, gone, full, read-only, or not itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, LedgerTook
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.connection import encode
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.in_time import at_once, in_time
from tests.patience import PATIENT_S, SOON_S, back, limit
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

PURSE = Purse("acme", (Account("tenant", "acme", (Budget(1_000, "total"),)),))
LIMIT_S = 0.25
WAITED_S = LIMIT_S + 0.05
"""For a server that hangs, once; what else is to be done for an answer is in it. In time for one
that is gone is SOON_S, where it would be waited for PATIENT_S.
"""
BUCKET = "tg:{acme}:b::tenant:acme:usd:total"


def nanos(amount: int) -> Amounts:
    return Amounts(Nanos(amount))


@asynccontextmanager
async def opened(
    server: EmbeddedRedis,
    observe: Callable[[Event], None] = lambda _: None,
    timeout_s: float = PATIENT_S,
) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(server.url, observe=observe, probe_s=0.05, timeout_s=timeout_s)
    try:
        yield ledger
    finally:
        await ledger.aclose()


def signalled(server: EmbeddedRedis, number: signal.Signals) -> None:
    assert server.pid
    os.kill(server.pid, number)


def hang(server: EmbeddedRedis, ledger: RedisLedger) -> None:
    """It is waited for as long as the default's, from now on."""
    signalled(server, signal.SIGSTOP)
    limit(ledger, LIMIT_S)


async def raw(ledger: RedisLedger, *parts: str | int) -> object:
    answer: object = await ledger._connection.call(encode(*parts))
    return answer


async def held(ledger: RedisLedger, hold_id: str, amount: int = 10) -> Hold:
    answer = await ledger.reserve(PURSE, hold_id, nanos(amount))
    assert isinstance(answer, Hold)
    return answer


async def books(ledger: RedisLedger) -> tuple[int, int]:
    (balance,) = await ledger.balances(PURSE)
    return balance.spent, balance.held


async def down(ledger: RedisLedger, hold_id: str, within_s: float) -> float:
    """How many seconds a reserve took to say that the ledger is down."""
    began = time.perf_counter()
    with pytest.raises(LedgerDown):
        await in_time(within_s, ledger.reserve(PURSE, hold_id, nanos(10)))
    return time.perf_counter() - began


def down_at_once(ledger: RedisLedger, hold_id: str) -> float:
    """The same, where nothing is waited for any more."""
    began = time.perf_counter()
    with pytest.raises(LedgerDown):
        at_once(ledger.reserve(PURSE, hold_id, nanos(10)))
    return time.perf_counter() - began


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not happened():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("connected", [True, False])
async def test_a_server_that_hangs_costs_250_ms_once_then_nothing(
    own_redis: EmbeddedRedis, connected: bool, reached: Reached
) -> None:
    async with opened(own_redis) as ledger:
        if connected:
            await held(ledger, "before")
        hang(own_redis, ledger)
        first = await down(ledger, "h", WAITED_S)
        later = [down_at_once(ledger, f"i{number}") for number in range(20)]
        told = f"{first * 1e3:.0f} ms, then {sorted(later)[17] * 1e3:.2f} ms"
        reached("money", "hung server: the first, then 90 % of", told, "+250 ms, < 1 ms")
        signalled(own_redis, signal.SIGCONT)
        await back(ledger)
        await held(ledger, "after")


async def test_a_server_that_is_gone_is_down_at_once_and_its_return_is_noticed(
    own_redis: EmbeddedRedis,
) -> None:
    async with opened(own_redis) as ledger:
        settled = await held(ledger, "settled", 70)
        await ledger.settle(settled, nanos(30))
        await held(ledger, "open", 12)
        signalled(own_redis, signal.SIGKILL)
        for number in range(3):
            await down(ledger, f"h{number}", SOON_S)
        for number in range(20):
            down_at_once(ledger, f"i{number}")
        own_redis.start()
        await back(ledger)
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (30, 12), "its log has kept everything"
        assert await ledger.open_holds("acme") == 1
        await held(ledger, "after")


async def test_many_callers_wait_together_not_in_turn(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger:
        await held(ledger, "before")
        hang(own_redis, ledger)
        asked = [asyncio.create_task(ledger.reserve(PURSE, f"h{n}", nanos(10))) for n in range(100)]
        await asyncio.sleep(0)  # all are sent
        answers = await in_time(WAITED_S, asyncio.gather(*asked, return_exceptions=True))
        assert [type(each) for each in answers] == [LedgerDown] * 100
        signalled(own_redis, signal.SIGCONT)
        await back(ledger)
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (0, 10)


async def test_a_reserve_whose_answer_never_came_is_given_back(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger:
        await held(ledger, "before")
        hang(own_redis, ledger)
        await down(ledger, "lost", WAITED_S)
        assert ledger.owed == 1
        signalled(own_redis, signal.SIGCONT)  # now it executes the reserve, too
        await back(ledger)
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (0, 10)
        assert await ledger.open_holds("acme") == 1
        await down(ledger, "lost", SOON_S)  # under its id it stays given back


async def test_a_reserve_nobody_waits_for_any_more_is_given_back(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger:
        await held(ledger, "before")
        asked = asyncio.create_task(ledger.reserve(PURSE, "h", nanos(10)))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (0, 10)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_settle_waits_for_the_server_and_its_caller_does_not(
    own_redis: EmbeddedRedis, fault: signal.Signals
) -> None:
    async with opened(own_redis) as ledger:
        holds = [await held(ledger, f"h{number}") for number in range(20)]
        signalled(own_redis, fault)
        limit(ledger, LIMIT_S)
        await in_time(WAITED_S, asyncio.gather(*(ledger.settle(hold, nanos(3)) for hold in holds)))
        assert ledger.owed == 20
        own_redis.start() if fault == signal.SIGKILL else signalled(own_redis, signal.SIGCONT)
        await back(ledger)
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (60, 0)


async def test_a_cancelled_settle_is_settled(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger:
        hold = await held(ledger, "h")
        settling = asyncio.ensure_future(ledger.settle(hold, nanos(3)))
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == (3, 0)


async def test_what_is_being_settled_at_the_end_is_waited_for(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger:
        holds = [await held(ledger, f"h{number}") for number in range(50)]
        for hold in holds:
            ledger.settle(hold, nanos(3))
    async with opened(own_redis) as other:
        assert await books(other) == (150, 0)


async def test_what_is_owed_at_the_end_is_tried_once_more_then_given_up(
    own_redis: EmbeddedRedis,
) -> None:
    events: list[Event] = []
    async with opened(own_redis, events.append) as ledger:
        hold = await held(ledger, "h")
        signalled(own_redis, signal.SIGKILL)
        await ledger.settle(hold, nanos(3))
    given_up = [event for event in events if isinstance(event, LedgerTook)]
    assert [(event.op, event.error) for event in given_up][-1] == ("give_up", "closed")


async def test_scripts_forgotten_under_load_are_loaded_again(own_redis: EmbeddedRedis) -> None:
    async with opened(own_redis) as ledger, opened(own_redis) as other:

        async def one(number: int) -> None:
            hold = await held(ledger, f"h{number}", 2)
            await ledger.settle(hold, nanos(1))
            await ledger.balances(PURSE)

        async def forget() -> None:
            for _ in range(10):
                await raw(other, "SCRIPT", "FLUSH")

        await asyncio.gather(*(one(number) for number in range(200)), forget())
        await raw(other, "SCRIPT", "FLUSH")
        assert await ledger.sweep(["acme"]) == []
        assert await books(ledger) == (200, 0)


@pytest.mark.parametrize(
    ("commands", "cure", "kind"),
    [
        ([("SET", BUCKET, "not a hash")], ("DEL", BUCKET), "wrongtype"),
        ([("CONFIG", "SET", "maxmemory", "1")], ("CONFIG", "SET", "maxmemory", "0"), "oom"),
        ([("REPLICAOF", "127.0.0.1", "1")], ("REPLICAOF", "NO", "ONE"), "readonly"),
    ],
)
async def test_a_server_that_refuses_is_down_and_says_why(
    own_redis: EmbeddedRedis, commands: list[tuple[str, ...]], cure: tuple[str, ...], kind: str
) -> None:
    events: list[Event] = []
    async with (
        opened(own_redis, events.append) as ledger,
        opened(own_redis) as admin,
    ):
        hold = await ledger.reserve(Purse("acme", ()), "h", nanos(1))
        assert isinstance(hold, Hold)
        for command in commands:
            await raw(admin, *command)
        with pytest.raises(LedgerDown, match=kind):
            await ledger.reserve(PURSE, "i", nanos(10))
        took = events[-1]
        assert isinstance(took, LedgerTook)
        assert (took.op, took.error) == ("reserve", kind)
        assert ledger.owed == 0, "it has surely not been executed"
        await raw(admin, *cure)
        await held(ledger, "j")
        assert await books(ledger) == (0, 10)


async def test_a_settle_that_meets_a_wrong_key_changes_nothing_until_it_is_right(
    own_redis: EmbeddedRedis,
) -> None:
    user = Account("user", "ann", (Budget(1_000, "total"),))
    both = Purse("acme", (*PURSE.accounts, user))
    users = "tg:{acme}:b::user:ann:usd:total"
    async with opened(own_redis) as ledger:
        hold = await ledger.reserve(both, "h", nanos(10))
        assert isinstance(hold, Hold)
        await raw(ledger, "RENAME", users, "aside")
        await raw(ledger, "SET", users, "not a hash")
        await ledger.settle(hold, nanos(3))
        assert ledger.owed == 1
        assert await books(ledger) == (0, 10), "not even the first of its two budgets"
        await raw(ledger, "RENAME", "aside", users)
        await until(lambda: ledger.owed == 0)
        assert [(b.spent, b.held) for b in await ledger.balances(both)] == [(3, 0), (3, 0)]
