"""Where a plan begins, by what was learned: the least expected cost among the rungs that are likely
enough to answer well.

A rung whose answer would most likely be thrown away costs its call, and the client's time. And one
that is no worse than the dearest costs less, however hard the question is.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from gateway.core.catalog import CASCADE, Tactic
from gateway.core.chat import ChatRequest, Usage
from gateway.core.features import Features
from gateway.core.ladder import Ladder
from gateway.core.learned import Estimate, Learned, Start
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate, Plan, Rung, Skipped, in_its_tokens, price_of
from gateway.core.signals import kept, read_signals

_BALLOTS: Final = ("arbitrate", "vote")


def begin(
    ladder: Ladder, plan: Plan, request: ChatRequest, features: Features
) -> tuple[Plan, tuple[float, ...]]:
    """The plan from its best first rung on, and what is kept of the request in its record. Should
    each call of that rung fail, those below are asked after all.

    The plan is left as it is where nothing was learned, where there is nothing to choose, and where
    a rung is not among what was learned. A request that says its own strategy or checks is neither
    learned from nor for.
    """
    learned, extras = ladder.learned, request.extras
    if learned is None or extras.strategy is not None or extras.checks is not None:
        return plan, ()
    signals = read_signals(request)
    weights, rungs = learned.weights, plan.rungs
    if weights is None or len(rungs) < 2 or any(r.tier not in weights.rungs for r in rungs):
        return plan, kept(signals)
    start = choose(learned, rungs, ladder.strategy, features, signals)
    below, left = rungs[: start.below], rungs[start.below :]
    skipped = [
        Skipped(each.deployment.name, rung.tier, f"learned: {_told(start, number)}")
        for number, rung in enumerate(below)
        for each in rung.candidates
    ]
    if below and after(ladder.strategy, start.below).name == CASCADE.name:
        others = (each for rung in below for each in rung.candidates)
        first = structs.replace(left[0], candidates=(*left[0].candidates, *others))
        left = (first, *left[1:])
    return Plan(left, (*plan.skipped, *skipped), start), kept(signals)


def choose(
    learned: Learned,
    rungs: Sequence[Rung],
    chosen: Tactic,
    features: Features,
    signals: tuple[float, ...],
) -> Start:
    """What each rung comes to, and which is the first. Each of them was learned of."""
    weights = learned.weights
    assert weights is not None  # noqa: S101 - who asks has looked
    chances = weights.chances(signals)
    best = max(chances[rung.tier] for rung in rungs)
    estimates: list[Estimate] = []
    following = Nanos(0)
    for number in reversed(range(len(rungs))):
        rung = rungs[number]
        passes = chances[rung.tier]
        tokens = weights.rungs[rung.tier].answer_tokens
        own = _own_cost(rung, after(chosen, number), features, tokens)
        following = Nanos(own + round((1.0 - passes) * following))
        clears = passes >= learned.floor or passes >= best - learned.within
        estimates.append(Estimate(rung.tier, passes, clears, following))
    estimates.reverse()
    below = min(
        (number for number, each in enumerate(estimates) if each.clears),
        key=lambda number: estimates[number].expected,
    )
    return Start(below, tuple(estimates), signals, learned.floor, learned.within)


def after(chosen: Tactic, rungs: int) -> Tactic:
    """What a strategy comes to when so many rungs are left out below: a vote was for the first."""
    for _ in range(rungs):
        if chosen.name == CASCADE.name:
            return chosen
        chosen = chosen.then or CASCADE
    return chosen


def _own_cost(rung: Rung, chosen: Tactic, features: Features, answer_tokens: int) -> Nanos:
    """What the rung's first calls come to, at the length that its answers had."""
    calls = chosen.options["voters"] if chosen.name in _BALLOTS else 1
    asked = rung.candidates[:calls]
    return Nanos(sum(_cost(each, features, answer_tokens) for each in asked))


def _cost(candidate: Candidate, features: Features, answer_tokens: int) -> Nanos:
    counted = features.prompt if features.bound is None else features.bound.counted
    prompt = in_its_tokens(candidate.model, counted)
    output = min(answer_tokens, candidate.max_output) * features.n
    return cost(price_of(candidate.model, candidate.deployment, prompt), Usage(prompt, output))


def _told(start: Start, number: int) -> str:
    """Why a rung is not the first."""
    each = start.estimates[number]
    if not each.clears:
        return f"{each.passes:.0%} likely to pass"
    return f"{each.passes:.0%} likely to pass, and dearer in the end than {start.tier}"
