"""Where a plan begins, by what was learned: the least expected cost among the rungs that are likely
enough to answer well.

A rung whose answer would most likely be thrown away costs its call, and the client's time. And one
that is no worse than the dearest costs less, however hard the question is.
"""

from collections.abc import Sequence

from gateway.core.catalog import BALLOTS, CASCADE, Tactic
from gateway.core.chat import ChatRequest
from gateway.core.features import Features
from gateway.core.ladder import Ladder
from gateway.core.learned import Estimate, Learned, Start
from gateway.core.learned.signals import kept, read_signals
from gateway.core.money import Nanos
from gateway.core.plan import Candidate, Plan, Rung, in_its_tokens, peak_price


def begin(
    ladder: Ladder, plan: Plan, request: ChatRequest, features: Features
) -> tuple[Plan, tuple[int, ...]]:
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
    if weights is None or len(rungs) < 2:
        return plan, kept(signals)
    for rung in rungs:
        if rung.tier not in weights.rungs:
            return plan, kept(signals)
    start = choose(learned, rungs, ladder.strategy, features, signals)
    below = start.below
    if not below:
        return Plan(rungs, plan.skipped, start, plan.max_cost), kept(signals)
    left = rungs[below:]
    if after(ladder.strategy, below).name == CASCADE.name:
        first = left[0]
        others = [each for rung in rungs[:below] for each in rung.candidates]
        left = (Rung(first.tier, (*first.candidates, *others), first.checks), *left[1:])
    return Plan(left, plan.skipped, start, plan.max_cost), kept(signals)


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
    best = max([chances[rung.tier] for rung in rungs])
    enough = min(learned.floor, best - learned.within)
    estimates: list[Estimate] = []
    expected = below = 0
    least = -1
    for number in range(len(rungs) - 1, -1, -1):
        rung = rungs[number]
        tier = rung.tier
        passes = chances[tier]
        own = _own_cost(rung, after(chosen, number), features, weights.rungs[tier].answer_tokens)
        expected = own + round((1.0 - passes) * expected)
        clears = passes >= enough
        estimates.append(Estimate(tier, passes, clears, Nanos(expected)))
        if clears and (least < 0 or expected <= least):
            least, below = expected, number
    estimates.reverse()
    return Start(below, tuple(estimates), signals, learned.floor, learned.within)


def after(chosen: Tactic, rungs: int) -> Tactic:
    """The strategy for what is left when so many of the lowest rungs are left out: each of them
    takes one step of `then`, as a vote was for the first rung only.
    """
    for _ in range(rungs):
        if chosen.name == CASCADE.name:
            return chosen
        chosen = chosen.then or CASCADE
    return chosen


def _own_cost(rung: Rung, chosen: Tactic, features: Features, answer_tokens: int) -> int:
    """What the rung's first calls come to, in nano-dollars, at the length that its answers had."""
    if chosen.name in BALLOTS:
        called = rung.candidates[: chosen.options["voters"]]
        return sum(_cost(each, features, answer_tokens) for each in called)
    return _cost(rung.candidates[0], features, answer_tokens)


def _cost(candidate: Candidate, features: Features, answer_tokens: int) -> int:
    model = candidate.model
    prompt = in_its_tokens(model, features.bound.counted)
    output = min(answer_tokens, candidate.max_output) * features.n
    price = peak_price(model, candidate.deployment, prompt)
    return (prompt * price.input + output * price.output) // 1_000_000
