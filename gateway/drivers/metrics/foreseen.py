"""Series that are shown before anything happens, by what the configuration has; and of gauges those
that say nothing any more, since it has them no longer.
"""

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
"""So many tenants have series before anything happens to them."""
_OF_BUDGETS: Final = (
    "gateway_budget_limit",
    "gateway_budget_spent",
    "gateway_budget_held",
    PROJECTED,
)
_OF_HOMES: Final = "gateway_holds_open"


def foresee(of: Families, tenants: Iterable[Tenant], deployments: Iterable[str]) -> None:
    """Show at 0 what may never happen."""
    for tenant in islice(tenants, _FORESEEN):
        name, home = tenant.name, _home(tenant)
        of.show(_OF_HOMES, home)
        for counter in ("gateway_holds_expired_total", "gateway_holds_expired_usd_total"):
            of.show(counter, home)
        of.show("gateway_budget_overrun_usd_total", name)
        of.show("gateway_budget_overruns_total", name)
        of.show(_DECISIONS, name, "granted", "none", "none")
        for scope, budget in all_budgets(tenant):
            _may(of, name, scope, budget)
    for deployment in deployments:
        of.show("gateway_circuit_state", deployment)
    for outcome in ("sent", "failed", "dropped"):
        of.show("gateway_alerts_total", outcome)
    for result in ("changed", "unchanged", "refused"):
        of.show("gateway_config_reloads_total", result)


def forget(of: Families, tenants: Iterable[Tenant]) -> None:
    """What nobody reads any more is no number."""
    there = [*tenants]
    budgets = {which for tenant in there for which in _read(tenant)}
    for name in _OF_BUDGETS:
        for which in [*of[name]]:
            if which not in budgets:
                of.set(name, *which, to=math.nan)
    homes = {(_home(tenant),) for tenant in there}
    for which in [*of[_OF_HOMES]]:
        if which not in homes:
            of.set(_OF_HOMES, *which, to=math.nan)


def _may(of: Families, tenant: str, scope: Scope, budget: Budget) -> None:
    meter, mode = budget.meter, budget.mode
    if mode == "shadow":
        of.show("gateway_budget_shadow_refusals_total", tenant, scope, meter)
        return
    if mode == "hard":
        of.show(_DECISIONS, tenant, "refused", scope, meter)
    for percent in ("80", "100"):
        of.show(
            "gateway_budget_warnings_total", tenant, scope, meter, per_of(budget), mode, percent
        )


def _read(tenant: Tenant) -> Iterator[tuple[str, ...]]:
    """The labels of budgets that are read for metrics."""
    for budget in tenant.budgets:
        yield labels_of(Account("tenant", tenant.name, (), tenant.name), budget)
    shared = tenant.organisation
    for budget in shared.budgets if shared is not None else ():
        yield labels_of(Account("organisation", shared.name if shared else "", (), ""), budget)


def _home(tenant: Tenant) -> str:
    return tenant.name if tenant.organisation is None else tenant.organisation.name
