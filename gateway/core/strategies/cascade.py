"""Climb: to the next candidate on a failure, to the next rung on a poor answer."""

from gateway.core.catalog import Tactic
from gateway.core.plan import Plan
from gateway.core.strategies.progress import Progress, declined, elsewhere
from gateway.core.strategy import Answered, Failed, Strategy


def cascade(plan: Plan, tactic: Tactic, progress: Progress) -> Strategy:
    """An answer that was declined is asked of another vendor on the same rung before it climbs:
    what one refuses, another often answers.
    """
    for rung in plan.rungs:
        waiting = [*rung.candidates]
        while waiting:
            candidate, *waiting = waiting
            (outcome,) = yield progress.round(rung, candidate)
            if type(outcome) is Failed:
                last = candidate is plan.rungs[-1].candidates[-1]
                outcome = yield from progress.retry(outcome, rung, patient=last)
            verdict = progress.take(outcome, rung)
            if verdict is not None:
                return verdict
            if isinstance(outcome, Answered):
                waiting = elsewhere([outcome], waiting) if waiting and declined(outcome) else []
                progress.asks_elsewhere(waiting)
        progress.climbs()
    return progress.end()
