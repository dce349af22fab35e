"""Why this model, why not the others, and what it will cost; no call is made."""

from typing import Any, Final

from msgspec import Raw, structs

from gateway.core import tokens
from gateway.core.chat import ChatRequest, Usage
from gateway.core.features import Features
from gateway.core.money import Nanos, Price, cost, usd
from gateway.core.plan import Candidate, Plan, in_its_tokens, price_of

TYPICAL_OUTPUT: Final = 400
"""Tokens of answer that the expected cost supposes, where the client did not ask for fewer."""


def explain(request: ChatRequest, features: Features, plan: Plan) -> dict[str, Any]:
    """The plan as JSON values. Costs are in US dollars.

    `expected` is the first candidate answering at a typical length; `worst` is every rung
    answering poorly at its ceiling; `always_smart` is the last rung's first candidate alone.
    """
    asked = structs.asdict(features)
    asked["needs"] = sorted(features.needs)
    asked["max_cost"] = None if features.max_cost is None else dollars(features.max_cost)
    asked["checks"] = None if features.checks is None else [c.name for c in features.checks]
    return {
        "model": request.model,
        "features": {**asked, "prompt_counted": tokens.count_prompt(request)},
        "rungs": [
            {
                "tier": rung.tier,
                "checks": [check.name for check in rung.checks],
                "flows": request.stream and not rung.checks,
                "candidates": [_candidate(each, request, features) for each in rung.candidates],
            }
            for rung in plan.rungs
        ],
        "skipped": [structs.asdict(skipped) for skipped in plan.skipped],
        "cost_usd": _costs(request, features, plan),
    }


def dollars(amount: int) -> Raw:
    """Nano-dollars as an exact JSON number of US dollars."""
    return Raw(usd(amount).encode())


def rates(price: Price) -> dict[str, Raw]:
    """A price in US dollars per million tokens, by the name of each rate."""
    return {name: dollars(getattr(price, name)) for name in Price.__struct_fields__}


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


def _costs(request: ChatRequest, features: Features, plan: Plan) -> dict[str, Raw] | None:
    if not plan.rungs:
        return None
    first, last = plan.rungs[0].candidates[0], plan.rungs[-1].candidates[0]
    worst = sum(max(each.ceiling for each in rung.candidates) for rung in plan.rungs)
    return {
        "expected": dollars(expected_cost(first, request, features)),
        "worst": dollars(worst),
        "always_smart": dollars(expected_cost(last, request, features)),
    }
