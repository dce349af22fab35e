"""Labels of budgets: scope, unit, period and mode; never a key or a user."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.core.accounts import Account, Scope
from gateway.core.catalog import Budget, Budgets, Tenant
from gateway.core.money import PER_USD
from gateway.core.periods import period
from gateway.core.ports import Clock
from gateway.drivers.metrics.families import Families

PROJECTED: Final = "gateway_budget_projected_exhaustion_timestamp_seconds"


def labels_of(account: Account, budget: Budget) -> tuple[str, str, str, str, str]:
    """scope, tenant, meter, per, mode."""
    return account.scope, account.name, budget.meter, per_of(budget), budget.mode


def per_of(budget: Budget) -> str:
    """The label of its period: "rolling_day" for a rolling one, "none" for concurrent requests."""
    per = "none" if budget.meter == "at_once" else budget.per
    return f"rolling_{per}" if budget.rolling else per


def all_budgets(tenant: Tenant) -> Iterator[tuple[Scope, Budget]]:
    """Every budget that can apply to a request of a tenant."""
    organisation = tenant.organisation
    if organisation is not None:
        yield from _with_scope("organisation", organisation.budgets)
        yield from _flatten("model", organisation.model_budgets)
        yield from _flatten("provider", organisation.provider_budgets)
    yield from _with_scope("tenant", tenant.budgets)
    yield from _with_scope("user", tenant.user_budgets)
    for key in tenant.keys:
        yield from _with_scope("key", key.budgets)
    yield from _flatten("tag", tenant.tag_budgets)
    yield from _flatten("model", tenant.model_budgets)
    yield from _flatten("provider", tenant.provider_budgets)


def projected_exhaustion(event: events.BudgetRead, now: float) -> float | None:
    """When a calendar budget will be exhausted at the rate of its period so far, in Unix seconds;
    infinite when that is after the period's end. None for other budgets.
    """
    budget = event.budget
    if budget.rolling or budget.per == "total" or budget.meter == "at_once":
        return None
    used, left = event.spent + event.held, budget.cap - event.spent - event.held
    if left <= 0:
        return now
    current = period(budget.per, event.account.timezone, now)
    elapsed = now - current.start
    if used <= 0 or elapsed <= 0:
        return math.inf
    exhausted_at = now + left * elapsed / used
    return exhausted_at if current.end is not None and exhausted_at < current.end else math.inf


def _with_scope(scope: Scope, budgets: Iterable[Budget]) -> Iterator[tuple[Scope, Budget]]:
    return ((scope, budget) for budget in budgets)


def _flatten(scope: Scope, by_name: Budgets) -> Iterator[tuple[Scope, Budget]]:
    return ((scope, budget) for budgets in by_name.values() for budget in budgets)


def budget_writers(families: Families, wall: Clock) -> Mapping[type, Callable[[Any], None]]:
    """Where budgets stand, and how many holds are open."""

    def on_budget(event: events.BudgetRead) -> None:
        labels = labels_of(event.account, event.budget)
        unit = PER_USD if event.budget.meter == "usd" else 1
        families.set("gateway_budget_limit", *labels, to=event.budget.cap / unit)
        families.set("gateway_budget_spent", *labels, to=event.spent / unit)
        families.set("gateway_budget_held", *labels, to=event.held / unit)
        exhausted_at = projected_exhaustion(event, wall())
        if exhausted_at is not None:
            families.set(PROJECTED, *labels, to=exhausted_at)

    def on_holds(event: events.HoldsRead) -> None:
        families.set("gateway_holds_open", event.tenant, to=event.holds)

    return {events.BudgetRead: on_budget, events.HoldsRead: on_holds}
