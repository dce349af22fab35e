"""Places of requests at once: given back whatever fails, and never in the place of money."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, LedgerTook
from gateway.core.money import Nanos
from gateway.drivers.ledger import debts
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.drivers.redis_fleet import Server, running
from tests.drivers.relay import Relay
from tests.patience import PATIENT_S

pytest_plugins = ("tests.redis_server",)

BUDGETS = Budget(1_000, "total"), Budget(50, "total", "at_once")
PURSE = Purse("acme", (Account("tenant", "acme", BUDGETS),))
TEN = Amounts(Nanos(10))


@pytest.fixture
def at_most_ten_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debts, "_MAX_QUEUED", 10)


@asynccontextmanager
async def opened(url: str, events: list[Event] | None = None) -> AsyncIterator[RedisLedger]:
    told = [] if events is None else events
    ledger = RedisLedger(url, observe=told.append, probe_s=0.05, timeout_s=PATIENT_S)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not happened():
            await asyncio.sleep(0.01)


def given_up(events: list[Event]) -> list[str | None]:
    return [each.error for each in events if isinstance(each, LedgerTook) and each.op == "give_up"]


async def books(ledger: RedisLedger) -> list[tuple[int, int]]:
    """Spent and held: of the money, and of the places."""
    return [(each.spent, each.held) for each in await ledger.balances(PURSE)]


async def test_requests_that_leave_while_the_server_is_away_cost_no_settle_and_no_place(
    tmp_path: Path, at_most_ten_owed: None
) -> None:
    """Those that it refuses leave, too, and are many."""
    events: list[Event] = []
    server = Server(tmp_path, appendonly="yes", appendfsync="always")
    async with running(server), opened(server.url, events) as ledger:
        holds = [await ledger.reserve(PURSE, f"h{number}", TEN, "in") for number in range(10)]
        server.end()
        for hold in holds:
            assert isinstance(hold, Hold)
            await ledger.settle(hold, TEN)
        for life in (f"refused {number}" for number in range(20)):
            with pytest.raises(LedgerDown):
                await ledger.reserve(PURSE, life, TEN, life)
            ledger.leave(PURSE, life)
        ledger.leave(PURSE, "in")
        await ledger.wait_settled()
        assert ledger.owed == 11
        server.start()
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == [(100, 0), (0, 0)]
    assert given_up(events) == []


async def test_of_more_places_than_can_be_owed_the_oldest_is_given_up_and_told(
    tmp_path: Path, at_most_ten_owed: None
) -> None:
    """Which is the first that is free again by itself."""
    events: list[Event] = []
    server = Server(tmp_path, appendonly="yes", appendfsync="always")
    async with running(server), opened(server.url, events) as ledger:
        lives = [f"l{number}" for number in range(12)]
        for life in lives:
            assert isinstance(await ledger.reserve(PURSE, life, TEN, life), Hold)
        server.end()
        for life in lives:
            ledger.leave(PURSE, life)
        await ledger.wait_settled()
        assert ledger.owed == 10
        server.start()
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == [(0, 120), (0, 2)]
        assert await ledger.reserve(PURSE, "again", TEN, lives[0])
        assert await books(ledger) == [(0, 130), (0, 2)]  # it had kept its place
    assert given_up(events) == ["overflow"] * 2


async def test_who_cancels_may_ask_again_at_once(own_redis: EmbeddedRedis) -> None:
    one = Purse("acme", (Account("tenant", "acme", (Budget(1, "total", "at_once"),)),))
    async with opened(own_redis.url) as ledger:
        for number in range(5):
            asked = asyncio.create_task(ledger.reserve(one, f"h{number}", TEN, f"gone {number}"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # by now it is sent, but for the first, which connects
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            ledger.leave(one, f"gone {number}")
            again = await ledger.reserve(one, f"again {number}", TEN, f"again {number}")
            assert isinstance(again, Hold)
            ledger.leave(one, f"again {number}")
            await ledger.wait_settled()
        assert ledger.owed == 0


async def test_a_reserve_that_arrives_when_its_request_has_left_takes_no_place(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    relay = Relay(own_redis, tmp_path / "relay.sock")
    async with relay.open(), opened(relay.url) as ledger:
        first = await ledger.reserve(PURSE, "first", TEN, "stays")
        assert isinstance(first, Hold)
        relay.keep_one()
        with pytest.raises(LedgerDown, match="lost"):
            await ledger.reserve(PURSE, "h", TEN, "gone")
        ledger.leave(PURSE, "gone")
        await ledger.wait_settled()
        await relay.deliver()
        await until(lambda: ledger.owed == 0)
        assert await books(ledger) == [(0, 10), (0, 1)]
