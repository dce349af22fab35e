"""Who is looked at in a round, and what a round survives."""

import asyncio
import logging
from collections import Counter
from typing import Final

import pytest

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse
from gateway.core.catalog import Budget, Organisation, Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import About, BudgetRead, Event, HoldsRead, Reserved
from gateway.core.health import FEWEST, OPEN_S, Health, State
from gateway.core.money import Nanos
from gateway.drivers.ledger.homes import DataLost
from gateway.drivers.ledger.janitor import ActiveHomes, Janitor
from gateway.drivers.ledger.memory_ledger import MemoryLedger

DAY: Final = (Budget(100, "day"),)


def account(tenant: Tenant) -> Account:
    return Account("tenant", tenant.name, tenant.budgets, tenant.name, tenant.timezone)


class Told(MemoryLedger):
    """Remembers which homes it was asked for; `broken` ones raise what is said of them."""

    def __init__(self) -> None:
        super().__init__(lambda: 1_000_000.0)
        self.asked: list[str] = []
        self.broken: dict[str, Exception] = {}

    async def open_holds(self, home: str) -> int:
        self.asked.append(home)
        if home in self.broken:
            raise self.broken[home]
        return await super().open_holds(home)


def tenants(count: int, organisation: Organisation | None = None) -> list[Tenant]:
    return [Tenant(f"t{number}", budgets=DAY, organisation=organisation) for number in range(count)]


async def test_a_circuit_that_nobody_asks_for_is_shown_half_open_all_the_same() -> None:
    """Else an alert of a model that failed once goes on until somebody asks for it again."""
    now, moved = 0.0, list[tuple[str, State]]()
    health = Health(["m@p"], lambda *each: moved.append(each))
    for _ in range(FEWEST):
        health.failed("m@p", now)
    janitor = Janitor(Told(), [], lambda event: None, show_circuits=lambda: health.show(now))
    for now in (OPEN_S - 1, OPEN_S + 1):  # noqa: B007 - it is the clock
        await janitor.round()
    assert moved == [("m@p", "open"), ("m@p", "half_open")]


async def test_tenants_and_their_organisation_are_read() -> None:
    globex = Organisation("globex", (Budget(500, "total"), Budget(7, "minute", "tokens")))
    members, alone = tenants(2, globex), Tenant("alone", budgets=DAY)
    ledger, events = Told(), list[Event]()
    own = Account("organisation", "globex", globex.budgets)
    purse = Purse("t1", (own, account(members[1])), "globex")
    assert isinstance(await ledger.reserve(purse, "h", Amounts(Nanos(30), 5)), Hold)
    await Janitor(ledger, [*members, alone], events.append).round()
    assert [event for event in events if isinstance(event, HoldsRead)] == [
        HoldsRead("alone", 0),
        HoldsRead("globex", 1),
    ]
    assert [event for event in events if isinstance(event, BudgetRead)] == [
        BudgetRead(account(alone), DAY[0], 0, 0),
        BudgetRead(own, globex.budgets[0], 0, 30),
        BudgetRead(own, globex.budgets[1], 0, 5),
        BudgetRead(account(members[0]), DAY[0], 0, 0),
        BudgetRead(account(members[1]), DAY[0], 0, 30),
    ]


async def test_what_a_reload_took_away_is_not_told_by_a_round_that_began_before() -> None:
    """Its gauges would stay as they were, and an alert of them go on for ever."""
    events, reached, gate = list[Event](), asyncio.Event(), asyncio.Event()

    class Slow(MemoryLedger):
        async def balances(self, purse: Purse) -> tuple[Balance, ...]:
            read = await super().balances(purse)
            reached.set()
            await gate.wait()
            return read

    gone, stays = Tenant("gone", budgets=DAY), Tenant("stays", budgets=DAY)
    janitor = Janitor(Slow(lambda: 1_000_000.0), [gone, stays], events.append)
    reading = asyncio.create_task(janitor.round())
    await reached.wait()
    events.clear()
    janitor.reconfigure([stays])
    gate.set()
    await reading
    assert events == []
    await janitor.round()
    assert events == [HoldsRead("stays", 0), BudgetRead(account(stays), DAY[0], 0, 0)]


async def test_a_large_organisation_is_read_whole() -> None:
    events: list[Event] = []
    everybody = tenants(120, Organisation("globex"))
    await Janitor(Told(), everybody, events.append).round()
    read = [event.account.name for event in events if isinstance(event, BudgetRead)]
    assert sorted(read) == sorted(each.name for each in everybody)
    assert [event for event in events if isinstance(event, HoldsRead)] == [HoldsRead("globex", 0)]


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RuntimeError("x"), OSError("x")])
async def test_what_is_wrong_with_one_is_logged_once_and_the_others_are_read(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Told()
    ledger.broken["t1"] = error
    events: list[Event] = []
    janitor = Janitor(ledger, tenants(3), events.append)
    caplog.set_level(logging.ERROR)
    for _ in range(3):
        await janitor.round()
    assert Counter(ledger.asked) == {"t0": 3, "t1": 3, "t2": 3}
    assert [record.getMessage() for record in caplog.records] == [
        "the budgets of t1 cannot be read"
    ]
    ledger.broken.clear()
    await janitor.round()
    ledger.broken["t1"] = error
    await janitor.round()
    assert len(caplog.records) == 2, "after a sound round it is news again"


async def test_a_ledger_that_is_down_ends_the_round_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = Told()
    ledger.broken["t0"] = LedgerDown("down")
    janitor = Janitor(ledger, tenants(3), lambda event: None)
    await janitor.round()
    assert (ledger.asked, caplog.records) == (["t0"], [])


async def test_a_node_of_a_cluster_that_is_away_holds_up_no_other_home() -> None:
    """Where the first that is asked does not answer, another one is first the next time."""
    ledger, seen = Told(), list[Event]()
    ledger.broken = dict.fromkeys(["t0", "t2"], LedgerDown("down"))
    janitor = Janitor(ledger, tenants(4), seen.append)
    await janitor.round()
    assert seen == []
    await janitor.round()
    assert [each.account.name for each in seen if isinstance(each, BudgetRead)] == ["t1", "t3"]
    ledger.broken = {}
    await janitor.round()
    assert {*ledger.asked[-4:]} == {"t0", "t1", "t2", "t3"}


async def test_a_home_whose_data_are_lost_holds_up_no_other() -> None:
    ledger = Told()
    ledger.broken["t0"] = lost = LedgerDown("data_lost")
    lost.__cause__ = DataLost(sent=True)
    seen: list[Event] = []
    await Janitor(ledger, tenants(3), seen.append).round()
    assert ledger.asked == ["t0", "t1", "t2"]
    assert [each.account.name for each in seen if isinstance(each, BudgetRead)] == ["t1", "t2"]


async def test_it_goes_on_after_a_round_that_failed() -> None:
    ledger, rounds = Told(), 0
    ledger.broken["t0"] = RuntimeError("x")

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Janitor(ledger, tenants(1), lambda event: None).run(sleep)
    assert ledger.asked == ["t0"] * 3


async def test_of_very_many_the_awake_come_first_and_all_others_have_their_turn() -> None:
    ledger, awake = Told(), ActiveHomes()
    janitor = Janitor(ledger, tenants(95), lambda event: None, awake, max_groups=10)
    for number in (77, 5, 77):
        about = About("r", f"t{number}", "auto", stream=False)
        awake.observe(Reserved(about, "h", Nanos(1), None))
    await janitor.round()
    assert ledger.asked[:2] == ["t77", "t5"]
    assert len(ledger.asked) == 10
    rounds = [len(ledger.asked)]
    for _ in range(10):
        before = len(ledger.asked)
        await janitor.round()
        rounds.append(len(ledger.asked) - before)
    assert set(rounds) == {10}
    assert len(set(ledger.asked)) == 95, "within ten rounds all were looked at"


async def test_however_many_are_awake_the_others_have_their_turn() -> None:
    ledger, awake = Told(), ActiveHomes()
    janitor = Janitor(ledger, tenants(40), lambda event: None, awake, max_groups=10)
    for _ in range(8):
        for number in range(20):
            about = About("r", f"t{number}", "auto", stream=False)
            awake.observe(Reserved(about, "h", Nanos(1), None))
        await janitor.round()
    assert len(set(ledger.asked)) == 40


def test_only_a_hold_wakes_a_home_and_the_organisation_is_the_home() -> None:
    awake = ActiveHomes()
    about = About("r", "acme", "auto", stream=False, organisation="globex")
    awake.observe(Reserved(about, "h", Nanos(1), None))
    awake.observe(HoldsRead("other", 0))
    assert list(awake.homes) == ["globex"]


async def test_an_observer_that_fails_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    def observe(event: Event) -> None:
        raise RuntimeError("a metric")

    ledger = Told()
    await Janitor(ledger, tenants(2), observe).round()
    assert (ledger.asked, len(caplog.records)) == (["t0", "t1"], 1)
