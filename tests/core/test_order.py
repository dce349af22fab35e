"""In which order a rung's candidates are asked: price, pace, load, and whose cache is warm."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.chat import ChatRequest
from gateway.core.money import Price
from gateway.core.order import Order, RankingFacts, describe, ordered
from gateway.core.pace import Pace
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


def pace(**seconds: float) -> Pace:
    seen = Pace()
    for name, each in seconds.items():
        for _ in range(20):
            seen.asking(name)
            seen.answered(name, each)
    return seen


@pytest.mark.parametrize(
    ("order", "them", "seen", "warm", "expected"),
    [
        ("listed", [facts("a"), facts("b")], Pace(), set(), "ab"),
        ("listed", [facts("a"), facts("b")], Pace(), {"b"}, "ba"),
        ("cheapest", [facts("a"), facts("b", CHEAP)], Pace(), set(), "ba"),
        ("cheapest", [facts("a"), facts("b")], Pace(), {"b"}, "ba"),
        # The beginning is nearly all of the prompt: to read it from a dear cache costs less.
        (
            "cheapest",
            [facts("b", CHEAP, prefix=9_500), facts("a", prefix=9_500)],
            Pace(),
            {"a"},
            "ab",
        ),
        # The beginning is little of it: moving is cheaper.
        (
            "cheapest",
            [facts("b", CHEAP, prefix=1_100), facts("a", prefix=1_100)],
            Pace(),
            {"a"},
            "ba",
        ),
        ("fastest", [facts("a"), facts("b")], pace(a=2.0, b=0.4), set(), "ba"),
        (
            "fastest",
            [facts("a", latency="slow"), facts("b", latency="fast")],
            Pace(),
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
    order: Order, them: list[RankingFacts], seen: Pace, warm: set[str], expected: str
) -> None:
    assert "".join(them[at].deployment for at in ordered(order, them, seen, warm)) == expected


@pytest.mark.parametrize(
    ("order", "of", "seen", "warm", "why"),
    [
        ("listed", facts("a"), Pace(), set(), "as listed"),
        ("cheapest", facts("a", CHEAP), Pace(), set(), "$0.024 at this hour"),
        (
            "cheapest", b_with(9_500), Pace(), {"b"},
            "$0.0069 at this hour, its prompt cache holds the beginning",
        ),
        ("fastest", facts("a"), pace(a=0.4), set(), "half of its answers begin within 0.43 s"),
        (
            "fastest", facts("a", latency="slow"), Pace(), set(),
            "supposed to begin within 6 s: too little was seen",
        ),
        ("least_busy", facts("a"), Pace(), set(), "0 calls out"),
    ],
)  # fmt: skip
def test_what_a_place_goes_by(
    order: Order, of: RankingFacts, seen: Pace, warm: set[str], why: str
) -> None:
    assert describe(order, of, seen, warm) == why


def test_the_least_busy() -> None:
    seen = Pace()
    for name in "aab":
        seen.asking(name)
    them = [facts("a"), facts("b"), facts("c")]
    assert ordered("least_busy", them, seen, set()) == [2, 1, 0]
    seen.answered("a", 1.0)
    seen.answered("a", None)
    assert [seen.busy(name) for name in "abc"] == [0, 1, 0]


def test_what_was_observed() -> None:
    assert pace(a=0.5).within("b", 0.5) is None
    seen = pace(a=0.5)
    half = seen.within("a", 0.5)
    assert half is not None
    assert 0.5 <= half <= 0.5 * 1.15
    for _ in range(300):
        seen.asking("a")
        seen.answered("a", 3.0)
    late = seen.within("a", 0.5)
    assert late is not None
    assert late >= 3.0, "the recent weigh most"


@given(st.lists(st.floats(0, 1e6), min_size=10, max_size=50), st.floats(0.01, 1))
def test_no_pace_breaks_it(seconds: list[float], share: float) -> None:
    seen = Pace()
    for each in seconds:
        seen.asking("a")
        seen.answered("a", each)
    found = seen.within("a", share)
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
