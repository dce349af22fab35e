"""Climb: to the next candidate on a failure, to the next rung on a poor answer."""

from gateway.core.catalog import Tactic
from gateway.core.plan import Plan
from gateway.core.strategies.course import Course, declined, elsewhere
from gateway.core.strategy import Answered, SoFar, Steps


def cascade(plan: Plan, tactic: Tactic, so_far: SoFar) -> Steps:
    """An answer that was declined is asked of another vendor on the same rung before it climbs:
    what one refuses, another often answers.
    """
    course = Course(so_far)
    last = plan.rungs[-1].candidates[-1] if plan.rungs else None
    for rung in plan.rungs:
        waiting = list(rung.candidates)
        while waiting:
            candidate = waiting.pop(0)
            outcome = yield from course.ask(candidate, rung, patient=candidate is last)
            verdict = course.take(outcome, rung)
            if verdict is not None:
                return verdict
            if isinstance(outcome, Answered):
                waiting = elsewhere([outcome], waiting) if declined(outcome) else []
                course.asks_elsewhere(waiting)
    return course.end()
