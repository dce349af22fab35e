"""Money is exact: no figure here is rounded but once, upwards."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.chat import Usage
from gateway.core.money import (
    FREE,
    MAX_USD,
    PER_USD,
    Audio,
    Price,
    Surcharges,
    ceiling,
    cost,
    nanos,
    usd,
)

RATES = st.integers(0, 10**12)
"""Nano-dollars per million tokens: up to 1,000 dollars."""
TOKENS = st.integers(0, 10**8)
AUDIO = st.builds(Audio, RATES, RATES, RATES)
PRICES = st.builds(Price, RATES, RATES, RATES, RATES)
SOUNDING = st.builds(Price, RATES, RATES, RATES, RATES, AUDIO)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, completion = draw(TOKENS), draw(TOKENS)
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    thought, hour = draw(st.integers(0, completion)), draw(st.integers(0, written))
    return Usage(prompt, completion, cached, written, thought, hour)


@given(PRICES, usages())
def test_a_cost_is_exact_and_rounded_up_once(price: Price, usage: Usage) -> None:
    exact = (
        Fraction(usage.prompt - usage.cached - usage.cache_write) * price.input
        + Fraction(usage.cached) * price.cached_input
        + Fraction(usage.cache_write - usage.cache_write_1h) * price.cache_write
        + Fraction(usage.cache_write_1h) * math.ceil(Fraction(price.cache_write * 8, 5))
        + Fraction(usage.completion) * price.output
    ) / 10**6
    assert cost(price, usage) == math.ceil(exact)


@given(PRICES, usages(), st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_a_ceiling_covers_any_usage_within_its_bounds(
    price: Price, usage: Usage, more_in: int, more_out: int, caches: bool
) -> None:
    if not caches:  # one is written only where that is asked for
        usage = Usage(usage.prompt, usage.completion, usage.cached)
    most = (usage.prompt + more_in, usage.completion + more_out)
    bound = ceiling(price, *most, Surcharges(usage.cache_write_1h > 0), caches=caches)
    assert bound >= cost(price, usage)


@given(SOUNDING, usages())
def test_text_costs_the_same_where_sound_has_a_price(price: Price, usage: Usage) -> None:
    assert cost(price, usage) == cost(structs.replace(price, audio=None), usage)


@given(SOUNDING, usages(), st.data())
def test_sound_is_exact_where_it_is_told_what_was_cached(
    price: Price, usage: Usage, data: st.DataObject
) -> None:
    fresh = usage.prompt - usage.cached - usage.cache_write
    heard, again, said = (
        data.draw(st.integers(0, most)) for most in (fresh, usage.cached, usage.completion)
    )
    told = structs.replace(
        usage, audio_prompt=heard + again, audio_cached=again, audio_completion=said
    )
    assert price.audio is not None
    beside = structs.replace(
        usage,
        prompt=usage.prompt - heard - again,
        cached=usage.cached - again,
        completion=usage.completion - said,
    )
    text = Fraction(cost(structs.replace(price, audio=None), beside))
    audio = price.audio
    as_audio = heard * audio.input + again * audio.cached_input + said * audio.output
    assert text - 1 <= cost(price, told) - Fraction(as_audio, 10**6) <= text + 1


DEARER, CHEAPER = Audio(100, 300, 40), Audio(2, 5, 1)


@pytest.mark.parametrize(
    ("audio", "usage", "expected"),
    [
        (None, Usage(100, 10, audio_prompt=60, audio_completion=4), 100 * 10 + 10 * 20),
        (DEARER, Usage(100, 10, audio_prompt=60), 40 * 10 + 60 * 100 + 10 * 20),
        (DEARER, Usage(100, 10, audio_completion=4), 100 * 10 + 6 * 20 + 4 * 300),
        (DEARER, Usage(100, 0, 50, audio_prompt=30, audio_cached=20),
         40 * 10 + 10 * 100 + 30 * 5 + 20 * 40),
        # Not told how much of it was cached: all may have been fresh, and what was cached is text.
        (DEARER, Usage(100, 0, 50, audio_prompt=60), 50 * 10 + 50 * 5 + 60 * 90),
        # Cheaper than text: as little as can have been fresh saves.
        (CHEAPER, Usage(100, 0, 50, audio_prompt=60), 50 * 2 + 50 * 5),
        (CHEAPER, Usage(100, 10, audio_prompt=60, audio_completion=10), 40 * 10 + 60 * 2 + 50),
        (CHEAPER, Usage(0, 0, audio_prompt=60, audio_completion=60), 0),
        (CHEAPER, Usage(10, 1, audio_prompt=60, audio_completion=60, audio_cached=60), 25),
    ],
)  # fmt: skip
def test_sound_by_hand(audio: Audio | None, usage: Usage, expected: int) -> None:
    per_token = 10**6
    priced = (
        None if audio is None else Audio(*(each * per_token for each in structs.astuple(audio)))
    )
    price = Price(10 * per_token, 20 * per_token, 5 * per_token, 10 * per_token, priced)
    assert cost(price, usage) == expected
    most = (usage.prompt, usage.completion)
    assert ceiling(price, *most, Surcharges(audio=usage.audio_prompt), caches=False) >= expected


@pytest.mark.parametrize("audio", [None, DEARER])
@pytest.mark.parametrize(
    ("images", "drawn", "expected"),
    [(None, 6, 200), (300, 0, 200), (300, 6, 80 + 1_800), (300, 99, 3_000), (2, 6, 80 + 12)],
)
def test_images_in_an_answer_by_hand(
    audio: Audio | None, images: int | None, drawn: int, expected: int
) -> None:
    price = Price(10, 20, 5, 10, audio, images)
    priced = structs.replace(
        price,
        **{name: getattr(price, name) * 10**6 for name in ("input", "output")},
        image_output=None if images is None else images * 10**6,
    )
    usage = Usage(0, 10, image_completion=drawn)
    assert cost(priced, usage) == expected
    assert ceiling(priced, 0, 10, caches=False) >= expected


def test_what_is_said_is_not_drawn() -> None:
    price = Price(0, 0, 0, 0, Audio(0, 0, 0), 10**6)
    assert cost(price, Usage(0, 10, audio_completion=8, image_completion=9)) == 2


@pytest.mark.parametrize(
    ("audio", "heard", "expected"),
    [
        (None, 60, 100 * 10 + 10 * 20),
        (DEARER, 0, 100 * 10 + 10 * 300),
        (DEARER, 60, 40 * 10 + 60 * 100 + 10 * 300),
        (CHEAPER, 60, 100 * 10 + 10 * 20),
    ],
)
def test_what_is_held_for_sound(audio: Audio | None, heard: int, expected: int) -> None:
    per_token = 10**6
    priced = (
        None if audio is None else Audio(*(each * per_token for each in structs.astuple(audio)))
    )
    price = Price(10 * per_token, 20 * per_token, 5 * per_token, 10 * per_token, priced)
    assert ceiling(price, 100, 10, Surcharges(audio=heard), caches=False) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), 0),
        (Usage(1, 0), 1),  # 0.0375 nano-dollars, rounded up
        (Usage(1_000_000, 0), 37_500),
        (Usage(1_000_000, 1_000_000), 187_500),
        (Usage(100, 0, 100), 1),
        (Usage(1_000_000, 0, 400_000, 100_000), 37_500 * 5 // 10 + 4_000 + 5_000),
        (Usage(1_000_000, 0, 400_000, 100_000, 0, 40_000), 37_500 // 2 + 4_000 + 3_000 + 3_200),
        (Usage(10, 0, 500, 0), 5),  # a bill that makes no sense is never below 0
    ],
)
def test_figures_by_hand(usage: Usage, expected: int) -> None:
    assert cost(Price(37_500, 150_000, 10_000, 50_000), usage) == expected


def test_a_thought_is_paid_as_a_part_of_the_answer() -> None:
    price = Price(0, 10**6, 0, 0)
    assert cost(price, Usage(0, 10, reasoning=9)) == cost(price, Usage(0, 10)) == 10


@given(usages())
def test_free_is_free(usage: Usage) -> None:
    assert cost(FREE, usage) == ceiling(FREE, usage.prompt, usage.completion, caches=True) == 0


@given(st.integers(-(10**18), 10**18))
def test_dollars_are_told_exactly(amount: int) -> None:
    assert Decimal(usd(amount)) * PER_USD == amount
    assert nanos(usd(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "0"), (1500, "0.0000015"), (10**9, "1"), (2_500_000_000, "2.5"), (-1, "-0.000000001")],
)
def test_dollars_are_told_shortly(amount: int, told: str) -> None:
    assert usd(amount) == told


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        ("0.0375", 37_500_000),
        (Decimal("0.1"), 100_000_000),
        (3, 3_000_000_000),
        ("1e-9", 1),
        ("0.0000000001", 1),
        ("0.0000000011", 2),
        (MAX_USD, 9_000_000 * 10**9),
    ],
)
def test_finer_than_a_nano_is_rounded_up(dollars: Decimal | str | int, expected: int) -> None:
    assert nanos(dollars) == expected


def test_the_most_is_counted_exactly_in_a_double() -> None:
    most = nanos(MAX_USD)
    assert int(float(most)) == most < 2**53
