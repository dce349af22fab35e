"""More tries of the same model before climbing: told what was wrong, or simply again."""

from collections.abc import Iterable

from msgspec import structs

from gateway.core.catalog import Tactic
from gateway.core.chat import Completion, Message
from gateway.core.checks.finding import Finding
from gateway.core.plan import Plan
from gateway.core.strategies.progress import (
    Progress,
    Steps,
    declined,
    elsewhere,
    skipped_for_budget,
)
from gateway.core.strategy import Answered, Failed


def repair(plan: Plan, tactic: Tactic, progress: Progress) -> Steps:
    """What the checks found goes back to the model, `times` times: "the tests failed, here is their
    output".
    """
    return (yield from _tries(plan, progress, 1 + tactic.options["times"], tell=True))


def retry_cheap(plan: Plan, tactic: Tactic, progress: Progress) -> Steps:
    """`tries` independent tries of the cheapest model until one passes."""
    return (yield from _tries(plan, progress, tactic.options["tries"], tell=False))


def _tries(plan: Plan, progress: Progress, tries: int, *, tell: bool) -> Steps:
    """A candidate that fails is replaced by the next of its rung, one that refuses by another
    vendor's. Any other that answers gets all the tries.
    """
    if not plan.rungs or not plan.rungs[0].checks.all:
        return plan
    rung, higher = plan.rungs[0], Plan(plan.rungs[1:], plan.skipped)
    messages = progress.messages
    waiting = list(rung.candidates)
    while waiting:
        candidate = waiting.pop(0)
        for left in reversed(range(tries)):
            (outcome,) = yield progress.round(rung, candidate)
            if isinstance(outcome, Failed):
                outcome = yield from progress.retry(outcome, rung)
            verdict = progress.take(outcome, rung)
            if verdict is not None:
                return verdict
            if declined(outcome) and (others := elsewhere([outcome], waiting)):
                waiting = others
                progress.asks_elsewhere(waiting)
                break
            if isinstance(outcome, Answered) and left:
                progress.cause = structs.replace(progress.cause, purpose="retry")
                if tell:
                    progress.messages = (
                        *progress.messages,
                        *feedback(outcome.completion, outcome.findings),
                    )
                continue
            no_room = progress.cause.purpose == "retry" and skipped_for_budget(outcome)
            if not (no_room or isinstance(outcome, Answered)):
                break
            progress.cause = structs.replace(progress.cause, purpose="escalation")
            progress.messages = messages
            return higher
        progress.messages = messages
    progress.climbs()
    return higher


def feedback(answer: Completion, findings: Iterable[Finding]) -> tuple[Message, ...]:
    """The poor answer as the model's turn, and what was wrong with it as the user's."""
    first = answer.choices[0] if answer.choices else None
    found = "\n".join(f"- {finding.check}: {finding.why}" for finding in findings)
    ask = f"Your answer does not pass these checks:\n{found}\nAnswer again, whole and mended."
    turns: list[Message] = []
    if first is not None and first.text and not first.tool_calls:
        turns.append({"role": "assistant", "content": first.text})
    return (*turns, {"role": "user", "content": ask})
