"""Another try of the same model before climbing: told what was wrong, or simply once more."""

from collections.abc import Iterable

from msgspec import structs

from gateway.core.catalog import Tactic
from gateway.core.chat import Completion, Message
from gateway.core.checks.finding import Finding
from gateway.core.plan import Plan
from gateway.core.strategies.course import Course, Steps, aside, declined, elsewhere
from gateway.core.strategy import Answered, Failed


def repair(plan: Plan, tactic: Tactic, course: Course) -> Steps:
    """What a check found goes back to the model that was found wanting, `times` times: the loop of
    "the tests failed, here is the output".
    """
    return (yield from _tries(plan, course, 1 + tactic.options["times"], tell=True))


def retry_cheap(plan: Plan, tactic: Tactic, course: Course) -> Steps:
    """`tries` independent tries of the cheapest model until one passes."""
    return (yield from _tries(plan, course, tactic.options["tries"], tell=False))


def _tries(plan: Plan, course: Course, tries: int, *, tell: bool) -> Steps:
    """A candidate that fails is replaced by the next of its rung, one that declines by another
    vendor's; any other that answers is kept to.
    """
    if not plan.rungs or not plan.rungs[0].checks.all:
        return plan
    rung, higher = plan.rungs[0], Plan(plan.rungs[1:], plan.skipped)
    said = course.said
    waiting = list(rung.candidates)
    while waiting:
        candidate = waiting.pop(0)
        for left in reversed(range(tries)):
            (outcome,) = yield course.round(rung, candidate)
            if isinstance(outcome, Failed):
                outcome = yield from course.once_more(outcome, rung)
            verdict = course.take(outcome, rung)
            if verdict is not None:
                return verdict
            if declined(outcome) and (others := elsewhere([outcome], waiting)):
                waiting = others
                course.asks_elsewhere(waiting)
                break
            if isinstance(outcome, Answered) and left:
                course.because = structs.replace(course.because, purpose="retry")
                if tell:
                    course.said = (*course.said, *told(outcome.completion, outcome.findings))
                continue
            no_room = course.because.purpose == "retry" and aside(outcome)
            if not (no_room or isinstance(outcome, Answered)):
                break
            course.because = structs.replace(course.because, purpose="escalation")
            course.said = said
            return higher
        course.said = said
    course.climbs()
    return higher


def told(answer: Completion, findings: Iterable[Finding]) -> tuple[Message, ...]:
    """The poor answer as its own turn, and what was wrong with it as the user's."""
    first = answer.choices[0] if answer.choices else None
    found = "\n".join(f"- {finding.check}: {finding.why}" for finding in findings)
    asked = f"Your answer does not pass these checks:\n{found}\nAnswer again, whole and mended."
    turns: list[Message] = []
    if first is not None and first.text and not first.tool_calls:
        turns.append({"role": "assistant", "content": first.text})
    return (*turns, {"role": "user", "content": asked})
