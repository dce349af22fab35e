"""Prices by the hour and by the host, and tokenizers that make more tokens of a text."""

from datetime import UTC, datetime
from typing import Final

import pytest
from msgspec import structs

from gateway.core.catalog import Catalog, Deployment, Model, Tenant
from gateway.core.chat import Usage
from gateway.core.features import Features
from gateway.core.money import Price
from gateway.core.plan import Candidate, Limits, ladders, make_plan
from gateway.core.tariff import Tariff, Window

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
    assert Tariff(USUAL, (NIGHT, PEAK)).dearest == Price(9 * RATE, 8 * RATE, 2 * RATE, 5 * RATE)
    assert Tariff(USUAL).dearest == USUAL


@pytest.mark.parametrize(
    ("began", "ended", "cost"),
    [("12:00", "12:01", 400), ("17:00", "17:01", 200), ("16:29", "16:31", 400),
     ("00:29", "00:31", 400)],
)  # fmt: skip
def test_across_the_edge_of_a_window_the_dearer_counts(began: str, ended: str, cost: int) -> None:
    assert Tariff(USUAL, (NIGHT,)).cost(Usage(100), at(began), at(ended)) == cost


def candidate(model: Model, prompt: int = 100, output: int | None = 10) -> list[Candidate]:
    features = Features(prompt, output, 1, frozenset(), caches=False, region=None, max_cost=None)
    ladder = ladders(Catalog({model.name: model}, {}, {}))[model.name]
    made = make_plan(ladder, features, Limits(Tenant("t")), lambda: 0.5)
    return [each for rung in made.rungs for each in rung.candidates]


HERE: Final = Deployment("p/m", "p", "m")
ELSEWHERE: Final = Deployment("q/m", "q", "m", tariff=Tariff(HALF))
BY_THE_HOUR: Final = Deployment("r/m", "r", "m", tariff=Tariff(USUAL, (PEAK,)))
PLAIN: Final = Model("m", (HERE, ELSEWHERE, BY_THE_HOUR), USUAL, 1000, 800, 100)


def test_each_host_is_held_at_its_own_price_and_its_dearest_hour() -> None:
    found = candidate(PLAIN)
    assert [each.ceiling for each in found] == [480, 240, 980]
    assert [each.price.input for each in found] == [4 * RATE, 2 * RATE, 9 * RATE]


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
