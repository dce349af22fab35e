"""Why this model, why not the others, and what it will cost; no call is made."""

from typing import Any, Final

from msgspec import Raw, structs

from gateway.core import tokens
from gateway.core.catalog import CASCADE, Tactic, Tenant
from gateway.core.chat import ChatRequest, Usage
from gateway.core.features import Features
from gateway.core.first_rung import after
from gateway.core.ladder import Ladder, Step
from gateway.core.learned import Start
from gateway.core.money import Audio, Nanos, Price, cost, usd
from gateway.core.order import Order, Standing, told
from gateway.core.pace import Pace
from gateway.core.plan import (
    Candidate,
    Limits,
    Plan,
    Rung,
    in_its_tokens,
    price_now,
    price_of,
)
from gateway.core.signals import NAMES
from gateway.core.strategies import tactic

_BALLOTS: Final = ("vote", "arbitrate")
_UNSEEN: Final = Limits(Tenant(""))
_TEXT_RATES: Final = ("input", "output", "cached_input", "cache_write")
TYPICAL_OUTPUT: Final = 400
"""Tokens of answer that the expected cost supposes, where the client did not ask for fewer."""


def explain(
    request: ChatRequest,
    features: Features,
    plan: Plan,
    ladder: Ladder,
    rule: str = "",
    limits: Limits = _UNSEEN,
) -> dict[str, Any]:
    """The plan as JSON values. Costs are in US dollars. `rule` is the name of the rule that chose
    the ladder, `limits` what the plan was made by.

    `expected` is the first candidate, or each voter, answering at a typical length; `worst` is
    every call of every rung answering poorly at its ceiling, within what one request may cost;
    `always_smart` is the last rung's first candidate alone.
    """
    asked = {"prompt": features.prompt, **structs.asdict(features)}
    asked["needs"] = sorted(features.needs)
    asked["max_cost"] = None if features.max_cost is None else dollars(features.max_cost)
    asked["checks"] = None if features.checks is None else [c.name for c in features.checks]
    chosen = _tactic(request, ladder)
    if plan.start is not None:
        chosen = after(chosen, plan.start.below)
    return {
        "model": request.model,
        "rule": rule or None,
        "strategy": _told(chosen),
        "learned": _learned(plan.start),
        "features": {**asked, "prompt_counted": tokens.count_prompt(request)},
        "rungs": [
            {
                "tier": rung.tier,
                "order": _order(ladder, rung),
                "checks": [check.name for check in rung.checks.all],
                "flows": request.stream and not rung.checks.all,
                "candidates": [
                    {
                        **_candidate(each, request, features),
                        "why": why_there(each, rung, ladder, features, limits),
                    }
                    for each in rung.candidates
                ],
            }
            for rung in plan.rungs
        ],
        "skipped": [structs.asdict(skipped) for skipped in plan.skipped],
        "cost_usd": _costs(request, features, plan, chosen),
    }


def why_there(
    each: Candidate, rung: Rung, ladder: Ladder, features: Features, limits: Limits
) -> str:
    """What a candidate's place in its rung goes by."""
    if each.tier != rung.tier:
        return f"when those of {rung.tier} fail"
    if each.deployment.name in limits.down:
        return "its circuit is open: when the others fail"
    order = _order(ladder, rung)
    weight = _weight(ladder, each)
    if order == "listed" and weight is not None:
        return f"drawn, by its weight of {weight}"
    standing = standing_of(each, features, limits)
    return told(order, standing, limits.pace or Pace(), limits.warm)


def standing_of(each: Candidate, features: Features, limits: Limits) -> Standing:
    """As the plan compares them."""
    return Standing(
        each.deployment.name,
        price_now(each.model, each.deployment, each.prompt, limits.wall),
        each.prompt,
        min(limits.prefix, each.prompt),
        each.max_output * features.n,
        each.model.card.latency,
    )


def _step(ladder: Ladder, tier: str) -> Step | None:
    return next((step for step in ladder.steps if step.tier == tier), None)


def _order(ladder: Ladder, rung: Rung) -> Order:
    step = _step(ladder, rung.tier)
    return "listed" if step is None else step.order


def _weight(ladder: Ladder, each: Candidate) -> int | None:
    """Its own among the model's deployments, else the model's in its tier."""
    step = _step(ladder, each.tier)
    places = () if step is None else step.places
    of = [place.weight for place in places if each.deployment in place.deployments]
    return each.deployment.weight or (of[0] if of else None)


def _learned(start: Start | None) -> dict[str, Any] | None:
    """Where the plan begins by what was learned, and by which numbers."""
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


def dollars(amount: int) -> Raw:
    """Nano-dollars as an exact JSON number of US dollars."""
    return Raw(usd(amount).encode())


def rates(price: Price) -> dict[str, Raw]:
    """A price in US dollars per million tokens, by the name of each rate."""
    found = {name: dollars(getattr(price, name)) for name in _TEXT_RATES}
    if price.audio is not None:
        for name in Audio.__struct_fields__:
            found[f"audio_{name}"] = dollars(getattr(price.audio, name))
    return found


def expected_cost(candidate: Candidate, request: ChatRequest, features: Features) -> Nanos:
    """What a typical answer of this candidate costs."""
    output = min(candidate.max_output, TYPICAL_OUTPUT) * features.n
    prompt = in_its_tokens(candidate.model, tokens.count_prompt(request))
    price = price_of(candidate.model, candidate.deployment, prompt)
    return cost(price, Usage(prompt, output))


def _candidate(each: Candidate, request: ChatRequest, features: Features) -> dict[str, Any]:
    return {
        "model": each.model.name,
        "provider": each.deployment.provider,
        "deployment": each.deployment.name,
        "max_output": each.max_output,
        **_priced(each, features),
        "expected_usd": dollars(expected_cost(each, request, features)),
        "worst_usd": dollars(each.ceiling),
    }


def _priced(each: Candidate, features: Features) -> dict[str, Any]:
    """Its price for a short prompt, those for longer ones, and which of them is held for."""
    tariff = each.deployment.tariff
    steps = () if tariff is None else tariff.rises()
    prompt = in_its_tokens(each.model, features.prompt)
    reached = [step.above for step in steps if prompt > step.above]
    return {
        "price_usd_per_million_tokens": rates(price_of(each.model, each.deployment)),
        "price_steps": [{"above": step.above, **rates(step.price)} for step in steps],
        "held_above": reached[-1] if reached else None,
    }


def _tactic(request: ChatRequest, ladder: Ladder) -> Tactic:
    asked = request.extras.strategy
    return ladder.strategy if asked is None else tactic(asked)


def _told(chosen: Tactic | None) -> dict[str, Any] | None:
    if chosen is None:
        return None
    return {"name": chosen.name, "options": dict(chosen.options), "then": _told(chosen.then)}


def _worst(plan: Plan, chosen: Tactic) -> int:
    """Every call at its ceiling, and every answer poor, rung after rung."""
    total = 0
    following: Tactic = chosen
    for rung in plan.rungs:
        while not _carries_out(following, rung):
            following = following.then or CASCADE
        total += _worst_of(following, rung)
        following = following.then or CASCADE
    return total


def _carries_out(chosen: Tactic, rung: Rung) -> bool:
    """Whether it takes a rung: one that has too few models, or nothing to check, is for whatever
    comes then.
    """
    if chosen.name in _BALLOTS:
        models = {each.model.name for each in rung.candidates}
        return len(models) >= int(chosen.options["need"])
    if chosen.name == "hedge":
        return len(rung.candidates) > 1
    return chosen.name == CASCADE.name or bool(rung.checks.all)


def _worst_of(chosen: Tactic, rung: Rung) -> int:
    """Of one rung. Where refusals are looked for, a vendor that refuses is followed by another; a
    voter by anybody of another.
    """
    options, name = chosen.options, chosen.name
    dearest = sorted(rung.candidates, key=lambda each: each.ceiling, reverse=True)
    at_once = options["voters"] if name in _BALLOTS else 2 if name == "hedge" else 1
    tries = {"repair": 1 + options.get("times", 0), "retry_cheap": options.get("tries", 1)}
    asked = dearest[:at_once]
    if any(check.name == "not_refused" for check in rung.checks.all):
        for each in dearest[at_once:]:
            if name in _BALLOTS or all(
                each.deployment.provider != other.deployment.provider for other in asked
            ):
                asked.append(each)
    return int(tries.get(name, 1)) * sum(each.ceiling for each in asked)


def _costs(
    request: ChatRequest, features: Features, plan: Plan, chosen: Tactic
) -> dict[str, Raw] | None:
    if not plan.rungs:
        return None
    first, last = plan.rungs[0].candidates, plan.rungs[-1].candidates[0]
    asked = first[: chosen.options["voters"]] if chosen.name in _BALLOTS else first[:1]
    expected = sum(expected_cost(each, request, features) for each in asked)
    worst = _worst(plan, chosen)
    return {
        "expected": dollars(expected),
        "worst": dollars(worst if plan.most is None else min(worst, plan.most)),
        "always_smart": dollars(expected_cost(last, request, features)),
    }
