"""What a request without an answer is told."""

from typing import Any

import pytest

from gateway.core.accounts import Account, Purse, Refusal, Scope
from gateway.core.catalog import Budget, Period, Tenant
from gateway.core.errors import (
    BudgetExceeded,
    Faulty,
    Forbidden,
    GatewayError,
    LedgerDown,
    NoAnswer,
    NothingFits,
    OutOfTime,
    RateLimited,
    Rejected,
    TimedOut,
    Unsuitable,
)
from gateway.core.features import Features
from gateway.core.money import Nanos
from gateway.core.plan import Plan, Skipped
from gateway.core.refusals import no_answer, nothing_fits
from gateway.core.strategy import Verdict
from gateway.core.tokens import Bound
from gateway.web.headers import error_headers

PURSE = Purse("acme", ())
NOON = 1_795_345_200  # 2026-11-22T12:00 in Berlin
RESETS = "It resets at 2026-11-22T12:00:00+01:00."


def asked(max_cost: int | None = None) -> Features:
    most = None if max_cost is None else Nanos(max_cost)
    return Features(Bound(0, 9), 9, 1, frozenset(), caches=False, max_cost=most)


@pytest.mark.parametrize(
    ("whys", "cap", "max_cost", "expected", "status", "says"),
    [
        (["context: x", "health"], None, None, NothingFits, 400, "d0: context: x; d1: health"),
        (["tenant's models"], None, None, Forbidden, 403, "acme may not use the model 'auto'"),
        (["tenant's models", "health"], None, None, NothingFits, 400, "d1: health"),
        (["headroom: a"], 5, None, BudgetExceeded, 429, "tenant acme, $0.000000005 for each"),
        (["headroom: a"], 5, 9, BudgetExceeded, 429, "ask for fewer tokens. d0: headroom: a"),
        (["headroom: a"], 5, 4, NothingFits, 400, "d0: headroom: a"),
        (["headroom: a"], None, 4, NothingFits, 400, "d0: headroom: a"),
        (["headroom: a", "health"], 5, None, NothingFits, 400, "d1: health"),
        ([], None, None, NothingFits, 400, "No model of 'auto' fits this request."),
    ],
)
def test_nothing_fits(
    whys: list[str],
    cap: int | None,
    max_cost: int | None,
    expected: type[GatewayError],
    status: int,
    says: str,
) -> None:
    plan = Plan((), tuple(Skipped(f"d{i}", "t", why) for i, why in enumerate(whys)))
    tenant = Tenant("acme", max_request=None if cap is None else Nanos(cap))
    error = nothing_fits(plan, "auto", tenant, asked(max_cost))
    assert (type(error), error.status, error.should_retry) == (expected, status, False)
    assert says in str(error)


@pytest.mark.parametrize(
    ("verdict", "trail", "expected", "told"),
    [
        (Verdict(None, "exhausted", Faulty("500")), ["a faulty"], NoAnswer,
         "No model answered: a faulty; 500"),
        (Verdict(None, "exhausted"), [], NoAnswer, "No model answered."),
        (Verdict(None, "exhausted", TimedOut("late")), [], NoAnswer, "No model answered: late"),
        (Verdict(None, "deadline", TimedOut("late")), ["a late"], OutOfTime,
         "No model answered in time: a late; late"),
        (Verdict(None, "deadline"), [], OutOfTime, "No model answered in time."),
        (Verdict(None, "rejected", Rejected("bad", status=422)), ["a"], Rejected, "bad"),
        (Verdict(None, "exhausted", Unsuitable("long", status=400)), [], Unsuitable, "long"),
        (Verdict(None, "deadline", Rejected("bad field")), [], Rejected, "bad field"),
    ],
)  # fmt: skip
def test_no_answer(
    verdict: Verdict, trail: list[str], expected: type[GatewayError], told: str
) -> None:
    error = no_answer(verdict, PURSE, trail)
    assert (type(error), str(error), error.should_retry) == (expected, told, False)


@pytest.mark.parametrize(
    ("scope", "per", "resets_at", "whose", "ends"),
    [
        ("tenant", "day", NOON, "tenant acme, $2.5 per day,", RESETS),
        ("user", "month", NOON, "user 'x' of tenant acme, $2.5 per month,", RESETS),
        ("key", "total", None, "key 'x' of tenant acme, $2.5 in total,", "It does not reset."),
    ],
)
def test_no_money(scope: Scope, per: Period, resets_at: int | None, whose: str, ends: str) -> None:
    budget = Budget(Nanos(2_500_000_000), per)
    account = Account(scope, "x", (budget,), "acme", "Europe/Berlin")
    refusal = Refusal(account, budget, 100_000_000, resets_at, wanted=120_000_000)
    error = no_answer(Verdict(None, "budget", Faulty("500"), refusal), PURSE, ["a faulty"])
    seen: tuple[Any, ...] = (type(error), error.status, error.code, error.type, error.should_retry)
    assert seen == (BudgetExceeded, 429, "budget_exceeded", "insufficient_quota", False)
    assert str(error) == (
        f"The budget of {whose} has $0.1 left; this request may cost up to $0.12. {ends}"
    )


TOKENS = Budget(5000, "minute", "tokens")
ROLLING = Budget(5000, "hour", "tokens", rolling=True)
ASKED = Budget(60, "minute", "requests", rolling=True)
AT_ONCE = Budget(4, "total", "at_once")


@pytest.mark.parametrize(
    ("account", "budget", "left", "resets_at", "wait_s", "told"),
    [
        (Account("tenant", "acme", (), "acme"), TOKENS, 12, NOON + 9.5, 9.5,
         ("The limit of tenant acme, 5000 tokens per minute, has 12 left, less than this request "
         "may take. It resets at 2026-11-22T11:00:10+00:00.")),
        (Account("key", "k1", (), "acme"), ASKED, 0, NOON + 0.2, 0.2,
         ("The limit of key 'k1' of tenant acme, 60 requests in any minute, has 0 left, less than "
         "this request may take. It has room again at 2026-11-22T11:00:01+00:00.")),
        (Account("model", "gpt-5", ()), AT_ONCE, 0, None, 1.0,
         "The limit of model 'gpt-5' of organisation globex, 4 requests at once, is reached."),
    ],
)  # fmt: skip
def test_a_rate_says_when_to_come_again(
    account: Account, budget: Budget, left: int, resets_at: float | None, wait_s: float, told: str
) -> None:
    refusal = Refusal(account, budget, left, resets_at, now=NOON)
    purse = Purse("acme", (), "globex")
    error = no_answer(Verdict(None, "budget", refusal=refusal), purse, [])
    assert isinstance(error, RateLimited)
    assert (error.status, error.code, error.should_retry) == (429, "rate_limit_exceeded", None)
    assert error.retry_after == pytest.approx(wait_s)
    assert str(error) == told


@pytest.mark.parametrize(
    ("budget", "left", "wanted", "resets_at", "told"),
    [
        (TOKENS, 5000, 5001, NOON + 9.5,
         ("The limit of tenant acme, 5000 tokens per minute, is less than this request may take, "
          "5001: it fits at no time. Ask for fewer tokens, or have the limit raised.")),
        (ROLLING, 12, 5001, NOON + 9.5,
         ("The limit of tenant acme, 5000 tokens in any hour, is less than this request may take, "
          "5001: it fits at no time. Ask for fewer tokens, or have the limit raised.")),
        (Budget(5000, "total", "tokens"), 12, 60, None,
         ("The limit of tenant acme, 5000 tokens in total, has 12 left, less than this request may "
          "take. It does not reset.")),
        (Budget(3, "total", "requests"), 0, 1, None,
         ("The limit of tenant acme, 3 requests in total, has 0 left, less than this request may "
          "take. It does not reset.")),
        (Budget(2_000_000_000, "day"), 2_000_000_000, 2_500_000_000, NOON,
         ("The budget of tenant acme, $2 per day, has $2 left; this request may cost up to $2.5. "
          "It resets at 2026-11-22T11:00:00+00:00.")),
    ],
)  # fmt: skip
def test_who_need_not_wait_is_not_told_to(
    budget: Budget, left: int, wanted: int, resets_at: float | None, told: str
) -> None:
    account = Account("tenant", "acme", (), "acme")
    refusal = Refusal(account, budget, left, resets_at, now=NOON, wanted=wanted)
    error = no_answer(Verdict(None, "budget", refusal=refusal), PURSE, [])
    seen = (type(error), error.status, error.code, error.type, error.should_retry)
    assert seen == (BudgetExceeded, 429, "budget_exceeded", "insufficient_quota", False)
    assert str(error) == told
    assert not {b"retry-after", b"retry-after-ms"} & dict(error_headers(error, "r", None)).keys()


def test_a_ledger_that_goes_away_is_not_the_providers_fault() -> None:
    error = no_answer(Verdict(None, "ledger_unavailable", Faulty("500")), PURSE, ["a faulty"])
    assert (type(error), error.status, error.code) == (LedgerDown, 503, "ledger_unavailable")
