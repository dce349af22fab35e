"""Plans: values in, amounts out, and the documents' own table to the dollar."""

from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.calculator import (
    HOURS,
    Climb,
    Load,
    Machines,
    Rates,
    average,
    break_even,
    month,
    one_call,
    one_mixed,
    one_request,
    own_month,
    sets_for,
    spread,
)
from gateway.core.chat import Usage
from gateway.core.money import PER_USD, Price, cost, nanos

HALF: Final = Fraction(1, 2)


def price(fresh: str, out: str, cached: str | None = None, write: str | None = None) -> Price:
    return Price(nanos(fresh), nanos(out), nanos(cached or fresh), nanos(write or fresh))


def rates(fresh: str, out: str, cached: str | None = None, batch: Fraction = Fraction(1)) -> Rates:
    return average({price(fresh, out, cached): 1}, batch)


# ---- one load at one price

RAG: Final = Load(100_000, 4_000, 500)


@pytest.mark.parametrize(
    ("model", "fresh", "out", "usd"),
    [
        ("opus", "15", "75", 9_750),
        ("sonnet", "3", "15", 1_950),
        ("haiku", "0.80", "4", 520),
        ("gpt-5", "10", "40", 6_000),
        ("gemini pro", "7", "21", 3_850),
        ("gemini flash", "0.30", "2.50", 245),
        ("llama 70b", "0.70", "0.80", 320),
        ("llama 8b", "0.10", "0.10", 45),
        ("deepseek v3", "0.27", "1.10", 163),
    ],
)
def test_the_documents_rag_table(model: str, fresh: str, out: str, usd: int) -> None:
    assert month(one_request(rates(fresh, out), RAG), RAG.requests) == usd * PER_USD


# The documents' other totals: what their own prices make of them.
@pytest.mark.parametrize(
    ("load", "fresh", "out", "usd"),
    [
        (Load(1, 30_000_000, 20_000_000), "5", "15", 450),
        (Load(30_000_000, 1_000, 500), "1.74", "3.48", 104_400),
        (Load(30_000_000, 1_000, 500), "0.14", "0.28", 8_400),
        (Load(30_000_000, 1_000, 500), "5", "30", 600_000),
    ],
)
def test_what_the_documents_other_prices_make(load: Load, fresh: str, out: str, usd: int) -> None:
    assert month(one_request(rates(fresh, out), load), load.requests) == usd * PER_USD


TENTH: Final = rates("10", "40", "1", HALF)


@pytest.mark.parametrize(
    ("cached", "written", "batch", "usd"),
    [
        ("0", "0", "0", 6_000),  # 4,000 for input, 2,000 for output
        ("1", "0", "0", 2_400),  # 400 and 2,000: input x (1 - 0.9 x 1)
        ("1/2", "0", "0", 4_200),  # input x (1 - 0.9 x 0.5)
        ("0", "0", "1", 3_000),  # all x 0.5
        ("0", "0", "1/4", 5_250),
        ("1/2", "0", "1", 2_100),  # both
        ("1/2", "1/2", "0", 4_200),  # what is written costs as much as input here
    ],
)
def test_caches_and_batches(cached: str, written: str, batch: str, usd: int) -> None:
    load = Load(100_000, 4_000, 500, Fraction(cached), Fraction(written), Fraction(batch))
    assert month(one_request(TENTH, load), load.requests) == usd * PER_USD


def test_writing_a_cache_has_its_own_price() -> None:
    load = Load(1_000_000, 1, 0, cached=HALF, cache_write=HALF)
    dearer = average({price("4", "0", "0.4", "5"): 1})
    assert month(one_request(dearer, load), load.requests) == nanos("2.70")


def test_hours_are_averaged_by_their_minutes() -> None:
    found = average({price("2", "8", "1"): 360, price("1", "4", "0.5"): 1080}, HALF)
    wanted = [Fraction(each * PER_USD) for each in (Fraction(5, 4), 5, Fraction(5, 8))]
    assert [found.input, found.output, found.cached_input, found.batch] == [*wanted, HALF]


def test_a_sum_is_rounded_once_upwards() -> None:
    third = average({Price(1, 0, 0, 0): 1, Price(0, 0, 0, 0): 2})  # a third of a nano a million
    request = one_request(third, Load(1, 1, 0))
    assert request == Fraction(1, 3_000_000)
    assert [month(request, n) for n in (0, 1, 3_000_000, 3_000_001)] == [0, 1, 1, 2]


TOKENS: Final = st.integers(0, 10**6)
_CACHED: Final = st.integers(0, 10**5)
USAGES: Final = st.builds(Usage, TOKENS, TOKENS, _CACHED, _CACHED, cache_write_1h=_CACHED).map(
    lambda usage: structs.replace(
        usage, cache_write_1h=min(usage.cache_write_1h, usage.cache_write)
    )
)
"""What is written for an hour is part of what is written."""
PRICES: Final = st.builds(Price, *[st.integers(0, 10**12)] * 4)


@given(PRICES, USAGES)
def test_a_call_costs_what_a_settle_charges(each: Price, usage: Usage) -> None:
    assert month(one_call(average({each: 7}), usage), 1) == cost(each, usage)


# ---- mixes

ONE_AND_25: Final = {"cheap": Fraction(1), "mid": Fraction(5), "smart": Fraction(25)}


@pytest.mark.parametrize(
    ("mix", "each"),
    [
        ([("cheap", "1")], "1"),
        ([("cheap", "9/10"), ("smart", "1/10")], "3.4"),  # sent there at once
        ([("cheap", "9/10"), ("cheap+smart", "1/10")], "3.5"),  # tried, rejected, tried again
        ([("cheap", "7/10"), ("cheap+mid", "2/10"), ("cheap+mid+smart", "1/10")], "5"),
        ([("cheap+cheap", "0.85"), ("cheap+cheap+smart", "0.15")], "5.75"),  # the documents' vote
    ],
)  # fmt: skip
def test_a_rejected_answer_is_paid_as_well(mix: list[tuple[str, str]], each: str) -> None:
    climbs = [Climb(tuple(names.split("+")), Fraction(share)) for names, share in mix]
    assert one_mixed(climbs, ONE_AND_25) == Fraction(each)


def test_calls_of_a_mix() -> None:
    climbs = [Climb(("a",), Fraction(3, 4)), Climb(("a", "b"), Fraction(1, 4))]
    assert spread(climbs) == {"a": 1, "b": Fraction(1, 4)}


# ---- machines of one's own


def machines(gpu_hour: int, room: int, people: int, gpus: int = 1) -> tuple[Machines, int]:
    """A set that serves `room` requests of one token each a month."""
    found = Machines(gpu_hour, gpus, Fraction(room, HOURS * 3600), Fraction(1), people)
    whole = found.room(Fraction(1))
    assert whole == room
    return found, room


@pytest.mark.parametrize(
    ("speed", "busy", "completion", "room"),
    [
        ("1", "1", "1", 2_592_000),
        ("1000", "1/2", "500", 2_592_000),
        ("1", "1", "2592001", 0),
        ("1", "1", "0", None),
    ],
)
def test_what_a_set_serves(speed: str, busy: str, completion: str, room: int | None) -> None:
    found = Machines(0, 1, Fraction(speed), Fraction(busy), 0).room(Fraction(completion))
    assert found == room


def test_what_a_month_of_machines_costs() -> None:
    """Eight A100 for 2.50 USD an hour each, and half of an engineer."""
    eight = Machines(nanos("2.50"), 8, Fraction(1), Fraction(1), nanos(5_833))
    assert [own_month(eight, sets) for sets in (1, 2)] == [nanos(20_233), nanos(34_633)]
    assert [sets_for(100, n) for n in (0, 1, 100, 101)] == [1, 1, 1, 2]
    assert sets_for(None, 10**9) == 1


@pytest.mark.parametrize(
    ("gpu_hour", "room", "people", "request_nanos", "requests"),
    [
        (1, 10_000, 0, "1", 720),  # 720 hours
        (1, 10_000, 280, "1", 1_000),
        (1, 10_000, 280, "1/3", 3_000),
        (1, 720, 0, "1", 720),  # pays when it is full
        (1, 719, 0, "1", None),  # not even then
        (1, 720, 1, "1", None),
        (1, 1_000, 1_000, "1", 3_880),  # four sets: 4 x 720 + 1,000, of 4,000
        (1, 1_000, 1_120, "1", 4_000),  # exactly full
        (1, 10_000, 0, "0", None),  # nothing is cheaper than free
        (0, 10, 0, "1", 1),
    ],
)
def test_the_least_volume_that_pays(
    gpu_hour: int, room: int, people: int, request_nanos: str, requests: int | None
) -> None:
    own, served = machines(gpu_hour, room, people)
    assert break_even(own, served, Fraction(request_nanos)) == requests


def test_without_answers_only_the_bill_counts() -> None:
    own, _ = machines(1, 10, 0)
    assert break_even(own, None, Fraction(1, 2)) == 1_440


TRIED: Final = 5_000


@settings(deadline=None)
@given(
    st.integers(0, 3),
    st.integers(1, 3_000),
    st.integers(0, 3_000),
    st.fractions(Fraction(1, 4), 4, max_denominator=8),
)
def test_it_is_the_least(gpu_hour: int, room: int, people: int, request_nanos: Fraction) -> None:
    own, served = machines(gpu_hour, room, people)

    def pays(requests: int) -> bool:
        return own_month(own, sets_for(served, requests)) <= request_nanos * requests

    found = break_even(own, served, request_nanos)
    least = next((n for n in range(1, TRIED) if pays(n)), None)
    assert least == (None if found is None or found >= TRIED else found)


@given(st.integers(1, 3), st.integers(1, 10**6), st.integers(0, 10**9), st.integers(1, 10**4))
def test_it_pays_and_one_less_does_not(
    gpu_hour: int, room: int, people: int, request_nanos: int
) -> None:
    own, served = machines(gpu_hour, room, people)
    least = break_even(own, served, Fraction(request_nanos))
    if least is not None:
        bills = [
            own_month(own, sets_for(served, n)) - request_nanos * n for n in (least, least - 1)
        ]
        assert bills[0] <= 0 < bills[1]
