"""What a process may spend while the ledger is away, by what it knew, and when."""

from datetime import UTC, datetime

import pytest

from gateway.core.accounts import Account, Amounts, Balance, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.local_rooms import BalanceQuery, Demand, Rooms, give_back

MIDNIGHT = datetime(2026, 3, 15, tzinfo=UTC).timestamp()
DAY = Budget(100, "day")
ROLLING = Budget(100, "day", rolling=True)
TOTAL = Budget(100, "total")
TEN = Amounts(Nanos(10))


class Known:
    """One budget of one account; times are seconds from midnight."""

    def __init__(self, budget: Budget, replicas: int) -> None:
        self.now = 0.0
        self.rooms = Rooms(replicas, lambda: self.now, lambda: MIDNIGHT + self.now)
        self.account = Account("tenant", "acme", (budget,), "acme")
        self.purse = Purse("acme", (self.account,))

    def learn(self, at: float, spent: int, held: int = 0) -> None:
        self.now = at
        look = BalanceQuery(self.rooms.watch(self.purse), at)
        look.learn([Balance(self.account, self.account.budgets[0], spent, held)])

    def fit(self, at: float, since: float) -> int:
        """How many of ten."""
        self.now = at
        found = 0
        while True:
            wanted = self.rooms.demand(self.purse, TEN, f"l{found}")
            if not self.rooms.fits_shares(wanted, since)[0]:
                return found
            self.rooms.take(wanted, f"l{found}")
            found += 1


@pytest.mark.parametrize(
    ("budget", "replicas", "read", "away", "asked", "fit"),
    [
        (TOTAL, 1, 100, 101, 102, 6),
        (TOTAL, 2, 100, 101, 102, 3),
        (TOTAL, 2, 100, 110, 5_000, 3),  # it was known when the ledger went away
        (TOTAL, 2, 100, 111, 112, 0),  # it was too long ago
        (TOTAL, 7, 100, 101, 102, 0),
        (DAY, 2, -5, -4, -3, 3),
        (DAY, 2, -5, -4, 3, 5),  # a new day began meanwhile
        (DAY, 2, -5, 4, 5, 5),
        (DAY, 2, -50, 4, 5, 0),
        (ROLLING, 2, -5, -4, 3, 3),  # nothing begins anew
    ],
)
def test_a_share(
    budget: Budget, replicas: int, read: float, away: float, asked: float, fit: int
) -> None:
    known = Known(budget, replicas)
    known.learn(read, spent=30, held=10)
    assert known.fit(asked, since=away) == fit


def test_a_new_day_begins_with_a_share_of_the_cap_once() -> None:
    known = Known(DAY, 2)
    known.learn(-5, spent=0)
    assert [known.fit(at, since=-4) for at in (-3, -2, 3, 4)] == [5, 0, 5, 0]


def test_a_rolling_window_begins_with_a_share_less_what_was_taken_of_the_one_before() -> None:
    """So in none is more than a share of the cap, whoever spent it."""
    known = Known(ROLLING, 2)
    known.learn(-5, spent=40)
    window = 25 * 3_600
    taken = [known.fit(at, since=-4) for at in (0, window - 1, window, window + 1)]
    assert taken == [3, 0, 2, 0]
    assert known.fit(2 * window, since=-4) == 3
    assert known.fit(4 * window, since=-4) == 5, "nothing was taken for a whole window"
    assert known.fit(5 * window, since=-4) == 0
    assert known.fit(6 * window, since=-4) == 5


def test_what_is_given_back_of_an_earlier_share_is_not_left_of_this_one() -> None:
    known, window = Known(ROLLING, 1), 25 * 3_600
    known.learn(0, spent=0)
    demand = known.rooms.demand(known.purse, Amounts(Nanos(60)), "a")
    assert known.rooms.fits_shares(demand, 0)[0]
    known.rooms.take(demand, "a")
    known.now = window
    assert known.rooms.fits_shares(known.rooms.demand(known.purse, TEN, "b"), 0) == (True, 30)
    give_back(demand, Amounts(Nanos(60)), Amounts(Nanos(20)))
    assert [known.fit(number * window, since=0) for number in (1, 2, 3)] == [4, 6, 4]


def test_in_no_window_without_the_ledger_is_more_than_the_cap() -> None:
    known = Known(ROLLING, 1)
    known.learn(0, spent=35)
    held: list[tuple[float, Demand, int]] = []
    spent = [(-1.0, 35)]
    for number in range(3_000):
        known.now += 60 * (1 + number * 37 % 101)
        amount = 1 + number * 13 % 23
        demand = known.rooms.demand(known.purse, Amounts(Nanos(amount)), f"l{number}")
        if known.rooms.fits_shares(demand, 0)[0]:
            known.rooms.take(demand, f"l{number}")
            held.append((known.now, demand, amount))
        while len(held) > number * 7 % 5:
            at, demand, amount = held.pop(0)
            give_back(demand, Amounts(Nanos(amount)), Amounts(Nanos(amount // 2)))
            spent.append((at, amount // 2))
    assert len(spent) > 500
    for end, _ in spent:
        assert sum(amount for at, amount in spent if end - 86_400 < at <= end) <= 100


def test_what_is_not_known_is_not_spent() -> None:
    assert Known(TOTAL, 1).fit(10, since=5) == 0


def test_what_this_process_took_since_is_not_left() -> None:
    """Held before or after the ledger said what is left: it may be in what it said, or not."""
    known = Known(TOTAL, 1)
    wanted = known.rooms.demand(known.purse, TEN, "a")
    known.rooms.begin(wanted, "a")
    known.learn(1, spent=0)
    known.rooms.answered(wanted, "a", held=True)
    later = known.rooms.demand(known.purse, TEN, "b")
    known.rooms.begin(later, "b")
    known.rooms.answered(later, "b", held=True)
    refused = known.rooms.demand(known.purse, TEN, "c")
    known.rooms.begin(refused, "c")
    known.rooms.answered(refused, "c", held=False)
    assert known.fit(2, since=2) == 8


def test_once_the_ledger_is_back_it_has_to_be_asked_again() -> None:
    known = Known(TOTAL, 1)
    known.learn(1, spent=0)
    assert known.fit(2, since=2) == 10
    known.rooms.forget_shares("acme")
    assert known.fit(3, since=3) == 0
    known.learn(4, spent=90)
    assert known.fit(5, since=5) == 1


def test_purses_that_are_watched_are_bounded() -> None:
    rooms = Rooms(1, lambda: 0.0, lambda: MIDNIGHT)
    for number in range(10_000):
        rooms.watch(Purse("acme", (Account("user", f"u{number}", (TOTAL,), "acme"),)))
        rooms.trim()
    assert (len(rooms._watched), len(rooms._rooms)) == (4_096, 4_096)
