"""Gauges that are more than what was last read: the ledger's mode, when a budget is spent."""

import math
from typing import Final

import pytest

from gateway.core import events
from gateway.core.catalog import (
    Budget,
)
from gateway.core.snapshot import Snapshot
from gateway.drivers.metrics.budgets import projected_exhaustion
from tests.drivers.metric_series import (
    CATALOG,
    NOON,
    OWN,
    counting,
    samples,
    spent_at,
)


def test_the_ledger_goes_away_and_comes_back() -> None:
    """With the mode after each: of local calls a failure beside them is nothing new."""
    metrics = counting()
    for op, error, mode in (
        ("reserve", None, 0),
        ("settle", "unknown", 0),
        ("give_up", "late", 0),
        ("reserve", "timeout", 2),
        ("balances", "open", 2),
        ("local", None, 1),
        ("balances", "open", 1),
        ("local", "spent", 1),
        ("balances", None, 0),
        ("open_holds", "dataloss", 2),
        ("reserve", None, 0),
    ):
        metrics.observe(events.LedgerTook(op, 0.001, error))
        assert samples(metrics.render())["gateway_ledger_mode"] == mode, (op, error)


@pytest.mark.parametrize("error", ["misconf", "oom", "readonly", "noreplicas", "noperm", "other"])
def test_a_ledger_that_only_answers_reads_is_away_until_it_takes_a_write(error: str) -> None:
    """Budgets are read before each scrape: else an alert would never see that calls are refused."""
    metrics = counting()
    for op, failure, mode in (
        ("reserve", error, 2),
        ("balances", None, 2),
        ("sweep", None, 2),
        ("local", None, 1),
        ("open_holds", None, 1),
        ("reserve", "unreachable", 1),
        ("balances", None, 1),
        ("settle", None, 0),
        ("reserve", "timeout", 2),
        ("balances", None, 0),
    ):
        metrics.observe(events.LedgerTook(op, 0.001, failure))
        assert samples(metrics.render())["gateway_ledger_mode"] == mode, (op, failure)


DAY_S: Final = 86_400
MIDNIGHT: Final = NOON - DAY_S / 2


@pytest.mark.parametrize(
    ("budget", "taken", "now", "when"),
    [
        (Budget(100, "day"), 50, NOON, math.inf),  # as the day ends, and not before it
        (Budget(100, "day"), 51, NOON, NOON + 49 * DAY_S / 102),
        (Budget(100, "day"), 0, NOON, math.inf),
        (Budget(100, "day"), 1, MIDNIGHT, math.inf),
        (Budget(100, "day"), 100, NOON, NOON),
        (Budget(100, "day"), 120, NOON, NOON),
        (Budget(100, "hour", "requests"), 60, NOON + 1_800, NOON + 3_000),
        (Budget(100, "day", rolling=True), 50, NOON, None),
        (Budget(100, "total"), 50, NOON, None),
        (Budget(100, "total", "at_once"), 50, NOON, None),
    ],
)
def test_when_a_budget_will_be_spent(
    budget: Budget, taken: int, now: float, when: float | None
) -> None:
    read = events.BudgetRead(OWN, budget, taken // 2, taken - taken // 2)
    assert projected_exhaustion(read, now) == (when if when is None else pytest.approx(when))


def test_never_is_written_as_prometheus_does() -> None:
    metrics = counting()
    metrics.observe(events.BudgetRead(OWN, Budget(100, "day"), 0, 0))
    assert spent_at("usd", "day", "hard") + " +Inf\n" in metrics.render().decode()
    metrics.reconfigure(Snapshot(CATALOG, {}, {}))
    assert spent_at("usd", "day", "hard") + " NaN\n" in metrics.render().decode()
