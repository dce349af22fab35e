"""What a lease's arithmetic says, as tables."""

import pytest

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.leases import CALLS, Lease, Part, can_be_leased, slice_of, split
from gateway.core.money import Nanos
from gateway.core.records.entry import Entry, Kind
from gateway.core.snapshot import Leasing

ONE = Amounts(Nanos(10), 100, 1)


def purse(*budgets: Budget) -> Purse:
    return Purse("t", (Account("tenant", "t", budgets, "t"),))


def balance(budget: Budget, spent: int = 0, held: int = 0) -> Balance:
    return Balance(Account("tenant", "t", (budget,), "t"), budget, spent, held)


def lease(nanos: int = 100, tokens: int = 0, *, bounds_tokens: bool = False) -> Lease:
    hold = Hold("lease", purse(), Amounts(Nanos(nanos), tokens), Nanos(900))
    return Lease(hold, 2.0, 10.0, bounds_tokens=bounds_tokens)


@pytest.mark.parametrize(
    ("budget", "can"),
    [
        (Budget(1, "day"), True),
        (Budget(1, "hour", "tokens", rolling=True), True),
        (Budget(1, "day", mode="soft"), True),
        (Budget(1, "day", mode="shadow"), False),
        (Budget(1, "minute", "requests"), False),
        (Budget(1, "total", "at_once"), False),
    ],
    ids=str,
)
def test_a_purse_is_leased_only_where_that_is_exact(budget: Budget, can: bool) -> None:
    assert can_be_leased(purse(Budget(9, "total"), budget)) is can


@pytest.mark.parametrize(
    ("rows", "most", "sliced", "expected"),
    [
        ([], 10**6, 0, (CALLS * 10, 0)),
        ([], 100, 0, (100, 0)),  # what one process may hold ahead
        ([], 100, 55, (40, 0)),  # and holds already: a whole number of calls
        ([], 100, 61, None),  # less than four of them
        ([], 100, 160, None),
        ([balance(Budget(100_000, "day"))], 10**6, 0, (CALLS * 10, 0)),
        ([balance(Budget(100_000, "day"), 60_000, 5_000)], 10**6, 0, (140, 0)),
        ([balance(Budget(100_000, "day"), 60_000, 16_000)], 10**6, 0, None),
        ([balance(Budget(100_000, "day"), 90_000)], 10**6, 0, None),  # it warns already
        ([balance(Budget(100_000, "day", mode="soft"), 90_000)], 10**6, 0, None),
        ([balance(Budget(90_000, "day", "tokens"))], 10**6, 0, (70, 700)),
        ([balance(Budget(10**9, "day", "tokens")), balance(Budget(10_000, "day"))], 10**6, 0,
         (70, 700)),
    ],
)  # fmt: skip
def test_a_slice(
    rows: list[Balance], most: int, sliced: int, expected: tuple[int, int] | None
) -> None:
    found = slice_of(rows, ONE, Leasing(most), sliced)
    assert (found and (found.nanos, found.tokens)) == expected


def test_slices_that_are_asked_together_know_of_each_other() -> None:
    rows, leasing = [balance(Budget(100_000, "day"), 60_000, 5_000)], Leasing(10**6)
    first = slice_of(rows, ONE, leasing, 0)
    assert first == Amounts(Nanos(140))
    assert slice_of(rows, ONE, leasing, 140, [Amounts(Nanos(10_000))]) == Amounts(Nanos(40))


def test_what_costs_nothing_can_be_leased() -> None:
    assert slice_of([], Amounts(Nanos(0), 5, 1), Leasing(100), 0) == Amounts(Nanos(0))


def test_a_call_gives_back_what_it_did_not_cost() -> None:
    mine = lease(nanos=25)
    assert mine.take("a", ONE, "life", 0.0) == Hold("a", purse(), ONE, Nanos(915))
    assert mine.take("b", ONE, "life", 0.0) == Hold("b", purse(), ONE, Nanos(905))
    assert mine.take("c", ONE, "life", 0.0) is None
    mine.settle("a", Amounts(Nanos(3), 7), None)
    mine.release("b")
    assert (mine.nanos, mine.cost) == (22, Amounts(Nanos(3), 7))
    assert mine.parts == [Part("a", 3, 7, 1)]


def test_what_bounds_a_lease() -> None:
    assert lease(tokens=99, bounds_tokens=True).take("a", ONE, "", 0.0) is None
    assert lease(tokens=0).take("a", ONE, "", 0.0) is not None, "tokens have no cap"
    assert lease().take("a", ONE, "", 2.0) is None, "it is old"
    closed = lease()
    closed.closed = True
    assert closed.take("a", ONE, "", 0.0) is None
    full = lease(10**6)
    assert all(full.take(f"h{n}", ONE, "", 0.0) for n in range(CALLS))
    assert full.take("more", ONE, "", 0.0) is None
    assert not full.finished
    for number in range(CALLS):
        full.settle(f"h{number}", Amounts(Nanos(1)), None)
    assert full.finished


def test_what_is_no_cost_leaves_the_call_under_way() -> None:
    mine = lease()
    mine.take("a", ONE, "", 0.0)
    with pytest.raises(ValueError, match="not an amount"):
        mine.settle("a", Amounts(float("nan")), None)  # type: ignore[arg-type]
    mine.settle("a", Amounts(Nanos(2**60)), None)
    assert mine.cost.nanos == 2**53 - 1


@pytest.mark.parametrize(
    ("kind", "charged", "expected"),
    [
        ("settled", (5, 9), [("settled", "a", 2, 4, 1), ("settled", "b", 3, 5, 0)]),
        ("charged", (5, 9), [("charged", "a", 2, 4, 1), ("charged", "b", 3, 5, 0)]),
        (
            "corrected",
            (5 - 320, 9),
            [("settled", "a", 2, 4, 1), ("settled", "b", 3, 5, 0), ("corrected", "L", -320, 0, 0)],
        ),
        (
            "settled",  # more than can be counted at once was charged as what can
            (4, 9),
            [("settled", "a", 2, 4, 1), ("settled", "b", 3, 5, 0), ("settled", "L", -1, 0, 0)],
        ),
    ],
)
def test_the_entries_of_a_lease_add_up_to_it(
    kind: Kind, charged: tuple[int, int], expected: list[tuple[str, str, int, int, int]]
) -> None:
    nanos, tokens = charged
    whole = Entry("1-0", 7, "e", kind, "L", Amounts(Nanos(nanos), tokens), (), None)
    found = split(whole, [Part("a", 2, 4, 1), Part("b", 3, 5, 0)])
    told = [(e.kind, e.hold, e.charged.nanos, e.charged.tokens, e.charged.requests) for e in found]
    assert told == expected
    assert {(each.at, each.seq, each.epoch) for each in found} == {("1-0", 7, "e")}
