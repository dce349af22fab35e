"""Another try of the same model before climbing: told what was wrong, or simply once more."""

from msgspec import structs

from gateway.core.catalog import Tactic
from gateway.core.chat import Message
from gateway.core.plan import Plan
from gateway.core.strategies.course import Course, aside, declined, elsewhere
from gateway.core.strategy import Answered, Onward, SoFar, Steps


def repair(plan: Plan, tactic: Tactic, so_far: SoFar) -> Steps:
    """What a check found goes back to the model that was found wanting, `times` times: the loop of
    "the tests failed, here is the output".
    """
    return (yield from _tries(plan, so_far, 1 + tactic.options["times"], tell=True))


def retry_cheap(plan: Plan, tactic: Tactic, so_far: SoFar) -> Steps:
    """`tries` independent tries of the cheapest model until one passes."""
    return (yield from _tries(plan, so_far, tactic.options["tries"], tell=False))


def _tries(plan: Plan, so_far: SoFar, tries: int, *, tell: bool) -> Steps:
    """A candidate that fails is replaced by the next of its rung, one that declines by another
    vendor's; any other that answers is kept to.
    """
    if not plan.rungs or not plan.rungs[0].checks:
        return Onward(plan, so_far)
    rung, higher = plan.rungs[0], Plan(plan.rungs[1:], plan.skipped)
    course = Course(so_far)
    waiting = list(rung.candidates)
    while waiting:
        candidate = waiting.pop(0)
        for left in reversed(range(tries)):
            outcome = yield from course.ask(candidate, rung)
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
                    course.said = (*course.said, *_told(outcome))
                continue
            no_room = course.because.purpose == "retry" and aside(outcome)
            if not (no_room or isinstance(outcome, Answered)):
                break
            course.because = structs.replace(course.because, purpose="escalation")
            course.said = so_far.said
            return Onward(higher, course.so_far())
        course.said = so_far.said
    return Onward(higher, course.so_far())


def _told(answer: Answered) -> tuple[Message, ...]:
    """The poor answer as its own turn, and what was wrong with it as the user's."""
    first = answer.completion.first if answer.completion.choices else None
    found = "\n".join(f"- {finding.check}: {finding.why}" for finding in answer.findings)
    asked = f"Your answer does not pass these checks:\n{found}\nAnswer again, whole and mended."
    turns: list[Message] = []
    if first is not None and first.text and not first.tool_calls:
        turns.append({"role": "assistant", "content": first.text})
    return (*turns, {"role": "user", "content": asked})
