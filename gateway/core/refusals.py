"""Which error a request without an answer ends in, and what it tells the client."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from gateway.core.accounts import Purse, Refusal
from gateway.core.catalog import Period, Tenant
from gateway.core.errors import (
    BudgetExceeded,
    Forbidden,
    GatewayError,
    LedgerDown,
    NoAnswer,
    NothingFits,
    OutOfTime,
    RateLimited,
    Rejected,
    Unsuitable,
)
from gateway.core.events import About, BudgetWarned, HoldRefused
from gateway.core.features import Features
from gateway.core.money import usd
from gateway.core.plan import Plan
from gateway.core.strategies.progress import BUDGET
from gateway.core.strategy import Verdict

_SOON_S: Final = 1.0
_SPAN: Final[Mapping[Period, str]] = {
    "minute": "minute",
    "hour": "hour",
    "day": "24 hours",
    "week": "7 days",
    "month": "30 days",
}


def nothing_fits(plan: Plan, model: str, tenant: Tenant, features: Features) -> GatewayError:
    """Every deployment was ruled out before any was asked."""
    reasons = [skipped.why for skipped in plan.skipped]
    if reasons and all(why == "tenant's models" for why in reasons):
        return Forbidden(f"Tenant {tenant.name} may not use the model '{model}'.", param="model")
    skips = "; ".join(f"{skipped.deployment}: {skipped.why}" for skipped in plan.skipped)
    own_cap = tenant.max_request is not None and (
        features.max_cost is None or tenant.max_request <= features.max_cost
    )
    if own_cap and reasons and all(why.startswith("headroom") for why in reasons):
        return BudgetExceeded(
            f"The request budget of tenant {tenant.name}, ${usd(tenant.max_request or 0)} for each "
            f"request, is below what this one may cost; ask for fewer tokens. {skips}"
        )
    return NothingFits(f"No model of '{model}' fits this request. {skips}", param="model")


def of_tokens(verdict: Verdict) -> bool:
    """Whether a budget of tokens or money refused it: an exact count may be less."""
    return verdict.refusal is not None and verdict.refusal.budget.meter in {"usd", "tokens"}


def refusal_events(about: About, refusal: Refusal) -> tuple[HoldRefused | BudgetWarned, ...]:
    """The events of a refusal; also that a cap is reached, where that is new."""
    account, budget = refusal.account, refusal.budget
    refused = HoldRefused(about, account.scope, budget.meter)
    if not refusal.first:
        return (refused,)
    spent = budget.cap - refusal.left
    return refused, BudgetWarned(about, account, budget, 100, spent, refusal.resets_at)


def no_answer(verdict: Verdict, purse: Purse, trail: Sequence[str]) -> GatewayError:
    """Calls were made, or refused, and no answer came of it."""
    if verdict.refusal is not None:
        return _refused(verdict.refusal, purse)
    if verdict.why == "ledger_unavailable":
        return LedgerDown("The ledger is unavailable: no other model could be asked.")
    error = verdict.error
    if isinstance(error, (Rejected, Unsuitable)):
        return error
    tried = list(trail)
    if error is not None:
        tried.append(str(error))
    if verdict.why == BUDGET:
        tried.append("what it may cost leaves no room for another call")
    reasons = f": {'; '.join(tried)}" if tried else "."
    if verdict.why == "deadline":
        return OutOfTime(f"No model answered in time{reasons}")
    return NoAnswer(f"No model answered{reasons}")


def _refused(refusal: Refusal, purse: Purse) -> BudgetExceeded:
    """Money is a quota, and so is whatever waiting does not help: its SDK is told not to come back.
    The others are rates.
    """
    account, budget = refusal.account, refusal.budget
    who = f"tenant {purse.tenant}"
    if account.scope == "organisation":
        who = f"organisation {account.name}"
    elif account.scope != "tenant":
        owner = f"tenant {account.owner}" if account.owner else f"organisation {purse.organisation}"
        who = f"{account.scope} '{account.name}' of {owner}"
    if budget.meter == "at_once":
        message = f"The limit of {who}, {budget.cap} requests at once, is reached."
        return RateLimited(message, retry_after=_SOON_S)
    per = "in total" if budget.per == "total" else f"per {budget.per}"
    if budget.rolling:
        per = f"in any {_SPAN[budget.per]}"
    reset = _reset(refusal)
    if budget.meter == "usd":
        return BudgetExceeded(
            f"The budget of {who}, ${usd(budget.cap)} {per}, has ${usd(refusal.left)} left; "
            f"this request may cost up to ${usd(refusal.wanted)}. {reset}"
        )
    limit = f"The limit of {who}, {budget.cap} {budget.meter} {per},"
    if refusal.too_large:
        return BudgetExceeded(
            f"{limit} is less than this request may take, {refusal.wanted}: it fits at no time. "
            f"Ask for fewer {budget.meter}, or have the limit raised."
        )
    message = f"{limit} has {refusal.left} left, less than this request may take. {reset}"
    if refusal.for_good:
        return BudgetExceeded(message)
    wait_s = _SOON_S if refusal.resets_at is None else refusal.resets_at - refusal.now
    return RateLimited(message, retry_after=max(wait_s, 0.001))


def _reset(refusal: Refusal) -> str:
    if refusal.resets_at is None:
        return "It does not reset."
    zone = ZoneInfo(refusal.account.timezone)
    when = datetime.fromtimestamp(ceil(refusal.resets_at), zone).isoformat()
    return f"It has room again at {when}." if refusal.budget.rolling else f"It resets at {when}."
