"""Climb: to the next candidate on a failure, to the next rung on a poor answer."""

from gateway.core.catalog import Tactic
from gateway.core.plan import Plan
from gateway.core.strategies.course import Course, declined, elsewhere
from gateway.core.strategy import Answered, Failed, Strategy


def cascade(plan: Plan, tactic: Tactic, course: Course) -> Strategy:
    """An answer that was declined is asked of another vendor on the same rung before it climbs:
    what one refuses, another often answers.
    """
    for rung in plan.rungs:
        waiting = [*rung.candidates]
        while waiting:
            candidate, *waiting = waiting
            (outcome,) = yield course.round(rung, candidate)
            if type(outcome) is Failed:
                last = candidate is plan.rungs[-1].candidates[-1]
                outcome = yield from course.once_more(outcome, rung, patient=last)
            verdict = course.take(outcome, rung)
            if verdict is not None:
                return verdict
            if isinstance(outcome, Answered):
                waiting = elsewhere([outcome], waiting) if waiting and declined(outcome) else []
                course.asks_elsewhere(waiting)
        course.climbs()
    return course.end()
