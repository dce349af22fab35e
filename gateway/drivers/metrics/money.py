"""Metrics of budgets, holds and the ledger; the others are in catalogue.py."""

from collections.abc import Mapping
from typing import Final

from gateway.drivers.metrics.shape import PARTS, SHORT, Metric

_BUDGET: Final = ("scope", "tenant", "meter", "per", "mode")

BUDGETS_AND_LEDGER: Final[Mapping[str, Metric]] = {
    "gateway_budget_limit": Metric(
        "gauge",
        "The cap of a tenant's or organisation's budget, in its unit: usd is US dollars.",
        _BUDGET,
        across="latest",
    ),
    "gateway_budget_spent": Metric(
        "gauge", "Spent of the budget in this period.", _BUDGET, across="latest"
    ),
    "gateway_budget_held": Metric(
        "gauge", "Held of the budget for calls in flight.", _BUDGET, across="latest"
    ),
    "gateway_budget_projected_exhaustion_timestamp_seconds": Metric(
        "gauge",
        (
            "When the budget is exhausted at the rate of this period so far, in seconds since "
            "1970; +Inf: not in this period. Calendar budgets only."
        ),
        _BUDGET,
        across="latest",
    ),
    "gateway_budget_decisions_total": Metric(
        "counter",
        ("Holds that the ledger granted or refused, by scope and unit of the budget that refused."),
        ("tenant", "decision", "scope", "meter"),
    ),
    "gateway_budget_warnings_total": Metric(
        "counter",
        "Budgets that reached 80 or 100 percent of their cap, once per period.",
        ("tenant", "scope", "meter", "per", "mode", "percent"),
    ),
    "gateway_budget_shadow_refusals_total": Metric(
        "counter",
        "Holds that a budget in shadow mode would have refused.",
        ("tenant", "scope", "meter"),
    ),
    "gateway_budget_overrun_usd_total": Metric(
        "counter", "The amount by which calls cost more than their holds.", ("tenant",)
    ),
    "gateway_budget_overruns_total": Metric(
        "counter", "Calls that cost more than their hold.", ("tenant",)
    ),
    "gateway_alerts_total": Metric(
        "counter", "Warnings to the webhook: sent, failed, or dropped.", ("outcome",)
    ),
    "gateway_holds_open": Metric(
        "gauge", "Holds neither settled nor expired.", ("tenant",), across="latest"
    ),
    "gateway_holds_expired_total": Metric(
        "counter", "Holds that were not settled in time and were charged in full.", ("tenant",)
    ),
    "gateway_holds_expired_usd_total": Metric(
        "counter", "The amount charged for expired holds.", ("tenant",)
    ),
    "gateway_settle_ratio": Metric(
        "histogram",
        "Cost of a call as a share of its hold. Failed calls cost little.",
        ("model",),
        PARTS,
    ),
    "gateway_settle_failures_total": Metric(
        "counter",
        (
            "Failed attempts to settle, by the error's kind; and settles that are not retried any "
            "more (given_up): their holds are charged in full."
        ),
        ("reason",),
    ),
    "gateway_ledger_duration_seconds": Metric("histogram", "One ledger operation.", ("op",), SHORT),
    "gateway_ledger_errors_total": Metric(
        "counter", "Ledger operations that failed.", ("op", "kind")
    ),
    "gateway_ledger_mode": Metric(
        "gauge",
        (
            "0: the ledger answers and accepts writes. Otherwise 1 if calls use local shares of "
            "the budgets, 2 if they are refused."
        ),
        across="live_worst",
    ),
}
