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

from gateway.config.prices import Listing, look_up, tariff_of
from gateway.core.chat import Usage
from gateway.core.money import Price, nanos
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
        Window(
            minute(begin), minute(end), Price(*(rate * USD for rate in (fresh, out, fresh, fresh)))
        )
        for begin, end, fresh, out in windows
    )
    want = None if expected is None else Tariff(Price(*(r * USD for r in expected)), cheaper)
    assert tariff_of(model, NOON) == want


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


def test_what_is_written_wins() -> None:
    model = snapshot(GROQ.replace("free", "{input: 7, output: 8}")).catalog.models["m1"]
    assert (model.price_from, model.price.input) == ("catalog", 7 * USD)


def test_a_price_without_a_window() -> None:
    assert faults(GROQ.replace("    context: 1000\n    price: free\n", "")) == [
        "f.yaml:4: models.m1: context is required: genai-prices does not know this model's window"
    ]
