"""Explains a plan: why these models, why not others, and what they cost. No call is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, structs

from gateway.core import tokens
from gateway.core.catalog import BALLOTS, CASCADE, Check, Tactic, Tenant
from gateway.core.chat import ChatRequest, Choice, Completion, Usage
from gateway.core.checks.external import question
from gateway.core.explain.prices import dollars, rates, search_fee
from gateway.core.explain.worst import worst
from gateway.core.features import Features, read_features
from gateway.core.first_rung import after
from gateway.core.judges import judges
from gateway.core.ladder import Ladder, Step
from gateway.core.learned import Start
from gateway.core.learned.signals import NAMES
from gateway.core.money import Nanos, cost
from gateway.core.order import TYPICAL_OUTPUT, Order, RankingFacts, describe
from gateway.core.pace import LatencyTracker
from gateway.core.plan import (
    Candidate,
    Plan,
    PlanContext,
    Rung,
    in_its_tokens,
    peak_price,
    price_now,
)
from gateway.core.strategies import carry_out, tactic, taking

_NO_CONTEXT: Final = PlanContext(Tenant(""))
_NONE: Final[Mapping[str, Ladder]] = {}
_ALWAYS_FIRST: Final = 0.0
"""In place of a random draw."""
_WARM: Final = "its prompt cache holds the beginning"


def explain(
    request: ChatRequest,
    features: Features,
    plan: Plan,
    ladder: Ladder,
    rule: str = "",
    context: PlanContext = _NO_CONTEXT,
    known: Mapping[str, Ladder] = _NONE,
) -> dict[str, Any]:
    """The plan as JSON values. Costs are in US dollars. `rule` is the name of the rule that chose
    the ladder, `context` what the plan was made by, and judges are found among those that are
    `known`.

    `expected` is the first candidate, or each voter, answering at a typical length, and the first
    judge of each answer; `worst` is the most that all calls can cost together, see worst.py,
    in whichever order those are asked that are drawn; `always_smart` is the last rung's first
    candidate alone.
    """

    def able(judging: ChatRequest) -> Sequence[Candidate]:
        return judges(judging, known, context, lambda: _ALWAYS_FIRST) or ()

    def judging(check: Check, request: ChatRequest, answer: Completion) -> Sequence[Candidate]:
        return able(question(check, request, answer))

    shown = {"prompt": features.prompt, **structs.asdict(features)}
    shown["needs"] = sorted(features.needs)
    shown["max_cost"] = None if features.max_cost is None else dollars(features.max_cost)
    shown["checks"] = None if features.checks is None else [c.name for c in features.checks]
    chosen = _tactic(request, ladder)
    if plan.start is not None:
        chosen = after(chosen, plan.start.below)
    most = worst(_orders(plan, ladder), chosen, request, judging)
    return {
        "model": request.model,
        "rule": rule or None,
        "strategy": _describe_strategy(chosen),
        "learned": _learned(plan.start),
        "features": {**shown, "prompt_counted": tokens.count_prompt(request)},
        "rungs": [
            {
                "tier": rung.tier,
                "order": _order(ladder, rung),
                "checks": [check.name for check in rung.checks.all],
                "flows": flows,
                "candidates": [
                    {
                        **_candidate(each, request, features),
                        "why": why_there(each, rung, ladder, features, context),
                    }
                    for each in rung.candidates
                ],
            }
            for rung, flows in zip(plan.rungs, _flowing(request, plan, chosen), strict=True)
        ],
        "skipped": [structs.asdict(skipped) for skipped in plan.skipped],
        "cost_usd": _costs(request, features, plan, chosen, most, able),
    }


def why_there(
    each: Candidate, rung: Rung, ladder: Ladder, features: Features, context: PlanContext
) -> str:
    """Why a candidate has its place in its rung."""
    if each.tier != rung.tier:
        return f"when those of {rung.tier} fail"
    if each.deployment.name in context.down:
        up = any(other.deployment.name not in context.down for other in rung.candidates)
        return f"its circuit is open: {'when the others fail' if up else 'asked all the same'}"
    order = _order(ladder, rung)
    weight = _weight(ladder, each)
    if order == "listed" and weight is not None:
        warm = each.deployment.name in context.warm
        return _WARM if warm else f"drawn, by its weight of {weight}"
    facts = facts_of(each, features, context)
    return describe(order, facts, context.pace or LatencyTracker(), context.warm)


def facts_of(each: Candidate, features: Features, context: PlanContext) -> RankingFacts:
    """As the plan compares them."""
    return RankingFacts(
        each.deployment.name,
        price_now(each.model, each.deployment, each.prompt, context.wall),
        each.prompt,
        min(context.prefix, each.prompt),
        each.max_output * features.n,
        each.model.card.latency,
        features.caches or each.deployment.caches_unasked,
    )


def _step(ladder: Ladder, tier: str) -> Step | None:
    return next((step for step in ladder.steps if step.tier == tier), None)


def _order(ladder: Ladder, rung: Rung) -> Order:
    step = _step(ladder, rung.tier)
    return "listed" if step is None else step.order


def _weight(ladder: Ladder, each: Candidate) -> int | None:
    """Its own among the model's deployments, else the model's in its tier."""
    step = _step(ladder, each.tier)
    places = () if step is None else step.models
    of = [place.weight for place in places if each.deployment in place.deployments]
    return each.deployment.weight or (of[0] if of else None)


def _learned(start: Start | None) -> dict[str, Any] | None:
    """Where learning makes the plan begin, and the figures behind that."""
    if start is None:
        return None
    return {
        "first": start.tier,
        "floor": start.floor,
        "within": start.within,
        "tiers": [
            {
                "tier": each.tier,
                "passes": round(each.passes, 4),
                "clears": each.clears,
                "expected_usd": dollars(each.expected),
            }
            for each in start.estimates
        ],
        "signals": dict(zip(NAMES, (round(each, 4) for each in start.signals), strict=True)),
    }


def expected_cost(candidate: Candidate, request: ChatRequest, features: Features) -> Nanos:
    """What a typical answer of this candidate costs."""
    model, output = candidate.model, min(candidate.max_output, TYPICAL_OUTPUT) * features.n
    prompt = min(in_its_tokens(model, tokens.count_input(request)), candidate.prompt)
    audio = in_its_tokens(model, tokens.count_audio(request))
    price = peak_price(model, candidate.deployment, prompt)
    searches = min(features.searches, 1)
    return cost(price, Usage(prompt, output, audio_prompt=audio, searches=searches))


def _candidate(each: Candidate, request: ChatRequest, features: Features) -> dict[str, Any]:
    return {
        "model": each.model.name,
        "provider": each.deployment.provider,
        "deployment": each.deployment.name,
        "max_output": each.max_output,
        **_priced(each),
        "expected_usd": dollars(expected_cost(each, request, features)),
        "worst_usd": dollars(each.ceiling),
    }


def _priced(each: Candidate) -> dict[str, Any]:
    """Its price for a short prompt, those for longer ones, and which of them is held for."""
    tariff = each.deployment.tariff
    steps = () if tariff is None else tariff.rises()
    reached = [step.above for step in steps if each.prompt > step.above]
    price = peak_price(each.model, each.deployment)
    return {
        "price_usd_per_million_tokens": rates(price),
        **search_fee(price),
        "price_steps": [{"above": step.above, **rates(step.price)} for step in steps],
        "held_above": reached[-1] if reached else None,
    }


def _tactic(request: ChatRequest, ladder: Ladder) -> Tactic:
    wanted = request.extras.strategy
    return ladder.strategy if wanted is None else tactic(wanted)


def _flowing(request: ChatRequest, plan: Plan, chosen: Tactic) -> Iterator[bool]:
    """Of each rung, whether its answer is given as it comes: nothing is to be checked in it, and
    no other answer is compared with it.
    """
    joined = False
    for number, rung in enumerate(plan.rungs, 1):
        chosen = taking(rung, chosen)
        votes = chosen.name in BALLOTS or (joined and number < len(plan.rungs))
        yield request.stream and not rung.checks.all and not votes
        joined = joined or (chosen.then is None and bool(chosen.options.get("join")))
        chosen = chosen.then or CASCADE


def _describe_strategy(chosen: Tactic | None) -> dict[str, Any] | None:
    if chosen is None:
        return None
    return {
        "name": chosen.name,
        "options": dict(chosen.options),
        "then": _describe_strategy(chosen.then),
    }


def _orders(plan: Plan, ladder: Ladder) -> Iterator[Plan]:
    """The plan; and where chance or observations may order a rung in another way the next time,
    also with its cheapest candidate first, and with its dearest.
    """
    steps = [_step(ladder, rung.tier) for rung in plan.rungs]
    turns = [step is not None and (step.drawn or step.order != "listed") for step in steps]
    yield plan
    for dearest_first in (False, True) if any(turns) else ():
        yield structs.replace(
            plan,
            rungs=tuple(
                _sorted(rung, dearest_first=dearest_first) if turned else rung
                for rung, turned in zip(plan.rungs, turns, strict=True)
            ),
        )


def _sorted(rung: Rung, *, dearest_first: bool) -> Rung:
    found = sorted(rung.candidates, key=lambda each: each.ceiling, reverse=dearest_first)
    return Rung(rung.tier, tuple(found), rung.checks)


def _costs(
    request: ChatRequest,
    features: Features,
    plan: Plan,
    chosen: Tactic,
    most: int,
    able: Callable[[ChatRequest], Sequence[Candidate]],
) -> dict[str, Raw] | None:
    if not plan.rungs:
        return None
    first, last = next(carry_out(plan, chosen)), plan.rungs[-1].candidates[0]
    calls = first.calls if first.stagger_s is None else first.calls[:1]
    judging = [check for check in first.checks.external if check.name == "judge"]
    expected = 0
    for each in calls:
        expected += expected_cost(each, request, features)
        answer = Completion((Choice(text="word" * min(each.max_output, TYPICAL_OUTPUT)),))
        for asks in (question(check, request, answer) for check in judging):
            for judge in able(asks)[:1]:
                expected += expected_cost(judge, asks, read_features(asks))
    return {
        "expected": dollars(expected),
        "worst": dollars(most),
        "always_smart": dollars(expected_cost(last, request, features)),
    }
