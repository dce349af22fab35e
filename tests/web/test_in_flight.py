"""How many requests may be served at once, in all and of each key."""

import pytest

from gateway.core.errors import Busy
from gateway.core.snapshot import Limits
from gateway.web.in_flight import InFlight, Slots

LIMITS = Limits(in_flight=3, in_flight_per_key=2)


def test_whoever_comes_with_a_key_takes_of_the_same_seats() -> None:
    in_flight = InFlight(LIMITS)
    one, again, other = (in_flight.slots(who) for who in ("a/1", "a/1", "a/2"))
    assert one is again is not other


@pytest.mark.parametrize(
    ("comes", "let_in"),
    [
        ("aa", [True, True]),
        ("aaa", [True, True, False]),
        ("aaab", [True, True, False, True]),
        ("abcd", [True, True, True, False]),
        ("aabbc", [True, True, True, False, False]),
    ],
)
def test_so_many_and_no_more(comes: str, let_in: list[bool]) -> None:
    in_flight = InFlight(LIMITS)
    seats = {who: in_flight.slots(who) for who in comes}
    served: list[Slots] = []
    for who, expected in zip(comes, let_in, strict=True):
        if expected:
            in_flight.acquire(seats[who])
            served.append(seats[who])
        else:
            with pytest.raises(Busy):
                in_flight.acquire(seats[who])
    assert in_flight.total == len(served)
    for each in served:
        in_flight.release(each)
    assert (in_flight.total, {each.taken for each in seats.values()}) == (0, {0})


def test_other_limits_count_for_whoever_comes_then() -> None:
    in_flight = InFlight(LIMITS)
    seats = in_flight.slots("a/1")
    in_flight.acquire(seats)
    in_flight.limits = Limits(in_flight=3, in_flight_per_key=1)
    with pytest.raises(Busy):
        in_flight.acquire(seats)
    in_flight.release(seats)
    in_flight.acquire(seats)


def test_a_key_is_forgotten_with_the_last_who_comes_with_it() -> None:
    in_flight = InFlight(LIMITS)
    seats = in_flight.slots("a/1")
    assert [*in_flight.by_key] == ["a/1"]
    del seats
    assert [*in_flight.by_key] == []
