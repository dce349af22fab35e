"""Which error a request without an answer ends in, and what it tells the client."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.core.accounts import Purse, Refusal
from gateway.core.catalog import Tenant
from gateway.core.errors import (
    BudgetExceeded,
    Forbidden,
    GatewayError,
    NoAnswer,
    NothingFits,
    OutOfTime,
    Rejected,
    Unsuitable,
)
from gateway.core.features import Features
from gateway.core.money import usd
from gateway.core.plan import Plan
from gateway.core.strategy import Verdict


def nothing_fits(plan: Plan, asked: str, tenant: Tenant, features: Features) -> GatewayError:
    """Every deployment was ruled out before any was asked."""
    reasons = [skipped.why for skipped in plan.skipped]
    if reasons and all(why == "tenant's models" for why in reasons):
        return Forbidden(f"Tenant {tenant.name} may not use the model '{asked}'.", param="model")
    told = "; ".join(f"{skipped.deployment}: {skipped.why}" for skipped in plan.skipped)
    own_cap = tenant.max_request is not None and (
        features.max_cost is None or tenant.max_request <= features.max_cost
    )
    if own_cap and reasons and all(why.startswith("headroom") for why in reasons):
        return BudgetExceeded(
            f"The request budget of tenant {tenant.name}, ${usd(tenant.max_request or 0)} for each "
            f"request, is below what this one may cost; ask for fewer tokens. {told}"
        )
    return NothingFits(f"No model of '{asked}' fits this request. {told}", param="model")


def no_answer(verdict: Verdict, purse: Purse, trail: Sequence[str]) -> GatewayError:
    """Calls were made, or refused, and no answer came of it."""
    if verdict.refusal is not None:
        return BudgetExceeded(_budget(verdict.refusal, purse))
    error = verdict.error
    if isinstance(error, (Rejected, Unsuitable)):
        return error
    tried = list(trail)
    if error is not None:
        tried.append(str(error))
    told = "; ".join(tried)
    if verdict.why == "deadline":
        return OutOfTime(f"No model answered in time. {told}".rstrip())
    return NoAnswer(f"No model answered. {told}".rstrip())


def _budget(refusal: Refusal, purse: Purse) -> str:
    who = f"tenant {purse.tenant}"
    account = refusal.account
    if account.scope != "tenant":
        who = f"{account.scope} '{account.name}' of {who}"
    budget = refusal.budget
    per = "in total" if budget.per == "total" else f"per {budget.per}"
    told = (
        f"The budget of {who}, ${usd(budget.cap)} {per}, has ${usd(refusal.left)} left, "
        "less than this request may cost."
    )
    if refusal.resets_at is None:
        return f"{told} It does not reset."
    reset = datetime.fromtimestamp(refusal.resets_at, ZoneInfo(account.timezone)).isoformat()
    return f"{told} It resets at {reset}."
