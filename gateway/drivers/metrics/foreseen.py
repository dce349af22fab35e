"""Initializes the series that a configuration implies, and clears gauges of removed budgets."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from gateway.core.accounts import Account, Scope
from gateway.core.catalog import Budget, Tenant
from gateway.drivers.metrics.budgets import PROJECTED, all_budgets, labels_of, per_of
from gateway.drivers.metrics.families import Families

_DECISIONS: Final = "gateway_budget_decisions_total"
_FORESEEN: Final = 1_000
"""How many tenants get initialized series."""
_OF_BUDGETS: Final = (
    "gateway_budget_limit",
    "gateway_budget_spent",
    "gateway_budget_held",
    PROJECTED,
)
_OF_HOMES: Final = "gateway_holds_open"


def initialize_series(
    families: Families, tenants: Iterable[Tenant], deployments: Iterable[str]
) -> None:
    """Expose series at 0 before their first event."""
    for tenant in islice(tenants, _FORESEEN):
        name, home = tenant.name, _home_name(tenant)
        families.initialize(_OF_HOMES, home)
        for counter in ("gateway_holds_expired_total", "gateway_holds_expired_usd_total"):
            families.initialize(counter, home)
        families.initialize("gateway_budget_overrun_usd_total", name)
        families.initialize("gateway_budget_overruns_total", name)
        families.initialize(_DECISIONS, name, "granted", "none", "none")
        for scope, budget in all_budgets(tenant):
            _initialize_budget(families, name, scope, budget)
    for deployment in deployments:
        families.initialize("gateway_circuit_state", deployment)
    for outcome in ("sent", "failed", "dropped"):
        families.initialize("gateway_alerts_total", outcome)
    for result in ("changed", "unchanged", "refused"):
        families.initialize("gateway_config_reloads_total", result)


def initialize_usage_series(families: Families, tenants: Iterable[Tenant]) -> None:
    """What a book had to drop while its sink was away is told at once, when it is back: without a 0
    before, a rate would never show it.
    """
    for tenant in islice(tenants, _FORESEEN):
        for outcome in ("kept", "lost"):
            families.initialize("gateway_usage_records_total", _home_name(tenant), outcome)


def clear_removed(families: Families, tenants: Iterable[Tenant]) -> None:
    """Set gauges of removed budgets and homes to NaN."""
    configured = [*tenants]
    budgets = {labels for tenant in configured for labels in _budget_labels(tenant)}
    for name in _OF_BUDGETS:
        for labels in [*families[name]]:
            if labels not in budgets:
                families.set(name, *labels, to=math.nan)
    homes = {(_home_name(tenant),) for tenant in configured}
    for labels in [*families[_OF_HOMES]]:
        if labels not in homes:
            families.set(_OF_HOMES, *labels, to=math.nan)


def _initialize_budget(families: Families, tenant: str, scope: Scope, budget: Budget) -> None:
    meter, mode = budget.meter, budget.mode
    if mode == "shadow":
        families.initialize("gateway_budget_shadow_refusals_total", tenant, scope, meter)
        return
    if mode == "hard":
        families.initialize(_DECISIONS, tenant, "refused", scope, meter)
    for percent in ("80", "100"):
        families.initialize(
            "gateway_budget_warnings_total", tenant, scope, meter, per_of(budget), mode, percent
        )


def _budget_labels(tenant: Tenant) -> Iterator[tuple[str, ...]]:
    """The labels of budgets that are read for metrics."""
    for budget in tenant.budgets:
        yield labels_of(Account("tenant", tenant.name, (), tenant.name), budget)
    organisation = tenant.organisation
    for budget in organisation.budgets if organisation is not None else ():
        yield labels_of(
            Account("organisation", organisation.name if organisation else "", (), ""), budget
        )


def _home_name(tenant: Tenant) -> str:
    return tenant.name if tenant.organisation is None else tenant.organisation.name
