"""In which order a rung's candidates are asked: price, pace, load, and whose cache is warm."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from gateway.core.chat import ChatRequest
from gateway.core.money import Price
from gateway.core.order import Order, RankingFacts, describe, ordered
from gateway.core.pace import LatencyTracker
from gateway.core.prompt_caches import LIFETIME_S, Warmth, beginning

DEAR = Price(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_000)
CHEAP = Price(2_000_000_000, 10_000_000_000, 200_000_000, 2_000_000_000)


def facts(
    name: str, price: Price = DEAR, latency: str | None = None, prefix: int = 0
) -> RankingFacts:
    return RankingFacts(name, price, 10_000, prefix, 400, latency)


def a_with(prefix: int) -> RankingFacts:
    return facts("a", prefix=prefix)


def b_with(prefix: int) -> RankingFacts:
    return facts("b", CHEAP, prefix=prefix)


def unmarked(name: str, price: Price = DEAR) -> RankingFacts:
    return structs.replace(facts(name, price, prefix=9_500), caches=False)


def pace(**seconds: float) -> LatencyTracker:
    seen = LatencyTracker()
    for name, each in seconds.items():
        for _ in range(20):
            seen.call_started(name)
            seen.call_ended(name, each)
    return seen


@pytest.mark.parametrize(
    ("order", "them", "seen", "warm", "expected"),
    [
        ("listed", [facts("a"), facts("b")], LatencyTracker(), set(), "ab"),
        ("listed", [facts("a"), facts("b")], LatencyTracker(), {"b"}, "ba"),
        ("cheapest", [facts("a"), facts("b", CHEAP)], LatencyTracker(), set(), "ba"),
        ("cheapest", [facts("a"), facts("b")], LatencyTracker(), {"b"}, "ba"),
        # The beginning is nearly all of the prompt: to read it from a dear cache costs less.
        (
            "cheapest",
            [facts("b", CHEAP, prefix=9_500), facts("a", prefix=9_500)],
            LatencyTracker(),
            {"a"},
            "ab",
        ),
        # The beginning is little of it: moving is cheaper.
        (
            "cheapest",
            [facts("b", CHEAP, prefix=1_100), facts("a", prefix=1_100)],
            LatencyTracker(),
            {"a"},
            "ba",
        ),
        # Nothing is marked for a cache that holds only what is marked: nothing is read from it,
        ("cheapest", [unmarked("b", CHEAP), unmarked("a")], LatencyTracker(), {"a"}, "ba"),
        # nor written to it; where writing costs no more, what is read costs less unasked.
        ("cheapest", [facts("b", prefix=9_500), unmarked("a")], LatencyTracker(), set(), "ab"),
        ("cheapest", [unmarked("a"), unmarked("b", CHEAP)], LatencyTracker(), {"b"}, "ba"),
        ("fastest", [facts("a"), facts("b")], pace(a=2.0, b=0.4), set(), "ba"),
        (
            "fastest",
            [facts("a", latency="slow"), facts("b", latency="fast")],
            LatencyTracker(),
            set(),
            "ba",
        ),
        (
            "fastest",
            [facts("a", latency="fast"), facts("b", latency="slow")],
            pace(b=0.1),
            set(),
            "ba",
        ),
        ("fastest", [facts("a"), facts("b")], pace(a=0.4, b=0.4), {"b"}, "ba"),
    ],
)
def test_an_order(
    order: Order, them: list[RankingFacts], seen: LatencyTracker, warm: set[str], expected: str
) -> None:
    assert "".join(them[at].deployment for at in ordered(order, them, seen, warm)) == expected


@pytest.mark.parametrize(
    ("order", "of", "seen", "warm", "why"),
    [
        ("listed", facts("a"), LatencyTracker(), set(), "as listed"),
        ("cheapest", facts("a", CHEAP), LatencyTracker(), set(), "$0.024 at this hour"),
        ("cheapest", unmarked("a"), LatencyTracker(), {"a"}, "$0.036 at this hour"),
        (
            "cheapest", unmarked("b", CHEAP), LatencyTracker(), {"b"},
            "$0.0069 at this hour, its prompt cache holds the beginning",
        ),
        (
            "cheapest", b_with(9_500), LatencyTracker(), {"b"},
            "$0.0069 at this hour, its prompt cache holds the beginning",
        ),
        ("fastest", facts("a"), pace(a=0.4), set(), "half of its answers begin within 0.43 s"),
        (
            "fastest", facts("a", latency="slow"), LatencyTracker(), set(),
            "supposed to begin within 6 s: too little was seen",
        ),
        ("least_busy", facts("a"), LatencyTracker(), set(), "0 calls out"),
    ],
)  # fmt: skip
def test_what_a_place_goes_by(
    order: Order, of: RankingFacts, seen: LatencyTracker, warm: set[str], why: str
) -> None:
    assert describe(order, of, seen, warm) == why


def test_the_least_busy() -> None:
    seen = LatencyTracker()
    for name in "aab":
        seen.call_started(name)
    them = [facts("a"), facts("b"), facts("c")]
    assert ordered("least_busy", them, seen, set()) == [2, 1, 0]
    seen.call_ended("a", 1.0)
    seen.call_ended("a", None)
    assert [seen.in_flight(name) for name in "abc"] == [0, 1, 0]


def test_what_was_observed() -> None:
    assert pace(a=0.5).quantile("b", 0.5) is None
    seen = pace(a=0.5)
    half = seen.quantile("a", 0.5)
    assert half is not None
    assert 0.5 <= half <= 0.5 * 1.15
    for _ in range(300):
        seen.call_started("a")
        seen.call_ended("a", 3.0)
    late = seen.quantile("a", 0.5)
    assert late is not None
    assert late >= 3.0, "the recent weigh most"


@given(st.lists(st.floats(0, 1e6), min_size=10, max_size=50), st.floats(0.01, 1))
def test_no_pace_breaks_it(seconds: list[float], share: float) -> None:
    seen = LatencyTracker()
    for each in seconds:
        seen.call_started("a")
        seen.call_ended("a", each)
    found = seen.quantile("a", share)
    assert found is not None
    assert found > 0


def conversation(system: str, *turns: str, **fields: Any) -> ChatRequest:
    messages = [{"role": "system", "content": system}]
    messages += [{"role": "user", "content": turn} for turn in turns]
    whole = {"messages": messages, **fields}
    return ChatRequest({name: Raw(msgspec.json.encode(v)) for name, v in whole.items()}, "m")


LONG = "You are careful. " * 400


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (conversation(LONG, "a"), conversation(LONG, "a", "and b"), True),
        (conversation(LONG, "a"), conversation(LONG, "b"), False),
        (conversation(LONG, "a"), conversation(LONG + "!", "a"), False),
        (conversation(LONG, "a"), conversation(LONG, "a", tools=[{"type": "function"}]), False),
    ],
)
def test_what_begins_alike(one: ChatRequest, other: ChatRequest, same: bool) -> None:
    first, second = beginning(one), beginning(other)
    assert first is not None
    assert second is not None
    assert (first[0] == second[0]) is same


def test_a_short_beginning_is_nobodys() -> None:
    assert beginning(conversation("short", "a")) is None
    assert beginning(conversation("short", "a", "x" * 9_999)) is None


def test_a_cache_is_kept_for_a_while() -> None:
    warmth = Warmth()
    warmth.warmed(b"k", "a", 0.0)
    warmth.warmed(b"k", "b", 100.0)
    assert warmth.warm(b"k", 200.0) == {"a", "b"}
    assert warmth.warm(b"k", LIFETIME_S) == {"b"}
    assert warmth.warm(b"other", 0.0) == frozenset()


@pytest.mark.parametrize(
    ("deployment", "an_hour", "until"),
    [
        ("short", False, 60.0),
        ("long", False, 7_200.0),
        ("unsaid", False, LIFETIME_S),
        ("short", True, 3_600.0),
        ("long", True, 7_200.0),
    ],
)
def test_each_provider_has_its_own_lifetime(deployment: str, an_hour: bool, until: float) -> None:
    warmth = Warmth({"short": 60.0, "long": 7_200.0})
    warmth.warmed(b"k", deployment, 0.0, an_hour=an_hour)
    assert warmth.warm(b"k", until - 1.0) == {deployment}
    assert warmth.warm(b"k", until) == frozenset()


def test_what_is_remembered_is_bounded() -> None:
    warmth = Warmth()
    for number in range(60_000):
        warmth.warmed(str(number).encode(), "a", 0.0)
    assert warmth.warm(b"0", 1.0) == frozenset()
    assert warmth.warm(b"59999", 1.0) == {"a"}
