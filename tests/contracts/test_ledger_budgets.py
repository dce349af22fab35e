"""What every ledger promises of each kind of budget: its meter, its window, its mode."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal, Warned
from gateway.core.catalog import Budget, Mode
from gateway.core.catalog import Period as Per
from gateway.core.money import Nanos
from gateway.core.periods import ROLLING_S, SLOTS, period
from tests.ledger_bench import TTL_S, Bench, Driver

pytest_plugins = ("tests.ledger_fixtures",)

ONE = Amounts(Nanos(10), 100, 1)


def purse(tenant: str, *budgets: Budget, name: str = "ann") -> Purse:
    return Purse(tenant, (Account("user", name, budgets, tenant),))


async def held(ledger: Driver, wallet: Purse, hold: str, what: Amounts, life: str = "") -> Hold:
    answer = await ledger.reserve(wallet, hold, what, life)
    assert isinstance(answer, Hold), f"{hold} was refused: {answer}"
    return answer


async def refused(ledger: Driver, wallet: Purse, hold: str, what: Amounts) -> Refusal:
    answer = await ledger.reserve(wallet, hold, what)
    assert isinstance(answer, Refusal), f"{hold} was not refused"
    return answer


async def books(ledger: Driver, wallet: Purse) -> list[tuple[int, int]]:
    return [(balance.spent, balance.held) for balance in await ledger.balances(wallet)]


# Meters


async def test_each_meter_is_held_and_settled_by_itself(ledger: Driver, tenant: str) -> None:
    wallet = purse(
        tenant, Budget(50, "day"), Budget(500, "day", "tokens"), Budget(3, "day", "requests")
    )
    hold = await held(ledger, wallet, "h", ONE)
    again = await held(ledger, wallet, "i", Amounts(Nanos(10), 100))
    assert await books(ledger, wallet) == [(0, 20), (0, 200), (0, 1)]
    await ledger.settle(hold, Amounts(Nanos(7), 130, 5))
    await ledger.settle(again, Amounts(Nanos(1), 2))
    assert await books(ledger, wallet) == [(8, 0), (132, 0), (1, 0)], "requests are the hold's"


@pytest.mark.parametrize(
    ("what", "by", "left", "wanted"),
    [
        (Amounts(Nanos(51), 1, 1), 0, 50, 51),
        (Amounts(Nanos(1), 501, 1), 1, 500, 501),
        (Amounts(Nanos(1), 1, 4), 2, 3, 4),
        (Amounts(Nanos(51), 501, 4), 0, 50, 51),
    ],
)
async def test_any_meter_may_refuse_and_then_nothing_is_taken(
    ledger: Driver, tenant: str, what: Amounts, by: int, left: int, wanted: int
) -> None:
    budgets = (Budget(50, "day"), Budget(500, "day", "tokens"), Budget(3, "day", "requests"))
    wallet = purse(tenant, *budgets)
    answer = await refused(ledger, wallet, "h", what)
    assert (answer.budget, answer.left, answer.wanted) == (budgets[by], left, wanted)
    assert answer.too_large
    assert await books(ledger, wallet) == [(0, 0)] * 3


async def test_what_adds_nothing_to_a_spent_budget_is_not_refused(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant, Budget(10, "day"))
    await ledger.settle(await held(ledger, wallet, "h", ONE), Amounts(Nanos(99)))
    await held(ledger, wallet, "free", Amounts(Nanos(0), 100, 1))
    assert (await refused(ledger, wallet, "i", Amounts(Nanos(1)))).left == 0


async def test_what_is_left_is_of_hard_budgets_of_money(ledger: Driver, tenant: str) -> None:
    tokens = Budget(201, "day", "tokens")
    soft = Budget(11, "day", mode="soft")
    assert (await held(ledger, purse(tenant, tokens, soft), "h", ONE)).left is None
    assert (await held(ledger, purse(tenant, tokens, Budget(50, "week")), "i", ONE)).left == 40


@pytest.mark.parametrize(
    "what",
    [
        Amounts(Nanos(-1)),
        Amounts(Nanos(0), -1),
        Amounts(Nanos(0), 0, -1),
        Amounts(Nanos(2**53)),
        Amounts(Nanos(0), 2**53),
        Amounts(float("nan")),  # type: ignore[arg-type]
        Amounts(Nanos(0), float("inf")),  # type: ignore[arg-type]
        Amounts(1.5),  # type: ignore[arg-type]
    ],
    ids=str,
)
async def test_what_is_no_amount_is_refused_before_anything_is_asked(
    bench: Bench, tenant: str, what: Amounts
) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        await bench.ledger.reserve(purse(tenant), "h", what)
    assert bench.events == []


@pytest.mark.parametrize(
    "budget",
    [
        Budget(-1, "day"),
        Budget(2**53, "day"),
        Budget(float("nan"), "day"),  # type: ignore[arg-type]
        Budget(1.5, "day"),  # type: ignore[arg-type]
        Budget(1, "day", "at_once"),
        Budget(1, "hour", "at_once", rolling=True),
        Budget(1, "total", rolling=True),
    ],
    ids=str,
)
async def test_what_is_no_budget_is_refused_before_anything_is_asked(
    bench: Bench, tenant: str, budget: Budget
) -> None:
    with pytest.raises(ValueError, match=r"not a cap|no such budget"):
        await bench.ledger.reserve(purse(tenant, budget), "h", ONE)
    assert bench.events == []


async def test_a_cost_that_cannot_be_counted_is_charged_as_the_nearest_that_can(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant, Budget(2**53 - 1, "total"), Budget(100, "total", "tokens"))
    await ledger.settle(await held(ledger, wallet, "h", ONE), Amounts(Nanos(-5), 2**60))
    assert await books(ledger, wallet) == [(0, 0), (2**53 - 1, 0)]
    hold = await held(ledger, purse(tenant, Budget(99, "day")), "i", ONE)
    with pytest.raises(ValueError, match="not an amount"):
        await ledger.settle(hold, Amounts(float("nan")))  # type: ignore[arg-type]


@pytest.mark.parametrize("modes", [("hard", "soft"), ("soft", "hard")])
async def test_a_budget_changed_while_running_holds_at_once_and_keeps_what_is_spent(
    ledger: Driver, tenant: str, modes: tuple[Mode, Mode]
) -> None:
    before, after = modes
    wallet = purse(tenant, Budget(100, "day", mode=before))
    await ledger.settle(await held(ledger, wallet, "h", ONE), Amounts(Nanos(80)))
    changed = purse(tenant, Budget(85, "day", mode=after))
    answer = await ledger.reserve(changed, "i", ONE)
    assert isinstance(answer, Refusal if after == "hard" else Hold)
    assert (await books(ledger, changed))[0][0] == 80
    assert await books(ledger, purse(tenant, Budget(100, "day"), name="renamed")) == [(0, 0)]


# Requests at once


async def test_a_life_has_one_place_however_many_calls_it_makes(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant, Budget(2, "total", "at_once"))
    for call in range(3):
        await held(ledger, wallet, f"a{call}", ONE, "a")
    await held(ledger, wallet, "b0", ONE, "b")
    assert await books(ledger, wallet) == [(0, 2)]
    answer = await ledger.reserve(wallet, "c0", ONE, "c")
    assert isinstance(answer, Refusal)
    assert (answer.left, answer.resets_at) == (0, None)
    assert await ledger.open_holds(tenant) == 4
    ledger.leave(wallet, "a")
    await held(ledger, wallet, "c1", ONE, "c")


async def test_settling_keeps_the_place_and_time_gives_it_back(bench: Bench, tenant: str) -> None:
    ledger = bench.ledger
    wallet = purse(tenant, Budget(1, "total", "at_once"))
    await ledger.settle(await held(ledger, wallet, "a0", ONE, "a"), ONE)
    assert await books(ledger, wallet) == [(0, 1)]
    bench.time.move(TTL_S - 1)
    await held(ledger, wallet, "a1", ONE, "a")  # which renews it
    bench.time.move(TTL_S - 1)
    assert isinstance(await ledger.reserve(wallet, "b0", ONE, "b"), Refusal)
    bench.time.move(1)
    await held(ledger, wallet, "b1", ONE, "b")
    assert await books(ledger, wallet) == [(0, 1)]


async def test_a_place_that_is_renewed_lasts_as_long_as_its_request(
    bench: Bench, tenant: str
) -> None:
    """As of a stream that flows for longer than its hold lives; its process gives up at a kill."""
    ledger = bench.ledger
    wallet = purse(tenant, Budget(1, "total", "at_once"))
    await ledger.settle(await held(ledger, wallet, "a0", ONE, "a"), ONE)
    for _ in range(7):
        bench.time.move(TTL_S / 3)
        ledger.renew_places()
        assert isinstance(await ledger.reserve(wallet, "b0", ONE, "b"), Refusal)
        ledger.leave(wallet, "b")
    bench.time.move(TTL_S - 1)
    assert isinstance(await ledger.reserve(wallet, "b0", ONE, "b"), Refusal)
    bench.time.move(1)
    await held(ledger, wallet, "b1", ONE, "b")
    for _ in range(2):
        ledger.renew_places()
    assert await books(ledger, wallet) == [(0, 1)], "what is another's by now is not taken back"
    ledger.leave(wallet, "b")
    ledger.renew_places()
    assert await books(ledger, wallet) == [(0, 0)], "who has left is not renewed"


async def test_a_refused_call_takes_no_place_and_leaving_twice_is_leaving_once(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant, Budget(5, "day"), Budget(1, "total", "at_once"))
    await refused(ledger, wallet, "a0", ONE)
    assert await books(ledger, wallet) == [(0, 0), (0, 0)]
    await held(ledger, wallet, "b0", Amounts(Nanos(5)), "b")
    for _ in range(2):
        ledger.leave(wallet, "b")
    ledger.leave(wallet, "nobody")
    await held(ledger, wallet, "c0", Amounts(Nanos(0)), "c")


async def test_a_place_at_one_model_is_given_back_by_the_purse_of_all(
    ledger: Driver, tenant: str
) -> None:
    one = (Budget(1, "total", "at_once"),)
    wallet = Purse(tenant, (), per_call=(Account("model", "*", one, tenant),))
    there = wallet.of_call("small", "openai")
    await held(ledger, there, "a0", ONE, "a")
    await held(ledger, wallet.of_call("large", "openai"), "b0", ONE, "b")
    assert isinstance(await ledger.reserve(there, "c0", ONE, "c"), Refusal)
    ledger.leave(wallet, "a")
    await held(ledger, there, "c1", ONE, "c")


# Calendar periods


@pytest.mark.parametrize(
    ("per", "zone", "before", "after"),
    [
        ("minute", "Asia/Kolkata", "2060-04-01T09:59:59", "2060-04-01T10:00:00"),
        ("hour", "Asia/Kolkata", "2060-04-01T09:59:59", "2060-04-01T10:00:00"),
        ("hour", "Europe/Berlin", "2060-03-28T01:59:59", "2060-03-28T03:00:00"),
        ("day", "Pacific/Kiritimati", "2060-12-31T23:59:59", "2061-01-01T00:00:00"),
        ("day", "Europe/Berlin", "2060-03-28T23:59:59", "2060-03-29T00:00:00"),
        ("day", "Europe/Berlin", "2060-10-31T23:59:59", "2060-11-01T00:00:00"),
        ("week", "America/New_York", "2060-03-21T23:59:59", "2060-03-22T00:00:00"),
        ("month", "America/New_York", "2064-02-29T23:59:59", "2064-03-01T00:00:00"),
        ("month", "Europe/Berlin", "2060-10-31T23:59:59", "2060-11-01T00:00:00"),
    ],
)
async def test_what_is_held_before_a_period_ends_counts_in_it_and_only_there(
    bench: Bench, tenant: str, per: Per, zone: str, before: str, after: str
) -> None:
    ledger = bench.ledger
    wallet = Purse(tenant, (Account("user", "ann", (Budget(100, per),), tenant, zone),))
    first, then = (
        datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(zone)) for at in (before, after)
    )
    bench.time.to(first.timestamp())
    hold = await held(ledger, wallet, "h", Amounts(Nanos(60)))
    answer = await refused(ledger, wallet, "i", Amounts(Nanos(60)))
    assert answer.resets_at == then.timestamp() == bench.time.now + 1
    bench.time.move(1)
    assert await books(ledger, wallet) == [(0, 0)]
    await held(ledger, wallet, "j", Amounts(Nanos(90)))
    await ledger.settle(hold, Amounts(Nanos(50)))
    assert await books(ledger, wallet) == [(0, 90)]
    bench.time.move(-1)
    assert await books(ledger, wallet) == [(50, 0)]


# Rolling windows


@pytest.mark.parametrize("per", [*ROLLING_S])
async def test_a_rolling_budget_gives_back_what_is_older_than_its_window(
    bench: Bench, tenant: str, per: Per
) -> None:
    ledger, length = bench.ledger, ROLLING_S[per]
    slot = length / SLOTS
    wallet = purse(tenant, Budget(100, per, rolling=True))
    began = bench.time.now // slot * slot + slot
    bench.time.to(began)
    await ledger.settle(await held(ledger, wallet, "a", Amounts(Nanos(60))), Amounts(Nanos(60)))
    bench.time.to(began + 4 * slot)
    await ledger.settle(await held(ledger, wallet, "b", Amounts(Nanos(40))), Amounts(Nanos(40)))
    assert await books(ledger, wallet) == [(100, 0)]
    few, more = Amounts(Nanos(60)), Amounts(Nanos(61))
    assert (await refused(ledger, wallet, "c", few)).resets_at == began + length + slot
    assert (await refused(ledger, wallet, "d", more)).resets_at == began + length + 5 * slot
    bench.time.to(began + length)
    assert (await refused(ledger, wallet, "e", few)).left == 0, "not before a whole window is over"
    bench.time.to(began + length + slot)
    assert await books(ledger, wallet) == [(40, 0)]
    await held(ledger, wallet, "f", few)


async def test_what_is_settled_late_counts_when_it_was_held(bench: Bench, tenant: str) -> None:
    ledger = bench.ledger
    wallet = purse(tenant, Budget(100, "minute", rolling=True))
    early = await held(ledger, wallet, "a", Amounts(Nanos(60)))
    bench.time.move(120)
    late = await held(ledger, wallet, "b", Amounts(Nanos(30)))
    assert await books(ledger, wallet) == [(0, 90)], "what is held counts however old it is"
    await ledger.settle(early, Amounts(Nanos(55)))
    await ledger.settle(late, Amounts(Nanos(25)))
    assert await books(ledger, wallet) == [(25, 0)]


async def test_a_rolling_window_goes_on_when_a_clock_that_was_ahead_is_put_back(
    bench: Bench, tenant: str
) -> None:
    """It was full, and refused all, until the time came that the clock had told."""
    ledger = bench.ledger
    wallet = purse(tenant, Budget(100, "minute", rolling=True))
    hold = await held(ledger, wallet, "a", Amounts(Nanos(40)))
    await ledger.settle(await held(ledger, wallet, "b", Amounts(Nanos(50))), Amounts(Nanos(50)))
    bench.time.move(-1_200)
    assert (await refused(ledger, wallet, "c", Amounts(Nanos(20)))).left == 10, "it is spent"
    await ledger.settle(hold, Amounts(Nanos(30)))
    assert await books(ledger, wallet) == [(80, 0)]
    bench.time.move(65)
    assert await books(ledger, wallet) == [(0, 0)]
    for number in range(4):
        taken = await held(ledger, wallet, f"d{number}", Amounts(Nanos(90)))
        await ledger.settle(taken, Amounts(Nanos(90)))
        bench.time.move(65)


async def test_a_warning_by_a_clock_that_was_ahead_is_told_again_when_it_is_put_back(
    bench: Bench, tenant: str
) -> None:
    wallet = purse(tenant, Budget(100, "minute", rolling=True, mode="soft"))
    for number, (seconds, first) in enumerate([(0, True), (0, False), (-1_200, True), (0, False)]):
        bench.time.move(seconds)
        taken = await held(
            bench.ledger, wallet, f"h{number}", Amounts(Nanos(85 if number < 1 else 1))
        )
        await bench.ledger.settle(taken, taken.amounts)
        assert [(each.percent, each.first) for each in taken.warned] == [(80, first)]


async def test_in_no_window_is_more_than_the_cap(bench: Bench, tenant: str) -> None:
    ledger = bench.ledger
    wallet = purse(tenant, Budget(100, "hour", rolling=True))
    taken: list[tuple[float, int]] = []
    for number in range(150):
        bench.time.move(37.5 * (1 + number % 7))
        amount = 5 + number % 23
        answer = await ledger.reserve(wallet, f"h{number}", Amounts(Nanos(amount)))
        if isinstance(answer, Hold):
            await ledger.settle(answer, Amounts(Nanos(amount)))
            taken.append((bench.time.now, amount))
    assert len(taken) > 20
    for end, _ in taken:
        assert sum(amount for at, amount in taken if end - 3_600 < at <= end) <= 100


# Modes


def told(hold: Hold) -> Sequence[tuple[int, int, bool]]:
    """Which budget (by its cap), how far, and whether for the first time."""
    for each in hold.warned:
        share = 0 if each.budget.mode == "shadow" else each.budget.cap * each.percent // 100
        assert each.spent >= share
    return [(each.budget.cap, each.percent, each.first) for each in hold.warned]


@pytest.mark.parametrize("mode", ["hard", "soft"])
async def test_a_budget_warns_at_80_and_at_100_percent_and_says_once_that_it_is_the_first_time(
    bench: Bench, tenant: str, mode: Mode
) -> None:
    ledger = bench.ledger
    budget = Budget(100, "day", mode=mode)
    wallet = purse(tenant, budget)
    steps = [(79, []), (1, [(100, 80, True)]), (1, [(100, 80, False)]), (19, [(100, 100, True)])]
    warned: Sequence[Warned] = ()
    for number, (amount, expected) in enumerate(steps):
        hold = await held(ledger, wallet, f"h{number}", Amounts(Nanos(amount)))
        assert told(hold) == expected, amount
        warned = hold.warned
    ends = period("day", wallet.accounts[0].timezone, bench.time.now).end
    assert warned == (Warned(wallet.accounts[0], budget, 100, True, 100, ends),)
    answer = await ledger.reserve(wallet, "over", Amounts(Nanos(1)))
    if mode == "soft":
        assert isinstance(answer, Hold)
        assert told(answer) == [(100, 100, False)]
    else:
        assert isinstance(answer, Refusal)
        assert not answer.first, "it was told with the hold that reached the cap"


async def test_the_first_refusal_is_told_as_such_once_in_a_period(
    bench: Bench, tenant: str
) -> None:
    wallet = purse(tenant, Budget(5, "day"))
    firsts = [(await refused(bench.ledger, wallet, f"h{n}", ONE)).first for n in range(3)]
    assert firsts == [True, False, False]
    bench.time.move(86_400)
    assert (await refused(bench.ledger, wallet, "i", ONE)).first


@pytest.mark.parametrize(
    ("budget", "again_s"),
    [
        (Budget(10, "hour"), 3_600),
        (Budget(10, "hour", rolling=True), 3_750),
        (Budget(1, "total", "at_once", mode="soft"), 3_600),
    ],
)
async def test_a_warning_is_a_first_again_when_its_period_is_over(
    bench: Bench, tenant: str, budget: Budget, again_s: float
) -> None:
    wallet = purse(tenant, budget)
    for name, moved, first in (("a", 0, True), ("b", again_s - 1, False), ("c", 1, True)):
        bench.time.move(moved)
        hold = await held(bench.ledger, wallet, name, Amounts(Nanos(10)), name)
        assert told(hold)[0][1:] == (100, first), name
        await bench.ledger.void(tenant, name)
        bench.ledger.leave(wallet, name)
        await bench.ledger.sweep([tenant])


async def test_a_soft_budget_never_refuses(ledger: Driver, tenant: str) -> None:
    wallet = purse(tenant, Budget(5, "day", mode="soft"), Budget(0, "day", "tokens", mode="soft"))
    for number in range(3):
        assert len(told(await held(ledger, wallet, f"h{number}", ONE))) == 2
    assert await books(ledger, wallet) == [(0, 30), (0, 300)]


async def test_a_budget_in_shadow_tells_each_time_what_it_would_have_refused(
    ledger: Driver, tenant: str
) -> None:
    wallet = purse(tenant, Budget(25, "day", mode="shadow"), Budget(1_000, "day"))
    seen = [told(await held(ledger, wallet, f"h{number}", ONE)) for number in range(4)]
    assert seen == [[], [], [(25, 100, True)], [(25, 100, True)]]


async def test_budgets_that_share_a_bucket_are_each_themselves(ledger: Driver, tenant: str) -> None:
    wallet = purse(
        tenant, Budget(100, "day"), Budget(50, "day", mode="soft"), Budget(30, "day", mode="shadow")
    )
    hold = await held(ledger, wallet, "h", Amounts(Nanos(60)))
    assert told(hold) == [(50, 100, True), (30, 100, True)]
    assert (await refused(ledger, wallet, "i", Amounts(Nanos(41)))).budget.cap == 100
    assert await books(ledger, wallet) == [(0, 60)] * 3
