"""What a request may cost in all, and caps of models and providers: who is asked, what is given."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pytest
from msgspec import structs

from gateway.core.accounts import Account, Amounts, Scope
from gateway.core.catalog import (
    Budget,
    Catalog,
    Check,
    Deployment,
    Meter,
    Period,
    Route,
    Tactic,
    Tier,
    TierModel,
)
from gateway.core.chat import Extras
from gateway.core.errors import BudgetExceeded, GatewayError, NoAnswer, RateLimited, Rejected
from gateway.core.events import Escalated, FellBack, HoldRefused, Reserved, Settled
from gateway.core.money import PER_USD, Nanos
from gateway.core.strategies import tactic
from tests.lives import (
    ANSWER,
    CATALOG,
    PROMPT,
    Stage,
    Turn,
    faulty,
    hear,
    late,
    poor,
    says,
    stage,
    told,
    well,
    whole,
    wrong,
)

GOOD = Check("regex", {"pattern": "GOOD"})
JUDGE = Check("judge", {"model": "gpt-5", "rubric": "It is right.", "on_failure": "fail"})
other = says("BAD")
slow = Turn(stalls=True)


def route(name: str, tiers: str, chosen: Tactic | None = None, *checks: Check) -> Route:
    return Route(name, tuple(tiers.split()), chosen or tactic("cascade"), checks)


MORE = Catalog(
    CATALOG.models,
    {**CATALOG.tiers, "many": Tier("many", (*CATALOG.tiers["cheap"].models, TierModel("gpt-5")))},
    {
        **CATALOG.routes,
        "tries": route("tries", "cheap mid", tactic("retry_cheap", {"tries": 3}), GOOD),
        "lone": route("lone", "cheap", tactic("vote", {"lone": "accept"})),
        "three": route("three", "many mid", tactic("vote")),
        "checked": route("checked", "cheap", None, GOOD, JUDGE),
        "falls": route("falls", "mid cheap"),
    },
)
APART = Catalog(
    {
        name: structs.replace(each, deployments=(Deployment(f"{name}@p", name, name),))
        for name, each in CATALOG.models.items()
    },
    MORE.tiers,
    MORE.routes,
)
"""Each model at its own provider."""


def ceiling(asked: str = "a") -> int:
    scene = stage(asked, {}, catalog=MORE)
    scene.life._read()
    plan = scene.life._plan_request()
    return plan.rungs[0].candidates[0].ceiling


ONE = ceiling()
"""Of `a` and `b`; of `c` ten times as much, of `d` a hundred."""


@dataclass(frozen=True)
class Case:
    """`most` is what the request may cost; `calls` are those that are made."""

    asked: str
    turns: Mapping[str, Sequence[Turn]]
    most: int
    kept: str | type[GatewayError]
    reason: str
    calls: str


TOGETHER = {
    "all fits": Case(
        "judged",
        {"a": [poor], "c": [well]},
        ANSWER + 10 * ONE,
        "c: GOOD one",
        "passed; a regex",
        "a c",
    ),
    "no room to climb": Case(
        "judged", {"a": [poor]}, ANSWER + 10 * ONE - 1, "a: poor", "budget; a regex; c budget", "a"
    ),
    "no room for the third": Case(
        "judged",
        {"a": [poor], "c": [poor]},
        100 * ONE,
        "c: poor",
        "budget; a regex; c regex; d budget",
        "a c",
    ),
    "a failure that cost nothing leaves all of it": Case(
        "open", {"a": [faulty], "b": [well]}, ONE, "b: GOOD one", "unjudged; a faulty", "a b"
    ),
    "a failure that is billed does not": Case(
        "open", {"a": [late]}, ONE, NoAnswer, "a timed_out; b budget", "a"
    ),
    "votes are held together": Case(
        "vote", {"a": [well], "b": [well]}, 2 * ONE, "a: GOOD one", "agreed", "a b"
    ),
    "no room for both at once: one after the other": Case(
        "vote", {"a": [well], "b": [well]}, 2 * ONE - 1, "a: GOOD one", "agreed; b budget", "a b"
    ),
    "no room for a second vote": Case(
        "vote",
        {"a": [well]},
        ONE + ANSWER - 1,
        "a: GOOD one",
        "budget; b budget",
        "a",
    ),
    "a lone vote is accepted": Case(
        "lone", {"a": [well]}, ONE, "a: GOOD one", "lone_vote; b budget", "a"
    ),
    "no room to decide": Case(
        "vote",
        {"a": [well], "b": [other]},
        10 * ONE,
        "a: GOOD one",
        "budget; a disagreed; c budget",
        "a b",
    ),
    "a race with room for both": Case(
        "hedge", {"a": [slow], "b": [well]}, 2 * ONE, "b: GOOD one", "unjudged", "a b"
    ),
    "room to repair": Case(
        "repair", {"a": [poor, well]}, 2 * ONE + ANSWER, "a: GOOD one", "passed; a regex", "a a"
    ),
    "no room to repair": Case(
        "repair", {"a": [poor]}, ONE + ANSWER, "a: poor", "budget; a regex; a budget", "a"
    ),
    "no room for a third try": Case(
        "tries",
        {"a": [poor, poor]},
        ONE + 2 * ANSWER - 1,
        "a: poor",
        "budget; a regex; a regex; a budget",
        "a a",
    ),
}


def bounded(case: Case, *, stream: bool, by: str) -> Stage:
    """The client's own cap, or the tenant's."""
    usd = str(Decimal(case.most) / PER_USD)
    extras = Extras(max_cost_usd=usd) if by == "client" else None
    scene = stage(case.asked, case.turns, stream=stream, catalog=MORE, extras=extras)
    if by == "tenant":
        scene.life.tenant = structs.replace(scene.life.tenant, max_request=Nanos(case.most))
    return scene


def most_at_once(scene: Stage) -> int:
    """The most that was ever spent and held together."""
    spent = held = most = 0
    open_holds: dict[str, int] = {}
    for event in scene.events:
        if isinstance(event, Reserved):
            open_holds[event.hold] = event.amount
        elif isinstance(event, Settled):
            del open_holds[event.record.attempt]
            spent += event.record.cost
        held = sum(open_holds.values())
        most = max(most, spent + held)
    return most


async def comes_to(scene: Stage, case: "Case | Capped") -> None:
    """What is kept, of which calls, and that nothing stays held."""
    if isinstance(case.kept, str):
        reply, text = await hear(scene.life)
        assert f"{reply.candidate.model.name}: {text}" == case.kept
        assert reply.reason == case.reason
    else:
        with pytest.raises(case.kept, match=case.reason):
            await hear(scene.life)
    assert " ".join(scene.upstream.asked) == case.calls
    assert scene.life.tab.held == 0
    await whole(scene)


@pytest.mark.parametrize("by", ["client", "tenant"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", TOGETHER)
async def test_what_a_request_may_cost_bounds_all_its_calls(
    name: str, stream: bool, by: str
) -> None:
    case = TOGETHER[name]
    scene = bounded(case, stream=stream, by=by)
    await comes_to(scene, case)
    assert most_at_once(scene) <= case.most


async def test_who_has_no_room_in_a_race_is_asked_once_the_other_has_failed() -> None:
    scene = bounded(
        Case("hedge", {"a": [faulty], "b": [well]}, ONE, "", "", ""), stream=False, by="client"
    )
    scene.far.where = "send"
    task = asyncio.create_task(hear(scene.life))
    while "b budget" not in scene.life.trail:
        await asyncio.sleep(0)
    scene.far.gate.set()
    reply, _ = await task
    assert reply.reason == "unjudged; b budget; a faulty"
    assert scene.upstream.asked == ["a", "b"]
    await whole(scene)


@pytest.mark.parametrize(
    ("most", "reason", "asked"),
    [(10 * ONE, "passed", ["a", "gpt-5"]), (ONE, "best_effort", ["a"])],
)
async def test_a_judge_is_paid_out_of_what_the_request_may_cost(
    most: int, reason: str, asked: list[str]
) -> None:
    turns = {"a": [well], "gpt-5": [says('{"pass": true}')]}
    scene = bounded(Case("checked", turns, most, "", "", ""), stream=False, by="tenant")
    reply, _ = await hear(scene.life)
    assert (reply.reason, scene.upstream.asked) == (reason, asked)
    assert most_at_once(scene) <= most
    await whole(scene)


@dataclass(frozen=True)
class Capped:
    """`caps` are of models, or of the providers of just these; `kept` as above."""

    asked: str
    caps: Mapping[str, int]
    turns: Mapping[str, Sequence[Turn]]
    kept: str | type[GatewayError]
    reason: str
    calls: str
    meter: Meter = "usd"


ASIDE = {
    "another on the same rung": Capped(
        "open", {"a": 1}, {"b": [well]}, "b: GOOD one", "unjudged; a budget", "b"
    ),
    "nobody on the rung: up": Capped(
        "open", {"a": 1, "b": 1}, {"c": [well]}, "c: GOOD one", "unjudged; a budget; b budget", "c"
    ),
    "a rate, too": Capped(
        "open", {"a": 1}, {"b": [well]}, "b: GOOD one", "unjudged; a budget", "b", "tokens"
    ),
    "failed, at its cap, up": Capped(
        "open",
        {"b": 1},
        {"a": [faulty], "c": [well]},
        "c: GOOD one",
        "unjudged; a faulty; b budget",
        "a c",
    ),
    "poor, at its cap, up": Capped(
        "judged",
        {"c": 1},
        {"a": [poor], "d": [well]},
        "d: GOOD one",
        "passed; a regex; c budget",
        "a d",
    ),
    "nobody above: what there is": Capped(
        "judged",
        {"c": 1, "d": 1},
        {"a": [poor]},
        "a: poor",
        "budget; a regex; c budget; d budget",
        "a",
    ),
    "all at their caps": Capped(
        "open", {"a": 1, "b": 1, "c": 1}, {}, BudgetExceeded, "'a' of tenant t, .*total", ""
    ),
    "no rate is as large as the request": Capped(
        "open",
        {"a": 1, "b": 1, "c": 1},
        {},
        BudgetExceeded,
        "'a' of tenant t, 1 tokens per minute, is less than",
        "",
        "tokens",
    ),
    "the others fail": Capped(
        "open", {"a": 1}, {"b": [faulty], "c": [faulty]}, BudgetExceeded, "'a' of tenant t", "b c"
    ),
    "the client's own fault is told": Capped(
        "open", {"a": 1}, {"b": [wrong]}, Rejected, "no such field", "b"
    ),
    "a voter is replaced": Capped(
        "three",
        {"a": 1},
        {"b": [well], "gpt-5": [well]},
        "b: GOOD one",
        "agreed; a budget",
        "b gpt-5",
    ),
    "both in a race": Capped(
        "hedge", {"a": 1, "b": 1}, {"c": [well]}, "c: GOOD one", "unjudged; a budget; b budget", "c"
    ),
    "no money to repair: up": Capped(
        "repair",
        {"a": ONE + ANSWER},
        {"a": [poor], "c": [well]},
        "c: GOOD one",
        "passed; a regex; a budget; a regex",
        "a c",
    ),
    "no money to try again: its equal": Capped(
        "open",
        {"a": ONE - 1 + PROMPT},
        {"a": [late], "b": [well]},
        "b: GOOD one",
        "unjudged; a timed_out",
        "a b",
    ),
}
KINDS: Sequence[Scope] = ("model", "provider")


@pytest.mark.parametrize("scope", KINDS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ASIDE)
async def test_a_cap_of_a_model_or_provider_leaves_the_others_to_be_asked(
    name: str, stream: bool, scope: Scope
) -> None:
    case = ASIDE[name]
    scene = stage(case.asked, case.turns, stream=stream, catalog=APART)
    period: Period = "total" if case.meter == "usd" else "minute"
    caps = tuple(
        Account(scope, who, (Budget(cap, period, case.meter),), "t")
        for who, cap in case.caps.items()
    )
    scene.life.purse = structs.replace(scene.life.purse, per_call=caps)
    await comes_to(scene, case)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_of_several_caps_the_first_that_waiting_helps_is_told(stream: bool) -> None:
    scene = stage("open", {}, stream=stream, catalog=APART)
    large = 10**6
    caps = tuple(
        Account("model", who, (Budget(cap, "minute", "tokens"),), "t")
        for who, cap in {"a": 1, "b": large, "c": large}.items()
    )
    scene.life.purse = structs.replace(scene.life.purse, per_call=caps)
    for who in "bc":
        purse = scene.life.purse.of_call(who, "")
        await scene.ledger.reserve(purse, who, Amounts(Nanos(0), large))
    with pytest.raises(
        RateLimited, match=r"'b' of tenant t, 1000000 tokens per minute, has 0 left"
    ):
        await hear(scene.life)
    assert scene.upstream.asked == []


@pytest.mark.parametrize("scope", ["organisation", "tenant", "user", "key", "tag"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_cap_of_who_asks_ends_it_at_once(scope: Scope, stream: bool) -> None:
    """Though the next would be cheap enough."""
    scene = stage("falls", {"a": [well]}, stream=stream, catalog=APART)
    small = Account(scope, "x", (Budget(5 * ONE, "total"),), "t")
    scene.life.purse = structs.replace(scene.life.purse, accounts=(small,))
    with pytest.raises(BudgetExceeded):
        await hear(scene.life)
    assert (scene.upstream.asked, len(told(scene, HoldRefused))) == ([], 1)


async def test_a_step_aside_is_told_as_a_fallback_and_a_step_up_once() -> None:
    scene = stage("judged", {"a": [poor], "d": [well]}, catalog=APART)
    caps = tuple(Account("model", who, (Budget(1, "total"),), "t") for who in ("c", "x"))
    scene.life.purse = structs.replace(scene.life.purse, per_call=caps)
    await hear(scene.life)
    assert [(e.from_tier, e.to_tier, e.reason) for e in told(scene, Escalated)] == [
        ("cheap", "smart", "regex")
    ]
    assert told(scene, FellBack) == []
    scene = stage("open", {"b": [well]}, catalog=APART)
    caps = (Account("model", "a", (Budget(1, "total"),), "t"),)
    scene.life.purse = structs.replace(scene.life.purse, per_call=caps)
    await hear(scene.life)
    assert [(e.from_model, e.to_model, e.reason) for e in told(scene, FellBack)] == [
        ("a", "b", "budget")
    ]
