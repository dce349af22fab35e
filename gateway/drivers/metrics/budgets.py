"""Budgets as labels: their scope, unit, period and mode; never whose key or which user."""

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
    """Its period; "rolling_day" of a rolling one, and "none" of one of requests at once."""
    per = "none" if budget.meter == "at_once" else budget.per
    return f"rolling_{per}" if budget.rolling else per


def all_budgets(tenant: Tenant) -> Iterator[tuple[Scope, Budget]]:
    """Every budget that a request of a tenant may meet."""
    shared = tenant.organisation
    if shared is not None:
        yield from _of("organisation", shared.budgets)
        yield from _named("model", shared.model_budgets)
        yield from _named("provider", shared.provider_budgets)
    yield from _of("tenant", tenant.budgets)
    yield from _of("user", tenant.user_budgets)
    for key in tenant.keys:
        yield from _of("key", key.budgets)
    yield from _named("tag", tenant.tag_budgets)
    yield from _named("model", tenant.model_budgets)
    yield from _named("provider", tenant.provider_budgets)


def exhausted(event: events.BudgetRead, now: float) -> float | None:
    """When a budget by the calendar will be spent if its period goes on as it did so far, in Unix
    seconds; infinite when that is after its end. None for one that has no such period.
    """
    budget = event.budget
    if budget.rolling or budget.per == "total" or budget.meter == "at_once":
        return None
    taken, left = event.spent + event.held, budget.cap - event.spent - event.held
    if left <= 0:
        return now
    here = period(budget.per, event.account.timezone, now)
    gone = now - here.start
    if taken <= 0 or gone <= 0:
        return math.inf
    when = now + left * gone / taken
    return when if here.end is not None and when < here.end else math.inf


def _of(scope: Scope, budgets: Iterable[Budget]) -> Iterator[tuple[Scope, Budget]]:
    return ((scope, budget) for budget in budgets)


def _named(scope: Scope, by_name: Budgets) -> Iterator[tuple[Scope, Budget]]:
    return ((scope, budget) for budgets in by_name.values() for budget in budgets)


def budget_writers(of: Families, wall: Clock) -> Mapping[type, Callable[[Any], None]]:
    """Where budgets stand, and how many holds are open."""

    def budget(event: events.BudgetRead) -> None:
        which = labels_of(event.account, event.budget)
        unit = PER_USD if event.budget.meter == "usd" else 1
        of.set("gateway_budget_limit", *which, to=event.budget.cap / unit)
        of.set("gateway_budget_spent", *which, to=event.spent / unit)
        of.set("gateway_budget_held", *which, to=event.held / unit)
        when = exhausted(event, wall())
        if when is not None:
            of.set(PROJECTED, *which, to=when)

    def holds(event: events.HoldsRead) -> None:
        of.set("gateway_holds_open", event.tenant, to=event.holds)

    return {events.BudgetRead: budget, events.HoldsRead: holds}
