"""Calls a second candidate when the first is slow: the first good answer wins, both are paid."""

from msgspec import structs

from gateway.core.catalog import Tactic
from gateway.core.plan import Plan, Rung
from gateway.core.strategies.progress import (
    Progress,
    Steps,
    declined,
    elsewhere,
    paid_first,
    skipped_for_budget,
)
from gateway.core.strategy import Answered, Stopped


def hedge(plan: Plan, tactic: Tactic, progress: Progress) -> Steps:
    """The second begins when the first has not answered after `after_ms`, by default the 95th
    percentile of what the first was seen to take.
    """
    if not plan.rungs or len(plan.rungs[0].candidates) == 1:
        return plan
    rung, higher = plan.rungs[0], plan.rungs[1:]
    first, second, *others = rung.candidates
    after_ms = tactic.options["after_ms"]
    after_s = first.p95_s if after_ms is None else after_ms / 1000
    outcomes = yield structs.replace(progress.round(rung, first, second), stagger_s=after_s)
    for outcome in paid_first(outcomes):
        verdict = progress.take(outcome, rung)
        if verdict is not None:
            return verdict
    short = [
        each.candidate
        for each in outcomes
        if isinstance(each, Stopped) and skipped_for_budget(each)
    ]
    others = [*short, *others]  # there may be money for it once the other is settled
    answers = [each for each in outcomes if isinstance(each, Answered)]
    others = elsewhere(answers, others) if all(map(declined, answers)) else []
    if answers:
        progress.asks_elsewhere(others)
    if others:
        higher = (Rung(rung.tier, tuple(others), rung.checks), *higher)
    return Plan(higher, plan.skipped)
