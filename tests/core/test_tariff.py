"""Prices by the hour and by the host, and tokenizers that make more tokens of a text."""

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.catalog import Catalog, Deployment, Model, Tenant
from gateway.core.chat import Usage
from gateway.core.features import Features
from gateway.core.ladder import ladders
from gateway.core.money import Audio, Price, Surcharges, ceiling, cost
from gateway.core.plan import Candidate, PlanContext, make_plan, peak_price
from gateway.core.tariff import DAY, Step, Tariff, Window
from gateway.core.tokens import Bound

RATE: Final = 10**6  # one nano-dollar a token
USUAL: Final = Price(4 * RATE, 8 * RATE, 2 * RATE, 5 * RATE)
HALF: Final = Price(2 * RATE, 4 * RATE, 1 * RATE, 2_500_000)
DEAR: Final = Price(9 * RATE, 6 * RATE, 2 * RATE, 5 * RATE)


def at(time: str, day: str = "2026-06-15") -> float:
    """Unix seconds."""
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC).timestamp()


NIGHT: Final = Window(16 * 60 + 30, 30, HALF)
PEAK: Final = Window(60, 240, DEAR)
TOKYO: Final = Window(60, 240, HALF, "Asia/Tokyo")
BERLIN: Final = Window(60, 240, HALF, "Europe/Berlin")


@pytest.mark.parametrize(
    ("windows", "when", "price"),
    [
        ((), at("12:00"), USUAL),
        ((NIGHT,), at("16:29:59"), USUAL),
        ((NIGHT,), at("16:30"), HALF),
        ((NIGHT,), at("23:59:59"), HALF),
        ((NIGHT,), at("00:00"), HALF),
        ((NIGHT,), at("00:29:59"), HALF),
        ((NIGHT,), at("00:30"), USUAL),
        ((PEAK, NIGHT), at("01:00"), DEAR),
        ((PEAK, NIGHT), at("04:00"), USUAL),
        ((Window(0, 1440, HALF),), at("23:59:59"), HALF),
        ((TOKYO,), at("16:00"), HALF),
        ((TOKYO,), at("19:00"), USUAL),
        # The clock there, be it summer or winter.
        ((BERLIN,), at("00:30", "2026-01-15"), HALF),
        ((BERLIN,), at("23:30", "2026-01-15"), USUAL),
        ((BERLIN,), at("23:30", "2026-06-15"), HALF),
    ],
)
def test_the_price_of_a_minute(windows: tuple[Window, ...], when: float, price: Price) -> None:
    assert Tariff(USUAL, windows).at(when) == price


def test_the_dearest_is_held_for_rate_by_rate() -> None:
    most = Price(9 * RATE, 8 * RATE, 2 * RATE, 5 * RATE)
    assert Tariff(USUAL, (NIGHT, PEAK)).within(0) == most
    assert Tariff(USUAL).within(10**9) == USUAL


@pytest.mark.parametrize(
    ("began", "ended", "cost"),
    [("12:00", "12:01", 400), ("17:00", "17:01", 200), ("16:29", "16:31", 400),
     ("00:29", "00:31", 400)],
)  # fmt: skip
def test_across_the_edge_of_a_window_the_dearer_counts(began: str, ended: str, cost: int) -> None:
    assert Tariff(USUAL, (NIGHT,)).cost(Usage(100), at(began), at(ended)) == cost


# By the length of the prompt ----------------------------------------------------------------------

DOUBLE: Final = Price(8 * RATE, 16 * RATE, 4 * RATE, 10 * RATE)
LONG: Final = Tariff(USUAL, (), (Step(200, DOUBLE),))
LONGEST: Final = Tariff(HALF, (), (Step(100, USUAL), Step(200, DOUBLE)))
LONG_NIGHTS: Final = Tariff(
    USUAL, (structs.replace(NIGHT, steps=(Step(100, USUAL),)),), (Step(200, DOUBLE),)
)


@pytest.mark.parametrize(
    ("tariff", "prompt", "when", "price"),
    [
        (LONG, 0, "12:00", USUAL),
        (LONG, 200, "12:00", USUAL),
        (LONG, 201, "12:00", DOUBLE),
        (LONGEST, 100, "12:00", HALF),
        (LONGEST, 101, "12:00", USUAL),
        (LONGEST, 201, "12:00", DOUBLE),
        # A window has steps of its own.
        (LONG_NIGHTS, 150, "12:00", USUAL),
        (LONG_NIGHTS, 250, "12:00", DOUBLE),
        (LONG_NIGHTS, 100, "20:00", HALF),
        (LONG_NIGHTS, 250, "20:00", USUAL),
    ],
)
def test_the_step_that_a_prompt_reaches_is_charged_for_all_of_the_call(
    tariff: Tariff, prompt: int, when: str, price: Price
) -> None:
    usage = Usage(prompt, 7, cached=prompt // 2)
    assert tariff.at(at(when), prompt) == price
    assert tariff.cost(usage, at(when), at(when)) == cost(price, usage)
    short = tariff.for_prompt(prompt)
    assert short.at(at(when), 10**9) == price


@pytest.mark.parametrize(
    ("tariff", "prompt", "price"),
    [
        (LONG, 200, USUAL),
        (LONG, 201, DOUBLE),
        (LONGEST, 50, HALF),
        (LONG_NIGHTS, 150, USUAL),
        (LONG_NIGHTS, 201, DOUBLE),
        # A step that is cheaper than what is before it: a shorter prompt would be charged that.
        (Tariff(DOUBLE, (), (Step(100, HALF),)), 500, DOUBLE),
        (Tariff(DEAR, (), (Step(100, USUAL),)), 500, Price(9 * RATE, 8 * RATE, 2 * RATE, 5 * RATE)),
    ],
)
def test_the_dearest_step_that_a_prompt_may_reach_is_held(
    tariff: Tariff, prompt: int, price: Price
) -> None:
    assert tariff.within(prompt) == price


def test_steps_are_told_at_the_dearest_hour() -> None:
    assert LONG_NIGHTS.rises() == (Step(100, USUAL), Step(200, DOUBLE))
    assert Tariff(USUAL, (NIGHT,)).rises() == Tariff(USUAL).rises() == ()


RATES: Final = st.integers(0, 10**12)
"""Nano-dollars per million tokens: up to 1,000 dollars."""
TOKENS: Final = st.integers(0, 2000)


@st.composite
def sounds(draw: st.DrawFn) -> Audio:
    return Audio(draw(RATES), draw(RATES), draw(RATES))


@st.composite
def scales(draw: st.DrawFn, *, rising: bool) -> tuple[Price, tuple[Step, ...]]:
    """A price and its steps. Of one that is `rising`, a cache is read for no more than a prompt."""
    found: list[Price] = []
    starts = sorted(draw(st.sets(TOKENS, max_size=3)))
    for _ in range(len(starts) + 1):
        fresh, output, cached, write = (draw(RATES) for _ in range(4))
        if rising and found:
            last = found[-1]
            fresh, output, write = (
                fresh + last.input,
                output + last.output,
                write + last.cache_write,
            )
            cached = max(cached, last.cached_input)
        audio = None if rising else draw(st.none() | sounds())
        images = None if rising else draw(st.none() | RATES)
        cached = min(cached, fresh) if rising else cached
        found.append(Price(fresh, output, cached, write, audio, images))
    return found[0], tuple(map(Step, starts, found[1:]))


@st.composite
def tariffs(draw: st.DrawFn, *, rising: bool = False) -> Tariff:
    minutes = st.integers(0, DAY - 1)
    windows = []
    for _ in range(draw(st.integers(0, 2))):
        price, steps = draw(scales(rising=rising))
        windows.append(Window(draw(minutes), draw(minutes), price, steps=steps))
    price, steps = draw(scales(rising=rising))
    return Tariff(price, tuple(windows), steps)


@st.composite
def usages(draw: st.DrawFn, *, writes: bool = True) -> Usage:
    prompt = draw(TOKENS)
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached)) if writes else 0
    usage = Usage(prompt, draw(TOKENS), cached, written)
    heard, said = draw(st.integers(0, prompt)), draw(st.integers(0, usage.completion))
    again = draw(st.integers(0, min(heard, cached)))
    drawn = draw(st.integers(0, usage.completion - said))
    usage = structs.replace(usage, audio_prompt=heard, audio_completion=said, audio_cached=again)
    return structs.replace(usage, image_completion=drawn)


TIMES: Final = st.floats(0, 10**6)


@given(tariffs(), usages(), TOKENS, TOKENS, TIMES, TIMES)
def test_what_is_held_covers_whatever_is_charged_within_its_bounds(
    tariff: Tariff, usage: Usage, more_in: int, more_out: int, began: float, ended: float
) -> None:
    caches = usage.cache_write > 0
    prompt, output = usage.prompt + more_in, usage.completion + more_out
    audio = usage.audio_prompt
    held = ceiling(tariff.within(prompt), prompt, output, Surcharges(audio=audio), caches=caches)
    assert tariff.cost(usage, began, ended) <= held


@given(tariffs(rising=True), usages(), TOKENS, TOKENS, TIMES, TIMES)
def test_more_tokens_never_cost_less(
    tariff: Tariff, usage: Usage, more_in: int, more_out: int, began: float, ended: float
) -> None:
    more = structs.replace(
        usage, prompt=usage.prompt + more_in, completion=usage.completion + more_out
    )
    assert tariff.cost(more, began, ended) >= tariff.cost(usage, began, ended)


@given(tariffs(), TOKENS, TOKENS)
def test_a_longer_prompt_is_held_for_at_no_lower_rate(
    tariff: Tariff, prompt: int, more: int
) -> None:
    here, there = tariff.within(prompt), tariff.within(prompt + more)
    assert all(low <= high for low, high in zip(rates(here), rates(there), strict=True))


def rates(price: Price) -> tuple[int, ...]:
    audio = price.audio or Audio(price.input, price.output, price.cached_input)
    text = (price.input, price.output, price.cached_input, price.cache_write)
    images = price.output if price.image_output is None else price.image_output
    return (*text, *structs.astuple(audio), images)


# Held and charged ---------------------------------------------------------------------------------


def candidate(model: Model, prompt: int = 100, output: int | None = 10) -> list[Candidate]:
    features = Features(Bound(0, prompt), output, 1, frozenset(), caches=False)
    ladder = ladders(Catalog({model.name: model}, {}, {}))[model.name]
    made = make_plan(ladder, features, PlanContext(Tenant("t")), lambda: 0.5)
    return [each for rung in made.rungs for each in rung.candidates]


HERE: Final = Deployment("p/m", "p", "m")
ELSEWHERE: Final = Deployment("q/m", "q", "m", tariff=Tariff(HALF))
BY_THE_HOUR: Final = Deployment("r/m", "r", "m", tariff=Tariff(USUAL, (PEAK,)))
PLAIN: Final = Model("m", (HERE, ELSEWHERE, BY_THE_HOUR), USUAL, 1000, 800, 100)


def test_each_host_is_held_at_its_own_price_and_its_dearest_hour() -> None:
    found = candidate(PLAIN)
    assert [each.ceiling for each in found] == [480, 240, 980]
    prices = [peak_price(each.model, each.deployment).input for each in found]
    assert prices == [4 * RATE, 2 * RATE, 9 * RATE]


def test_the_step_that_the_bound_of_a_prompt_reaches_is_held() -> None:
    there = structs.replace(HERE, tariff=LONG)
    plain = structs.replace(PLAIN, deployments=(there,))
    # With a tokenizer that makes more tokens of it, a short prompt may be a long one.
    long = structs.replace(plain, token_factor=1.35)
    found = [candidate(model, prompt)[0].ceiling
             for model, prompt in ((plain, 200), (plain, 201), (long, 200))]  # fmt: skip
    assert found == [200 * 4 + 10 * 8, 201 * 8 + 10 * 16, 270 * 8 + 10 * 16]


@pytest.mark.parametrize(
    ("factor", "prompt", "ceiling", "output"),
    [(1.0, 100, 480, 10), (1.35, 100, 620, 10), (1.35, 10, 136, 10), (1.35, 580, 3212, 10)],
)
def test_more_tokens_are_held_for(factor: float, prompt: int, ceiling: int, output: int) -> None:
    (found,) = candidate(
        structs.replace(PLAIN, deployments=(HERE,), token_factor=factor), prompt, output
    )
    assert (found.ceiling, found.max_output) == (ceiling, output)


def test_more_tokens_fill_the_window_sooner() -> None:
    wide = structs.replace(PLAIN, deployments=(HERE,))
    long = structs.replace(wide, token_factor=1.35)
    assert len(candidate(wide, 600)) == 1
    assert candidate(long, 600) == []
    (left,) = candidate(long, 550, None)
    assert left.max_output == 800 - 743
