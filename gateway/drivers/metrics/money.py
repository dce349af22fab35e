"""Metrics of budgets, holds and the ledger; the others are in catalogue.py."""

from collections.abc import Mapping
from typing import Final

from gateway.drivers.metrics.shape import PARTS, SHORT, Metric

_BUDGET: Final = ("scope", "tenant", "meter", "per", "mode")

BUDGETS_AND_LEDGER: Final[Mapping[str, Metric]] = {
    "gateway_budget_limit": Metric(
        "gauge",
        "The cap of a tenant's or an organisation's own budget, in its unit: usd is US dollars.",
        _BUDGET,
        across="latest",
    ),
    "gateway_budget_spent": Metric(
        "gauge", "Spent of it in this period.", _BUDGET, across="latest"
    ),
    "gateway_budget_held": Metric(
        "gauge", "Held of it for calls in flight.", _BUDGET, across="latest"
    ),
    "gateway_budget_projected_exhaustion_timestamp_seconds": Metric(
        "gauge",
        "When it is spent if the rest of this period goes as the period did so far, in seconds "
        "since 1970; +Inf: not in this period. Of budgets by the calendar.",
        _BUDGET,
        across="latest",
    ),
    "gateway_budget_decisions_total": Metric(
        "counter",
        "Holds the ledger granted or refused, by the scope and unit of what refused.",
        ("tenant", "decision", "scope", "meter"),
    ),
    "gateway_budget_warnings_total": Metric(
        "counter",
        "Budgets that came to 80 or 100 percent of their cap, once in a period.",
        ("tenant", "scope", "meter", "per", "mode", "percent"),
    ),
    "gateway_budget_shadow_refusals_total": Metric(
        "counter",
        "Holds that a budget in shadow mode would have refused.",
        ("tenant", "scope", "meter"),
    ),
    "gateway_budget_overrun_usd_total": Metric(
        "counter", "What bills exceeded their holds by.", ("tenant",)
    ),
    "gateway_budget_overruns_total": Metric(
        "counter", "Calls whose bill exceeded their hold.", ("tenant",)
    ),
    "gateway_alerts_total": Metric(
        "counter", "Warnings to the webhook: sent, failed, or dropped.", ("outcome",)
    ),
    "gateway_holds_open": Metric(
        "gauge", "Holds neither settled nor expired.", ("tenant",), across="latest"
    ),
    "gateway_holds_expired_total": Metric(
        "counter", "Holds nobody settled in time; they were charged in full.", ("tenant",)
    ),
    "gateway_holds_expired_usd_total": Metric("counter", "What was charged for them.", ("tenant",)),
    "gateway_settle_ratio": Metric(
        "histogram",
        "What a call cost, as a part of what was held for it. Calls that failed cost little.",
        ("model",),
        PARTS,
    ),
    "gateway_settle_failures_total": Metric(
        "counter",
        "Settles that did not come through, by the error's kind, each time they were tried; and "
        "those that are not tried again (given_up): their holds are charged in full.",
        ("reason",),
    ),
    "gateway_ledger_duration_seconds": Metric("histogram", "One ledger operation.", ("op",), SHORT),
    "gateway_ledger_errors_total": Metric(
        "counter", "Ledger operations that failed.", ("op", "kind")
    ),
    "gateway_ledger_mode": Metric(
        "gauge",
        "0 the ledger answers and takes writes, 1 it does not and calls go by local shares of what "
        "was left, 2 it does not and calls are refused.",
        across="live_worst",
    ),
}
