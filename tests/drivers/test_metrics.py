"""What each event counts; every event, and every metric, is in the tables."""

from typing import Final, get_args

import pytest
from msgspec import structs

from gateway.core import events
from gateway.core.catalog import Deployment
from gateway.core.chat import Usage
from gateway.core.money import Nanos, Price
from gateway.core.tariff import Step, Tariff, Window
from gateway.drivers.metrics.catalogue import METRICS
from tests.drivers.counted_beside import BESIDE
from tests.drivers.counted_lives import LIVES
from tests.drivers.metric_series import (
    CATALOG,
    CLIMBING,
    TAGGED,
    TAGS,
    climbed,
    counting,
    samples,
)

COUNTED: Final = {**LIVES, **BESIDE}
SEEN_AT_START: Final = ("gateway_build_info",)
GAUGES = (
    "gateway_ledger_mode",
    "gateway_retry_budget_retries",
    "gateway_config_hash",
    "gateway_config_loaded_timestamp_seconds",
    "gateway_config_reload_failed",
)


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}


@pytest.mark.parametrize(("event", "changes"), COUNTED.values(), ids=COUNTED)
def test_what_an_event_counts(event: events.Event, changes: dict[str, float]) -> None:
    tags = TAGS if getattr(event, "about", None) is TAGGED else {}
    metrics = counting(tags=tags)
    before = samples(metrics.render())
    metrics.observe(event)
    once = samples(metrics.render())
    assert difference(before, once) == pytest.approx(changes)
    metrics.observe(event)
    gauge = isinstance(
        event, events.CircuitMoved | events.HoldsRead | events.BudgetRead | events.GuardRead
    )
    counted = {name: by for name, by in changes.items() if name not in GAUGES}
    again = {} if gauge else counted
    assert difference(once, samples(metrics.render())) == pytest.approx(again)


def test_every_event_is_in_the_table() -> None:
    assert {type(event) for event, _ in COUNTED.values()} == set(get_args(events.Event))


def test_every_metric_is_in_the_table() -> None:
    moved = {name.partition("{")[0] for _, changes in COUNTED.values() for name in changes}
    assert {name.removesuffix("_sum").removesuffix("_count") for name in moved} == set(
        METRICS
    ) - set(SEEN_AT_START)


USUAL: Final = Price(3_000_000, 15_000_000, 0, 0)
OTHER: Final = Price(1_000_000, 2_000_000, 0, 0)


@pytest.mark.parametrize(
    ("tariff", "nanos"),
    [
        (None, 70 * 3 + 20 * 15),
        (Tariff(OTHER), 70 + 20 * 2),
        (Tariff(USUAL, (Window(11 * 60, 13 * 60, OTHER),)), 70 + 20 * 2),
        (Tariff(USUAL, (Window(13 * 60, 14 * 60, OTHER),)), 70 * 3 + 20 * 15),
        (Tariff(USUAL, steps=(Step(69, OTHER),)), 70 + 20 * 2),
        (Tariff(USUAL, steps=(Step(70, OTHER),)), 70 * 3 + 20 * 15),
    ],
    ids=["price", "tariff", "its hour", "another hour", "long", "short"],
)
def test_what_the_last_tier_would_take_goes_by_its_tariff(
    tariff: Tariff | None, nanos: int
) -> None:
    """At noon, of an answer of 70 tokens in and 20 out; the price of the model is the usual one."""
    large = CATALOG.models["large"]
    there = (Deployment("sim/large", "sim", "large", tariff=tariff),)
    models = {**CATALOG.models, "large": structs.replace(large, deployments=there)}
    metrics = counting(catalog=structs.replace(CATALOG, models=models))
    spent, usage = Nanos(9), Usage(70, 20)
    replied = events.Replied(
        CLIMBING, "sim", "small", "cheap", "passed", 0.75, 0.5, None, usage, spent
    )
    metrics.observe(replied)
    told = samples(metrics.render())
    assert told[climbed("cost")] == pytest.approx(nanos * 1e-9)
    assert told[climbed("actual")] == pytest.approx(9e-9)


@pytest.mark.parametrize(
    ("model", "listed", "nanos"),
    [("small", False, 510), ("large", False, 700), ("large", True, 700), ("other", False, 510)],
)
def test_an_answer_of_the_last_tier_would_have_cost_what_its_provider_says(
    model: str, listed: bool, nanos: int
) -> None:
    large = CATALOG.models["large"]
    there = (Deployment("sim/large", "sim", "large", listed_price=listed),)
    models = {**CATALOG.models, "large": structs.replace(large, deployments=there)}
    metrics = counting(catalog=structs.replace(CATALOG, models=models))
    usage = Usage(70, 20, reported_cost=700)
    metrics.observe(
        events.Replied(CLIMBING, "sim", model, "smart", "passed", 0.75, 0.5, None, usage, Nanos(9))
    )
    assert samples(metrics.render())[climbed("cost")] == pytest.approx(nanos * 1e-9)
