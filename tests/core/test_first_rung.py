"""Where a plan begins: the least expected cost among the rungs that are likely enough to pass."""

from math import log

import pytest
from msgspec import structs

from gateway.core.catalog import CASCADE, Tactic, Tenant
from gateway.core.chat import ChatRequest, Extras
from gateway.core.features import read_features
from gateway.core.first_rung import after, begin
from gateway.core.ladder import ladders
from gateway.core.learned import Learned
from gateway.core.learned.signals import NAMES, kept, read_signals
from gateway.core.plan import Plan, PlanContext, make_plan
from gateway.core.strategies import tactic
from tests.core.asked import request, user
from tests.lives import CATALOG
from tests.weights import weights

HI = request(user("one two three"), model="judged", max_tokens=20)
"""At most 20 tokens out; a token of `cheap` costs 1 nano-dollar, of `mid` 10, of `smart` 100."""
COUNTED = 11
"""Tokens in."""


def odds(**passes: float) -> dict[str, float]:
    """A tier's bias, by how likely it passes."""
    return {tier: log(each / (1 - each)) for tier, each in passes.items()}


def begun(learned: Learned | None, asked: ChatRequest = HI) -> tuple[Plan, tuple[float, ...]]:
    ladder = structs.replace(ladders(CATALOG)[asked.model], learned=learned)
    features = read_features(asked)
    plan = make_plan(ladder, features, PlanContext(Tenant("t")), lambda: 0.5)
    return begin(ladder, plan, asked, features)


def tiers(plan: Plan) -> list[str]:
    return [rung.tier for rung in plan.rungs]


ALL = ["cheap", "mid", "smart"]


@pytest.mark.parametrize(
    ("passes", "floor", "within", "left"),
    [
        pytest.param((0.95, 0.97, 0.99), 0.9, 0.0, ALL, id="all are good: the cheapest"),
        pytest.param((0.5, 0.95, 0.99), 0.9, 0.0, ALL[1:], id="the first is not"),
        pytest.param((0.5, 0.6, 0.99), 0.9, 0.0, ALL[2:], id="only the last is"),
        pytest.param((0.5, 0.6, 0.7), 0.9, 0.0, ALL[2:], id="none is: the likeliest"),
        pytest.param((0.3, 0.31, 0.34), 0.9, 0.05, ALL, id="none can: no need of the dearest"),
        pytest.param((0.3, 0.31, 0.34), 0.9, 0.035, ALL[1:], id="but of the next"),
        pytest.param((0.9, 0.3, 0.95), 0.9, 0.0, ALL, id="a floor is reached when it is met"),
        pytest.param(
            (0.5, 0.05, 0.9), 0.0, 0.0, ALL, id="no floor: what is expected to cost least"
        ),
    ],
)
def test_who_is_first(
    passes: tuple[float, ...], floor: float, within: float, left: list[str]
) -> None:
    each = weights(odds(**dict(zip(ALL, passes, strict=True))))
    plan, _ = begun(Learned(each, floor - 1e-9, within + 1e-9))
    assert tiers(plan) == left
    assert plan.start is not None
    assert plan.start.tier == left[0]


@pytest.mark.parametrize(("passes", "first"), [(0.04, "mid"), (0.06, "cheap")])
def test_what_is_expected_to_cost_least_is_not_always_the_cheapest(
    passes: float, first: str
) -> None:
    """A call that is most likely thrown away costs more than it saves."""
    each = weights(odds(cheap=passes, mid=0.9, smart=0.9), tokens=20)
    start = begun(Learned(each, 0.0, 1.0))[0].start
    assert start is not None
    own = COUNTED + 20
    smart = 100 * own
    mid = 10 * own + smart // 10
    costs = {each.tier: each.expected for each in start.estimates}
    assert costs == {"smart": smart, "mid": mid, "cheap": own + round((1 - passes) * mid)}
    assert start.tier == first


def test_by_what_is_asked() -> None:
    """Longer ones are harder for the first."""
    each = weights(odds(cheap=0.99, mid=0.99, smart=0.99), per_word=-1.0)
    assert tiers(begun(Learned(each, 0.9, 0.0))[0]) == ALL
    long = request(user("word " * 40), model="judged", max_tokens=20)
    assert tiers(begun(Learned(each, 0.9, 0.0), long)[0]) == ALL[1:]


def test_who_is_left_out_is_asked_when_nobody_else_answers() -> None:
    each = weights(odds(cheap=0.5, mid=0.95, smart=0.99))
    plan, _ = begun(Learned(each, 0.9, 0.0))
    assert plan.start is not None
    assert [each.clears for each in plan.start.estimates] == [False, True, True]
    assert [each.deployment.name for each in plan.rungs[0].candidates] == ["c@p", "a@p", "b@p"]
    assert plan.rungs[0].tier == "mid"


@pytest.mark.parametrize(
    "learned",
    [
        None,
        Learned(),
        Learned(weights(odds(cheap=0.1, mid=0.9))),
        Learned(weights(odds(cheap=0.95, mid=0.1, smart=0.1))),
    ],
    ids=["nothing learned", "only kept", "a rung is unknown", "the first is best"],
)
def test_plans_that_stay_as_they_are(learned: Learned | None) -> None:
    plan, signals = begun(learned)
    assert tiers(plan) == ALL
    assert plan.skipped == ()
    assert signals == (() if learned is None else kept(read_signals(HI)))


@pytest.mark.parametrize("extras", [Extras(strategy="cascade"), Extras(checks=("not_refused",))])
def test_a_client_that_says_how_is_neither_learned_from_nor_for(extras: Extras) -> None:
    each = weights(odds(cheap=0.1, mid=0.95, smart=0.99))
    plan, signals = begun(Learned(each), structs.replace(HI, extras=extras))
    assert (tiers(plan), signals, plan.start) == (ALL, (), None)


def test_a_plan_of_one_rung() -> None:
    each = weights(odds(mid=0.1, smart=0.95))
    plan, signals = begun(Learned(each), structs.replace(HI, model="smart"))
    assert (tiers(plan), len(signals)) == (["smart"], len(NAMES) + 1)


VOTE, RETRY = tactic("vote"), tactic("retry_cheap")


@pytest.mark.parametrize(
    ("chosen", "rungs", "left"),
    [
        (CASCADE, 2, CASCADE),
        (VOTE, 0, VOTE),
        (VOTE, 1, CASCADE),
        (structs.replace(VOTE, then=RETRY), 1, RETRY),
        (structs.replace(VOTE, then=RETRY), 2, CASCADE),
    ],
)
def test_what_is_left_of_a_strategy(chosen: Tactic, rungs: int, left: Tactic) -> None:
    assert after(chosen, rungs) == left


def test_a_vote_costs_all_its_voters() -> None:
    ladder = ladders(CATALOG)["vote"]
    each = weights(odds(cheap=0.95, mid=0.95), tokens=20)
    learned = structs.replace(ladder, learned=Learned(each, 0.9, 0.0))
    asked = structs.replace(HI, model="vote")
    features = read_features(asked)
    plan = make_plan(learned, features, PlanContext(Tenant("t")), lambda: 0.5)
    begun_at, _ = begin(learned, plan, asked, features)
    assert begun_at.start is not None
    cheap, mid = begun_at.start.estimates
    assert mid.expected == 10 * (COUNTED + 20)
    assert cheap.expected == 2 * (COUNTED + 20) + round(0.05 * mid.expected)
