"""A settle is done, or owed until it is, once; whatever becomes of it, nothing is left over."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.events import Event, LedgerTook
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.connection import encode
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.drivers.redis_fleet import Server, cluster, running, sentinels
from tests.patience import PATIENT_S, limit

pytest_plugins = ("tests.redis_server",)

HOME = "acme"
CEILING, COST = Amounts(Nanos(80)), Amounts(Nanos(1))
MANY = 20
HANGS_S = 0.25
"""So long a server that is stopped is waited for."""

Place = tuple[str, Server]
Places = Callable[[Path], AbstractAsyncContextManager[Place]]


@asynccontextmanager
async def single(folder: Path) -> AsyncIterator[Place]:
    server = Server(folder, appendonly="yes", appendfsync="always")
    async with running(server):
        yield server.url, server


@asynccontextmanager
async def clustered(folder: Path) -> AsyncIterator[Place]:
    async with cluster(folder, 1) as (node,):
        yield f"redis+cluster://127.0.0.1:{node.port}", node


@asynccontextmanager
async def by_sentinel(folder: Path) -> AsyncIterator[Place]:
    master = Server(folder / "master")
    async with running(master), sentinels(folder, master, (), 1) as (sentinel,):
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/money", master


@pytest.fixture(params=[single, clustered, by_sentinel])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A server, and the URL it is reached by."""
    kind: Places = request.param
    async with kind(tmp_path) as found:
        yield found


@asynccontextmanager
async def opened(url: str, events: list[Event] | None = None) -> AsyncIterator[RedisLedger]:
    """Closed at the end, whatever has become of it: then no task of its own goes on."""
    told = [] if events is None else events
    before = asyncio.all_tasks()
    ledger = RedisLedger(url, observe=told.append, probe_s=0.05, timeout_s=PATIENT_S)
    try:
        yield ledger
    finally:
        await ledger.aclose()
        assert not ledger._settles.pending
        assert ledger.owed == 0
        assert asyncio.all_tasks() - before == set()


def purse(home: str = HOME) -> Purse:
    return Purse(home, (Account("tenant", home, (Budget(100, "total"),)),))


async def held(
    ledger: RedisLedger, hold_id: str, amounts: Amounts = COST, home: str = HOME
) -> Hold:
    answer = await ledger.reserve(purse(home), hold_id, amounts)
    assert isinstance(answer, Hold), answer
    return answer


async def many(ledger: RedisLedger, home: str = HOME) -> list[Hold]:
    return [await held(ledger, f"h{number}", home=home) for number in range(MANY)]


async def books(ledger: RedisLedger, home: str = HOME) -> tuple[int, int, int]:
    """Spent, held, and entries written."""
    (balance,) = await ledger.balances(purse(home))
    return balance.spent, balance.held, len(await ledger.records(home))


async def paid(ledger: RedisLedger) -> None:
    async with asyncio.timeout(PATIENT_S):
        while ledger.owed or ledger._settles.pending:
            await asyncio.sleep(0.01)


def settles(events: list[Event]) -> Counter[str | None]:
    """How many settles were told to have come to what, and how many were given up."""
    took = [event for event in events if isinstance(event, LedgerTook)]
    return Counter(
        event.error if event.op == "settle" else f"given up: {event.error}"
        for event in took
        if event.op in ("settle", "give_up")
    )


async def test_what_is_settled_leaves_room_for_what_is_asked_next(place: Place) -> None:
    """Also where one connection is not all there is: nobody waits for the settle."""
    async with opened(place[0]) as ledger:
        for number in range(MANY):
            hold = await held(ledger, f"h{number}", CEILING)
            ledger.settle(hold, COST)
        await paid(ledger)
        assert await books(ledger) == (MANY, 0, MANY)


async def nothing(_: RedisLedger) -> None:
    pass


async def forget_scripts(ledger: RedisLedger) -> None:
    await ledger._connection.everywhere(encode("SCRIPT", "FLUSH"))


async def drop_connection(ledger: RedisLedger) -> None:
    ledger._connection.drop()


async def end_connection(ledger: RedisLedger) -> None:
    """As a server does that goes: what was asked may have been executed or not."""
    connection: Any = ledger._connection
    nodes = getattr(connection, "_nodes", {"": getattr(connection, "_connection", connection)})
    for node in nodes.values():
        if node._wire is not None:
            node._wire.fail("lost", "the connection was lost")


@pytest.mark.parametrize("meanwhile", [nothing, drop_connection, end_connection])
async def test_a_settle_is_done_once(
    place: Place, meanwhile: Callable[[RedisLedger], Awaitable[None]]
) -> None:
    for before in (nothing, forget_scripts, drop_connection):
        for given_up in (False, True):
            home = f"{before.__name__}, given up: {given_up}"
            told, found = await done_once(place[0], home, before, meanwhile, given_up=given_up)
            assert found == (MANY, 0, MANY), home
            assert told[None] >= MANY, (home, told)
            assert not {error for error in told if error and "given up" in error}, (home, told)


async def done_once(
    url: str,
    home: str,
    before: Callable[[RedisLedger], Awaitable[None]],
    meanwhile: Callable[[RedisLedger], Awaitable[None]],
    *,
    given_up: bool,
) -> tuple[Counter[str | None], tuple[int, int, int]]:
    """What the settles of a home came to, each asked for once more in the end, and its books."""
    events: list[Event] = []
    async with opened(url, events) as ledger:
        holds = await many(ledger, home)
        await before(ledger)
        settling = [asyncio.ensure_future(ledger.settle(hold, COST)) for hold in holds]
        await asyncio.sleep(0)
        await meanwhile(ledger)
        if given_up:
            for each in settling:
                each.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
        await paid(ledger)
        await asyncio.gather(*(ledger.settle(hold, COST) for hold in holds))
        found = await books(ledger, home)
    return settles(events), found


@pytest.mark.parametrize("how", ["waited for", "given up", "by nobody"])
async def test_what_is_under_way_when_a_gateway_ends_is_done_or_told(
    place: Place, how: str
) -> None:
    """Who waited may have been cancelled just before: the settle goes on all the same."""
    url, server = place
    events: list[Event] = []
    async with opened(url) as ledger:
        holds = await many(ledger)
    async with opened(url, events) as ledger:
        await ledger.open_holds(HOME)
        server.signal(signal.SIGSTOP)
        limit(ledger, HANGS_S)
        asked = [asyncio.ensure_future(ledger.settle(hold, COST)) for hold in holds]
        if how == "given up":
            for each in asked:
                each.cancel()
        if how == "waited for":
            await asyncio.gather(*asked)
    told = settles(events)
    assert told["given up: closed"] == MANY, told
    assert sum(count for error, count in told.items() if error is None) == 0, told
    server.signal(signal.SIGCONT)


async def test_a_settle_that_is_given_up_before_a_gateway_ends_is_waited_for(place: Place) -> None:
    async with opened(place[0]) as ledger:
        settling = [asyncio.ensure_future(ledger.settle(h, COST)) for h in await many(ledger)]
        for each in settling:
            each.cancel()
    async with opened(place[0]) as other:
        assert await books(other) == (MANY, 0, MANY)


async def test_what_comes_after_the_end_is_told_to_be_lost(place: Place) -> None:
    events: list[Event] = []
    async with opened(place[0], events) as ledger:
        hold = await held(ledger, "h")
    await ledger.settle(hold, COST)
    assert settles(events) == {"closed": 1, "given up: closed": 1}
    assert ledger.owed == 0


async def test_what_follows_an_answer_is_done_once_when_it_is_given_up(
    own_redis: EmbeddedRedis,
) -> None:
    async with opened(own_redis.url) as ledger:
        ledger.settle(Hold("never", purse(), CEILING), COST)
        async with asyncio.timeout(PATIENT_S):
            while {each.op for each in ledger._settles.pending} != {"settle", "charge"}:
                await asyncio.sleep(0)
        for each in [*ledger._settles.pending]:
            each.give_up()
        assert ledger.owed == 2
        await paid(ledger)
        assert await books(ledger) == (1, 0, 1)


async def test_an_answer_that_comes_after_a_settle_was_given_up_says_nothing(
    own_redis: EmbeddedRedis,
) -> None:
    events: list[Event] = []
    async with opened(own_redis.url, events) as ledger:
        holds = [await held(ledger, "h"), Hold("never", purse(), CEILING)]
        for hold in holds:
            ledger.settle(hold, COST)
        for each in [*ledger._settles.pending]:
            each.give_up()
        await paid(ledger)
        assert await books(ledger) == (2, 0, 2), "each is charged when it is asked once more"
    assert settles(events) == {"cancelled": 2, None: 1, "unknown": 1}


async def test_a_settle_of_what_is_unknown_is_charged_before_a_gateway_ends(
    own_redis: EmbeddedRedis,
) -> None:
    events: list[Event] = []
    async with opened(own_redis.url, events) as ledger:
        ledger.settle(Hold("never", purse(), CEILING), COST)
    assert settles(events) == {"unknown": 1}
    async with opened(own_redis.url) as other:
        assert await books(other) == (1, 0, 1)
        (entry,) = await other.records(HOME)
        assert (entry.kind, entry.hold) == ("charged", "never")


async def test_what_is_owed_for_something_unknown_is_charged_before_a_gateway_ends(
    own_redis: EmbeddedRedis,
) -> None:
    """The answer, that it is unknown, comes to the last try only."""
    async with opened(own_redis.url) as ledger:
        await held(ledger, "h")
        ledger._connection.drop()
        own_redis.stop()
        await ledger.settle(Hold("never", purse(), CEILING), COST)
        assert ledger.owed == 1
        own_redis.start()
    async with opened(own_redis.url) as other:
        assert (await books(other))[0] == 1
