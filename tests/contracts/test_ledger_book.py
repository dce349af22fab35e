"""What every ledger promises of its book: each change of what is spent has an entry, written with
it, and nothing else has.
"""

import asyncio

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.entry import Charged, Entry, sums
from gateway.core.records.record import UsageRecord
from tests.ledger_bench import Bench, Driver

pytest_plugins = ("tests.ledger_fixtures",)

CEILING = Amounts(Nanos(30), 300, 1)
COST = Amounts(Nanos(20), 120)
CHARGED = Amounts(Nanos(20), 120, 1)


def purse(tenant: str, cap: int = 1_000) -> Purse:
    budgets = (
        Budget(cap, "day"),
        Budget(9_000, "hour", "tokens", rolling=True),
        Budget(90, "total", "requests"),
        Budget(9, "total", "at_once"),
    )
    return Purse(tenant, (Account("user", "ann\n:{}", budgets, tenant, "Europe/Berlin"),))


def record(hold: str, purpose: str = "answer") -> UsageRecord:
    return UsageRecord(
        hold, "r", "t", "auto", "m", "p", "cheap", purpose, "ok", 30, 20, Usage(100, 20)
    )


async def held(ledger: Driver, wallet: Purse, hold_id: str, life: str = "life") -> Hold:
    answer = await ledger.reserve(wallet, hold_id, CEILING, life)
    assert isinstance(answer, Hold)
    return answer


async def spent(ledger: Driver, wallet: Purse) -> list[int]:
    """Of money, tokens and requests; the book has to agree."""
    told = sums(await ledger.records(wallet.home))
    assert {counter: n for counter, n in told.items() if n} == await ledger.counted(wallet.home)
    return [balance.spent for balance in (await ledger.balances(wallet))[:3]]


async def test_a_settle_writes_its_record_and_what_it_charged_to_which_buckets(
    ledger: Driver, tenant: str
) -> None:
    hold = await held(ledger, purse(tenant), "h")
    assert await ledger.records(tenant) == ()
    await ledger.settle(hold, COST, record("h"))
    (entry,) = await ledger.records(tenant)
    assert (entry.seq, entry.kind, entry.hold, entry.charged) == (1, "settled", "h", CHARGED)
    assert entry.record == record("h")
    keys = [bucket.key.partition("}:")[2] for bucket in entry.buckets]
    user = f"b:{tenant}:user:ann%0A%3A%7B%7D"
    assert keys == [
        f"{user}:usd:2060-03-15",
        f"{user}:tokens:rolling-hour",
        f"{user}:requests:total",
    ]
    assert [bucket.meter for bucket in entry.buckets] == ["usd", "tokens", "requests"]
    assert [bucket.slot > 0 for bucket in entry.buckets] == [False, True, False]
    assert await spent(ledger, purse(tenant)) == [20, 120, 1]


async def test_a_settle_without_a_record_has_an_entry_all_the_same(
    ledger: Driver, tenant: str
) -> None:
    await ledger.settle(await held(ledger, purse(tenant), "h"), COST)
    (entry,) = await ledger.records(tenant)
    assert entry.record is None
    assert await spent(ledger, purse(tenant)) == [20, 120, 1]


async def test_what_changes_nothing_has_no_entry(ledger: Driver, tenant: str) -> None:
    wallet = purse(tenant)
    hold = await held(ledger, wallet, "h")
    await ledger.void(tenant, (await held(ledger, wallet, "i")).id)
    for _ in range(3):
        await ledger.settle(hold, COST, record("h"))
    await ledger.reserve(wallet, "over", Amounts(Nanos(9_999)))
    await ledger.reserve(wallet, "open", CEILING)
    assert [entry.hold for entry in await ledger.records(tenant)] == ["h"]
    assert await spent(ledger, wallet) == [20, 120, 1]


async def test_an_expired_hold_and_its_late_settle_are_two_entries(
    bench: Bench, tenant: str
) -> None:
    ledger, wallet = bench.ledger, purse(tenant)
    hold = await held(ledger, wallet, "h")
    await bench.expire(tenant)
    assert await spent(ledger, wallet) == [30, 300, 1]
    await ledger.settle(hold, COST, record("h"))
    expired, late = await ledger.records(tenant)
    assert (expired.kind, expired.charged) == ("expired", CEILING)
    assert expired.record is not None
    told = expired.record
    assert (told.purpose, told.attempt, told.request) == ("expired", "h", "life")
    assert (told.tenant, told.held, told.cost) == (tenant, 30, 30)
    assert (late.kind, late.charged) == ("corrected", Amounts(Nanos(-10), -180))
    assert late.record == record("h")
    assert await spent(ledger, wallet) == [20, 120, 1]


async def test_giving_back_an_expired_hold_is_a_correction(bench: Bench, tenant: str) -> None:
    ledger, wallet = bench.ledger, purse(tenant)
    await held(ledger, wallet, "h")
    await bench.expire(tenant)
    await ledger.void(tenant, "h")
    *_, last = await ledger.records(tenant)
    assert (last.kind, last.charged) == ("corrected", Amounts(Nanos(-30), -300, -1))
    assert await spent(ledger, wallet) == [0, 0, 0]


async def test_records_are_read_in_order_and_on_from_where_one_stopped(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant)
    for number in range(7):
        await ledger.settle(await held(ledger, wallet, f"h{number}"), COST, record(f"h{number}"))
    read: list[str] = []
    after = ""
    while entries := await ledger.records(tenant, after, 3):
        assert len(entries) <= 3
        read += [entry.hold for entry in entries]
        after = entries[-1].at
    assert read == [f"h{number}" for number in range(7)]


# Holds that are not there


async def test_a_settle_whose_hold_is_not_there_is_charged_once_and_kept(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant)
    gone = Hold("gone", wallet, CEILING)
    for _ in range(2):
        await ledger.settle(gone, COST, record("gone", "vote"))
    (entry,) = await ledger.records(tenant)
    assert (entry.kind, entry.hold, entry.charged) == ("charged", "gone", CHARGED)
    assert entry.record == record("gone", "vote")
    assert await spent(ledger, wallet) == [20, 120, 1]


async def test_a_settle_without_its_hold_counts_in_the_slot_of_its_time(
    bench: Bench, tenant: str
) -> None:
    wallet = Purse(tenant, (Account("user", "ann", (Budget(99, "minute", rolling=True),)),))
    gone = Hold("gone", wallet, CEILING)
    bench.time.move(2.5)
    await bench.ledger.settle(gone, COST)
    for moved, left in ((60, 20), (2.4, 20), (0.1, 0)):
        bench.time.move(moved)
        assert (await bench.ledger.balances(wallet))[0].spent == left, moved


async def test_a_charge_is_made_in_the_periods_of_its_time_once_in_a_day(
    bench: Bench, tenant: str
) -> None:
    ledger, wallet = bench.ledger, purse(tenant)
    now = bench.time.now
    for at in (now - 86_400, now - 86_400, now):
        await ledger.charge(wallet, "yesterday", at, CHARGED, record("yesterday"))
    assert await spent_today(ledger, wallet) == [0, 0, 1], "of the day before, and not in the hour"
    await ledger.charge(wallet, "now", now, CHARGED)
    assert await spent_today(ledger, wallet) == [20, 120, 2]
    first, second = await ledger.records(tenant)
    assert [bucket.key.rpartition(":")[2] for bucket in (first.buckets[0], second.buckets[0])] == [
        "2060-03-14",
        "2060-03-15",
    ]


async def spent_today(ledger: Driver, wallet: Purse) -> list[int]:
    return [balance.spent for balance in (await ledger.balances(wallet))[:3]]


async def test_a_charge_is_never_refused(ledger: Driver, tenant: str) -> None:
    wallet = purse(tenant, cap=5)
    await ledger.charge(wallet, "c", 2_846_577_600.0, CHARGED)
    assert (await ledger.balances(wallet))[0].spent == 20


async def test_a_cancelled_settle_is_settled(bench: Bench, tenant: str) -> None:
    ledger, wallet = bench.ledger, purse(tenant)
    holds = [await held(ledger, wallet, f"h{number}") for number in range(3)]
    for hold in holds:
        settling = asyncio.ensure_future(ledger.settle(hold, COST, record(hold.id)))
        await asyncio.sleep(0)
        settling.cancel()
        await asyncio.wait([settling])
    async with asyncio.timeout(30):
        while await ledger.open_holds(tenant):
            await asyncio.sleep(0.01)
    assert await spent(ledger, wallet) == [60, 360, 3]
    assert [entry.kind for entry in await ledger.records(tenant)] == ["settled"] * 3


# Rebuilding


async def test_a_home_is_rebuilt_from_its_book(ledger: Driver, tenant: str) -> None:
    wallet, copy = purse(tenant), purse(f"{tenant}2")
    for number in range(3):
        await ledger.settle(await held(ledger, wallet, f"h{number}"), COST)
    told = sums(await ledger.records(tenant))
    moved = {(key.replace(tenant, f"{tenant}2"), slot): n for (key, slot), n in told.items()}
    assert await ledger.load(f"{tenant}2", moved, seq=3) == 0
    assert [(b.spent, b.held) for b in (await ledger.balances(copy))[:3]] == [
        (60, 0),
        (360, 0),
        (3, 0),
    ]
    await ledger.settle(await held(ledger, copy, "h"), COST)
    (entry,) = await ledger.records(f"{tenant}2")
    assert entry.seq == 4


async def test_nothing_is_loaded_while_holds_are_open_unless_it_must_be(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant)
    await ledger.settle(await held(ledger, wallet, "h"), COST)
    await held(ledger, wallet, "open")
    told = sums(await ledger.records(tenant))
    lower = dict.fromkeys(told, 1)
    assert await ledger.load(tenant, lower) == 1
    assert await spent_today(ledger, wallet) == [20, 120, 1]
    assert await ledger.load(tenant, lower, force=True) == 0
    assert [(b.spent, b.held) for b in (await ledger.balances(wallet))[:3]] == [
        (1, 30),
        (1, 300),
        (1, 1),
    ]


async def test_nothing_is_loaded_where_another_entry_is_the_newest(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant)

    async def settled(name: str) -> str:
        await ledger.settle(await held(ledger, wallet, name), COST)
        return (await ledger.records(tenant))[-1].at

    key = f"tg:{{{tenant}}}:b:{tenant}:user:ann%0A%3A%7B%7D:requests:total"
    assert await ledger.load(tenant, {(key, 0): 9}, newest="1-1") is None
    assert await ledger.load(tenant, {(key, 0): 9}, newest="") == 0
    assert await ledger.counted(tenant) == {(key, 0): 9}
    first = await settled("h")
    second = await settled("i")
    for newest in ("", first):
        for force in (False, True):
            assert await ledger.load(tenant, {(key, 0): 5}, newest=newest, force=force) is None
    assert (await ledger.counted(tenant))[key, 0] == 11
    await held(ledger, wallet, "open")  # nothing is spent: it is in no book
    assert await ledger.load(tenant, {(key, 0): 5}, newest=second) == 1
    assert await ledger.load(tenant, {(key, 0): 5}, newest=second, force=True) == 0
    assert (await ledger.counted(tenant))[key, 0] == 5
    assert await ledger.load(tenant, {(key, 0): 6}, force=True) == 0, "not asked for"


@pytest.mark.parametrize("key", ["", "tg:{other}:b:t:user:ann:usd:total", "b:t:user:ann:usd:total"])
async def test_only_buckets_of_the_home_can_be_loaded(
    ledger: Driver, tenant: str, key: str
) -> None:
    with pytest.raises(ValueError, match="not a bucket"):
        await ledger.load(tenant, {(key, 0): 1})


async def test_more_buckets_than_one_script_sets(ledger: Driver, tenant: str) -> None:
    spent = {(f"tg:{{{tenant}}}:b:t:user:u{n}:usd:2060-03", 0): n + 1 for n in range(1_234)}
    assert await ledger.load(tenant, spent) == 0
    assert await ledger.counted(tenant) == spent


def test_entries_sum_up_by_bucket_meter_and_slot() -> None:
    buckets = (Charged("a", "usd"), Charged("b", "tokens", 7), Charged("c", "requests"))

    def entry(charged: Amounts, *of: Charged) -> Entry:
        return Entry("1-0", 1, "", "settled", "h", charged, of, None)

    assert sums([]) == {}
    entries = [
        entry(CHARGED, *buckets),
        entry(Amounts(Nanos(-5), 1), *buckets[:2]),
        entry(CHARGED, Charged("b", "tokens", 8)),
    ]
    assert sums(entries) == {("a", 0): 15, ("b", 7): 121, ("b", 8): 120, ("c", 0): 1}
