"""Climb: to the next candidate on a failure, to the next rung on a poor answer."""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from gateway.core.catalog import Tactic
from gateway.core.plan import Candidate, Plan
from gateway.core.strategies.course import Course
from gateway.core.strategy import Answered, SoFar, Steps

_DECLINED: Final = "not_refused"


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
                waiting = _elsewhere(outcome, waiting) if _declined(outcome) else []
                if waiting:
                    course.because = structs.replace(course.because, purpose="fallback")
    return course.end()


def _declined(answer: Answered) -> bool:
    return answer.findings[0].check == _DECLINED


def _elsewhere(answer: Answered, waiting: Iterable[Candidate]) -> list[Candidate]:
    vendor = answer.candidate.deployment.provider
    return [each for each in waiting if each.deployment.provider != vendor]
