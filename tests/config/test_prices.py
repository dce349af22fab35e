"""Prices and windows that genai-prices knows."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Final

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from msgspec import structs

from gateway.config.prices import Listing, look_up, tariff_of
from gateway.core.chat import Usage
from gateway.core.money import Audio, Price, SearchFee, ceiling, nanos
from gateway.core.tariff import Step, Tariff, Window
from tests.config.texts import SOUND, faults, snapshot

NOON: Final = datetime(2026, 6, 15, 12, tzinfo=UTC)
USD: Final = 1_000_000_000


def rates(input_: int, output: int, **more: Decimal) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(input_), output_mtok=Decimal(output), **more)


def tiered(base: int, *steps: tuple[int, int]) -> TieredPrices:
    return TieredPrices(Decimal(base), [Tier(start, Decimal(price)) for start, price in steps])


def minute(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 60 + int(minutes)


JUNE: Final = StartDateConstraint(datetime(2026, 6, 1, tzinfo=UTC).date())
JULY: Final = StartDateConstraint(datetime(2026, 7, 1, tzinfo=UTC).date())
NIGHT: Final = TimeOfDateConstraint(time(16, 30, tzinfo=UTC), time(0, 30, tzinfo=UTC))
MORNING: Final = TimeOfDateConstraint(time(6, 30, tzinfo=UTC), time(7, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("prices", "expected", "windows"),
    [
        (rates(1, 2), (1, 2, 1, 1), ()),
        (rates(4, 8, cache_read_mtok=Decimal(1), cache_write_mtok=Decimal(5)), (4, 8, 1, 5), ()),
        # The dearest hour is the usual price, be it the rule or the exception.
        ([ConditionalPrice(prices=rates(2, 4)), ConditionalPrice(NIGHT, prices=rates(1, 2))],
         (2, 4, 2, 2), (("00:00", "00:30", 1, 2), ("16:30", "24:00", 1, 2))),
        ([ConditionalPrice(prices=rates(2, 4)), ConditionalPrice(MORNING, prices=rates(3, 6))],
         (3, 6, 3, 3), (("00:00", "06:30", 2, 4), ("07:00", "24:00", 2, 4))),
        # What has begun, and nothing that has not.
        ([ConditionalPrice(prices=rates(9, 9)), ConditionalPrice(JUNE, prices=rates(2, 2)),
          ConditionalPrice(JULY, prices=rates(5, 5))], (2, 2, 2, 2), ()),
        # Not priced by the token.
        (ModelPrice(input_mtok=Decimal(1)), None, ()),
        (ModelPrice(requests_kcount=Decimal(1)), None, ()),
        ([], None, ()),
    ],
)  # fmt: skip
def test_the_prices_of_a_day(
    prices: ModelPrice | list[ConditionalPrice],
    expected: tuple[int, int, int, int] | None,
    windows: tuple[tuple[str, str, int, int], ...],
) -> None:
    model = ModelInfo("m", ClauseEquals("m"), prices=prices)
    cheaper = tuple(
        Window(minute(begin), minute(end), prices_of(fresh, out, fresh, fresh))
        for begin, end, fresh, out in windows
    )
    want = None if expected is None else Tariff(prices_of(*expected), cheaper)
    assert tariff_of(model, NOON) == want


def prices_of(fresh: int, output: int, read: int, write: int) -> Price:
    return Price(fresh * USD, output * USD, read * USD, write * USD)


def prices(fresh: int, output: int, read: int | None = None) -> Price:
    return Price(fresh * USD, output * USD, (fresh if read is None else read) * USD, fresh * USD)


CONDITIONAL: Final = [
    ConditionalPrice(prices=ModelPrice(input_mtok=tiered(2, (10, 4)), output_mtok=Decimal(9))),
    ConditionalPrice(
        NIGHT, prices=ModelPrice(input_mtok=tiered(1, (20, 5)), output_mtok=Decimal(8))
    ),
]


@pytest.mark.parametrize(
    ("listed", "tariff"),
    [
        (ModelPrice(input_mtok=tiered(1, (10, 2), (20, 3)), output_mtok=tiered(4)),
         Tariff(prices(1, 4), (), (Step(10, prices(2, 4)), Step(20, prices(3, 4))))),
        # Each rate has its own steps; a cache that has none keeps its price.
        (ModelPrice(input_mtok=tiered(2, (10, 5)), output_mtok=tiered(4, (20, 6)),
                    cache_read_mtok=Decimal(1)),
         Tariff(prices(2, 4, 1), (), (Step(10, prices(5, 4, 1)), Step(20, prices(5, 6, 1))))),
        # Hours with steps of their own: what is usual is the dearest at every length.
        (CONDITIONAL, Tariff(
            prices(2, 9),
            (Window(0, 30, prices(1, 8), steps=(Step(20, prices(5, 8)),)),
             Window(30, minute("16:30"), prices(2, 9), steps=(Step(10, prices(4, 9)),)),
             Window(minute("16:30"), 1440, prices(1, 8), steps=(Step(20, prices(5, 8)),))),
            (Step(10, prices(4, 9)), Step(20, prices(5, 9))))),
    ],
)  # fmt: skip
def test_prices_that_rise_with_the_prompt(
    listed: ModelPrice | list[ConditionalPrice], tariff: Tariff
) -> None:
    assert tariff_of(ModelInfo("m", ClauseEquals("m"), prices=listed), NOON) == tariff


@pytest.mark.parametrize(
    ("base_url", "upstream"),
    [
        ("https://api.openai.com/v1", "gpt-5.5"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-3.1-pro-preview"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro"),
        ("https://api.x.ai/v1", "grok-4.20"),
        ("https://api.openai.com/v1", "gpt-4o"),
    ],
)
@pytest.mark.parametrize("prompt", [1_000, 200_000, 200_001, 272_000, 272_001, 900_000])
def test_a_call_costs_what_genai_prices_says_of_it(
    base_url: str, upstream: str, prompt: int
) -> None:
    tariff = look_up(base_url, upstream, NOON).tariff
    assert tariff is not None
    cached, output = prompt // 3, 500
    theirs = calc_price(
        TheirUsage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=output),
        upstream, provider_api_url=base_url, genai_request_timestamp=NOON,
    )  # fmt: skip
    ours = tariff.cost(Usage(prompt, output, cached), NOON.timestamp(), NOON.timestamp())
    assert ours == nanos(theirs.total_price)


AUDIO: Final = {"input_audio_mtok": Decimal(7), "output_audio_mtok": Decimal(9)}


@pytest.mark.parametrize(
    ("listed", "audio"),
    [
        (rates(1, 2), None),
        (rates(1, 2, **AUDIO), (7, 9, 7)),
        (rates(1, 2, input_audio_mtok=Decimal(7)), (7, 2, 7)),
        (rates(1, 2, output_audio_mtok=Decimal(9)), (1, 9, 1)),
        (rates(1, 2, **AUDIO, cache_audio_read_mtok=Decimal(3)), (7, 9, 3)),
    ],
)
def test_the_price_of_sound(listed: ModelPrice, audio: tuple[int, int, int] | None) -> None:
    tariff = tariff_of(ModelInfo("m", ClauseEquals("m"), prices=listed), NOON)
    want = None if audio is None else Audio(*(rate * USD for rate in audio))
    assert tariff == Tariff(Price(USD, 2 * USD, USD, USD, want))


@pytest.mark.parametrize(
    ("dialect", "base_url", "upstream", "unasked"),
    [
        ("openai", "https://api.openai.com/v1", "gpt-5.6-sol", True),
        ("openai", "https://api.openai.com/v1", "gpt-4o", False),
        ("anthropic", "https://api.anthropic.com", "claude-sonnet-4-5", False),
    ],
)
def test_who_writes_a_cache_unasked(
    dialect: str, base_url: str, upstream: str, unasked: bool
) -> None:
    """From GPT-5.6 on OpenAI bills what it writes at more than the input: it was not held."""
    text = SOUND.replace("    price: free\n", "").replace("dialect: openai", f"dialect: {dialect}")
    text = text.replace("http://localhost:8000/v1", base_url)
    text = text.replace("{provider: local}", f"{{provider: local, upstream: {upstream}}}")
    [found] = snapshot(text).catalog.models["m1"].deployments
    assert found.caches_unasked is unasked


@pytest.mark.parametrize("upstream", ["gemini-2.5-flash-image", "gemini-3-pro-image-preview"])
def test_an_image_costs_what_genai_prices_says_of_it(upstream: str) -> None:
    """It was charged as text, at a twelfth or a tenth."""
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    tariff = look_up(base_url, upstream, NOON).tariff
    assert tariff is not None
    theirs = calc_price(
        TheirUsage(input_tokens=8, output_tokens=1_300, output_image_tokens=1_290),
        upstream,
        provider_api_url=base_url,
        genai_request_timestamp=NOON,
    )
    usage = Usage(8, 1_300, image_completion=1_290)
    ours = tariff.cost(usage, NOON.timestamp(), NOON.timestamp())
    assert ours == nanos(theirs.total_price)
    assert ours <= ceiling(tariff.within(8), 8, 1_300, caches=False)


@pytest.mark.parametrize(
    ("base_url", "upstream"),
    [
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-flash"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-flash-lite"),
        ("https://api.openai.com/v1", "gpt-audio"),
        ("https://api.openai.com/v1", "gpt-realtime"),
    ],
)
@pytest.mark.parametrize("again", [0, 50])
def test_sound_costs_what_genai_prices_says_of_it(base_url: str, upstream: str, again: int) -> None:
    """As one recording of Gemini's has it: most of a film, and what is said in it, was cached."""
    tariff = look_up(base_url, upstream, NOON).tariff
    assert tariff is not None
    assert tariff.usual.audio is not None
    usage = Usage(17_713, 889, again, audio_prompt=1_917, audio_completion=7, audio_cached=again)
    theirs = calc_price(
        TheirUsage(
            input_tokens=usage.prompt,
            cache_read_tokens=again,
            output_tokens=usage.completion,
            input_audio_tokens=usage.audio_prompt,
            cache_audio_read_tokens=again,
            output_audio_tokens=usage.audio_completion,
        ),
        upstream,
        provider_api_url=base_url,
        genai_request_timestamp=NOON,
    )
    ours = tariff.cost(usage, NOON.timestamp(), NOON.timestamp())
    assert ours == nanos(theirs.total_price)


def test_a_known_model() -> None:
    found = look_up("https://api.anthropic.com", "claude-sonnet-4-6", NOON)
    price = Price(3 * USD, 15 * USD, 300_000_000, 3_750_000_000)
    assert found == Listing(Tariff(price), context=1_000_000)


@pytest.mark.parametrize(
    ("base_url", "upstream"),
    [
        ("https://api.anthropic.com", "claude-of-nowhere"),
        ("http://localhost:8000/v1", "gpt-5"),
        ("https://api.groq.com/openai/v1", "gpt-5"),
    ],
)
def test_an_unknown_one(base_url: str, upstream: str) -> None:
    assert look_up(base_url, upstream, NOON) == Listing()


GROQ: Final = SOUND.replace("http://localhost:8000/v1", "https://api.groq.com/openai/v1").replace(
    "{provider: local}", "{provider: local, upstream: llama-3.1-8b-instant}"
)


def test_a_deployment_is_looked_up_for_what_is_not_written() -> None:
    model = snapshot(GROQ.replace("    price: free\n", "")).catalog.models["m1"]
    assert (model.price_from, model.context, model.price.input) == (
        "genai-prices",
        1000,
        50_000_000,
    )


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("", True),
        ("    price: {batch: 0.5}\n", True),
        ("    price: {search: 10}\n", False),
        ("    price: {input: 1, output: 2}\n", False),
        ("    price: free\n", False),
    ],
)
def test_a_price_is_listed_where_nothing_of_it_is_written(written: str, listed: bool) -> None:
    model = snapshot(GROQ.replace("    price: free\n", written)).catalog.models["m1"]
    assert model.deployments[0].listed_price is listed


@pytest.mark.parametrize(
    ("written", "audio", "step"),
    [
        ("{}", None, None),
        ("{audio_input: 7}", (7, 2, 7), (7, 4, 7)),
        ("{audio_output: 9}", (1, 9, 1), (3, 9, 3)),
        ("{audio_input: 7, audio_output: 9, audio_cached_input: 5}", (7, 9, 5), (7, 9, 5)),
        ("{audio_input: 0, audio_output: 0}", (0, 0, 0), (0, 0, 0)),
    ],
)
def test_the_price_of_sound_that_is_written(
    written: str, audio: tuple[int, int, int] | None, step: tuple[int, int, int] | None
) -> None:
    text = f"input: 1, output: 2, steps: [{{above: 10, input: 3, output: 4}}], {written[1:-1]}"
    tariff = (
        snapshot(GROQ.replace("free", f"{{{text}}}")).catalog.models["m1"].deployments[0].tariff
    )
    assert tariff is not None
    (above,) = tariff.steps
    for price, want in ((tariff.usual, audio), (above.price, step)):
        found = None if price.audio is None else structs.astuple(price.audio)
        assert found == (None if want is None else tuple(rate * USD for rate in want))


def test_a_step_and_an_hour_may_have_a_price_of_sound_of_their_own() -> None:
    text = (
        "{input: 1, output: 2, audio_input: 6, steps: [{above: 10, input: 3, output: 4, "
        "audio_input: 8, audio_cached_input: 2}], windows: [{hours: '16:30-00:30', factor: 0.5}]}"
    )
    tariff = snapshot(GROQ.replace("free", text)).catalog.models["m1"].deployments[0].tariff
    assert tariff is not None
    assert tariff.steps[0].price.audio == Audio(8 * USD, 4 * USD, 2 * USD)
    (night,) = tariff.windows
    assert night.price.audio == Audio(3 * USD, 1 * USD, 3 * USD)
    assert night.steps[0].price.audio == Audio(4 * USD, 2 * USD, 1 * USD)


def test_the_price_of_images_that_is_written() -> None:
    text = (
        "{input: 1, output: 2, image_output: 30, steps: [{above: 10, input: 3, output: 4}, "
        "{above: 20, input: 3, output: 4, image_output: 40}], "
        "windows: [{hours: '16:30-00:30', factor: 0.5}]}"
    )
    tariff = snapshot(GROQ.replace("free", text)).catalog.models["m1"].deployments[0].tariff
    assert tariff is not None
    prices = (tariff.usual, *(step.price for step in tariff.steps), tariff.windows[0].price)
    assert [price.image_output for price in prices] == [30 * USD, 30 * USD, 40 * USD, 15 * USD]
    assert tariff.within(100).image_output == 40 * USD


@pytest.mark.parametrize(
    ("stated", "price_from"),
    [
        ("{search: 10}", "genai-prices"),
        ("{search: 10, search_per: search, batch: 0.5}", "genai-prices"),
        (
            (
                "{input: 1, output: 2, search: 10, steps: [{above: 10, input: 3, output: 4}], "
                "windows: [{hours: '16:30-00:30', factor: 0.5}]}"
            ),
            "catalog",
        ),
    ],
)
def test_a_fee_for_searches_is_beside_the_rates(stated: str, price_from: str) -> None:
    model = snapshot(GROQ.replace("free", stated)).catalog.models["m1"]
    tariff = model.deployments[0].tariff or Tariff(model.price)
    windows = [window.price for window in tariff.windows]
    prices = (tariff.usual, *(step.price for step in tariff.steps), *windows)
    assert {price.search for price in prices} == {SearchFee(USD // 100)}
    assert model.price_from == price_from
    assert model.price.input > 0


@pytest.mark.parametrize(
    ("stated", "fee"),
    [
        ("{search: 35, search_per: call}", SearchFee(35 * USD // 1000, per_call=True)),
        ("{search: 0}", None),
        ("{batch: 0.5}", None),
    ],
)
def test_what_a_fee_is_for(stated: str, fee: SearchFee | None) -> None:
    assert snapshot(GROQ.replace("free", stated)).catalog.models["m1"].price.search == fee


def test_a_model_that_charges_for_searches_alone_is_not_free() -> None:
    model = snapshot(GROQ.replace("free", "{input: 0, output: 0, search: 10}")).catalog.models["m1"]
    assert model.price_from == "catalog"


def test_what_is_written_wins() -> None:
    model = snapshot(GROQ.replace("free", "{input: 7, output: 8}")).catalog.models["m1"]
    assert (model.price_from, model.price.input) == ("catalog", 7 * USD)


def test_a_price_without_a_window() -> None:
    assert faults(GROQ.replace("    context: 1000\n    price: free\n", "")) == [
        "f.yaml:4: models.m1: context is required: genai-prices does not know this model's window"
    ]
