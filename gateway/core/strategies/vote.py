"""Asks several cheap models at once; where they do not agree, the next rung decides."""

from collections.abc import Generator, Iterable
from typing import Final

from msgspec import structs

from gateway.core.agree import Agreement, key_of
from gateway.core.agree.groups import largest_group
from gateway.core.catalog import Tactic
from gateway.core.chat import Message
from gateway.core.plan import Candidate, Plan, Rung
from gateway.core.strategies.progress import (
    Progress,
    Steps,
    declined,
    elsewhere,
    paid_first,
    skipped_for_budget,
)
from gateway.core.strategy import (
    Answered,
    Cause,
    Failed,
    Outcome,
    Round,
    Stopped,
    Verdict,
    better,
)

_LEAD: Final = "Other models drafted these answers. They disagree, and may all be wrong."
_DECIDE: Final = "Answer the request above yourself. Do not mention the drafts."


def vote(plan: Plan, tactic: Tactic, progress: Progress) -> Steps:
    """`voters` of the first rung answer at once, of different vendors where there are enough.

    When `need` of them agree, the first of these is the answer; else the next rung decides, shown
    the votes or not. Who fails is replaced from its rung, who declines by another vendor. Of fewer
    votes than `need` nothing is kept ("climb"), or a lone answer that passed its checks is given
    ("accept").

    With `join`, a rung that is not the last adds one more vote instead: its answer is given only
    if with it `need` agree.
    """
    agreement = Agreement(tactic.options["agree"], tactic.options["pointers"])
    return (yield from _vote(plan, tactic, progress, agreement))


def arbitrate(plan: Plan, tactic: Tactic, progress: Progress) -> Steps:
    """A vote over tool calls: their names and what their arguments mean."""
    return (yield from _vote(plan, tactic, progress, Agreement("tools")))


def _vote(plan: Plan, tactic: Tactic, progress: Progress, agreement: Agreement) -> Steps:
    options, need = tactic.options, tactic.options["need"]
    electorate = diverse(plan.rungs[0]) if plan.rungs else []
    if len(electorate) < need:
        return plan
    rung, higher = plan.rungs[0], Plan(plan.rungs[1:], plan.skipped)
    votes: list[Answered] = []
    verdict = yield from _poll(progress, rung, electorate, options["voters"], votes)
    if verdict is not None:
        return verdict
    agreed = _agreed(votes, need, agreement)
    if agreed is not None:
        return Verdict(agreed, "agreed", progress.error)
    if votes and len(votes) < need and options["lone"] == "accept":
        return Verdict(votes[0], "lone_vote", progress.error)
    for each in reversed(votes):
        progress.best = better(progress.best, each)
    after = progress.best.candidate if progress.best else electorate[0]
    progress.cause = Cause("arbitration", _undecided(votes, need, agreement), after)
    if options["show_votes"]:
        progress.messages = (*progress.messages, *shown(votes))
    if votes and options["join"] and tactic.then is None:
        return (yield from _joined(progress, higher, votes, need, agreement))
    return higher


def _joined(
    progress: Progress, plan: Plan, votes: list[Answered], need: int, agreement: Agreement
) -> Steps:
    """Each rung but the last adds a vote, until `need` agree; then the last one decides."""
    for rung in plan.rungs[:-1]:
        waiting = list(rung.candidates)
        while waiting:
            candidate = waiting.pop(0)
            (outcome,) = yield structs.replace(progress.round(rung, candidate), buffered=True)
            if not (isinstance(outcome, Answered) and not outcome.findings):
                verdict = progress.take(outcome, rung)
                if verdict is not None:
                    return verdict
                if isinstance(outcome, Answered):
                    waiting = elsewhere([outcome], waiting) if declined(outcome) else []
                    progress.asks_elsewhere(waiting)
                continue
            progress.short = False
            votes.append(outcome)
            agreed = _agreed(votes, need, agreement)
            if agreed is not None:
                return Verdict(agreed, "agreed", progress.error)
            progress.best = better(progress.best, outcome)
            progress.cause = Cause("arbitration", _undecided(votes, need, agreement), candidate)
            break
        progress.climbs()
    return Plan(plan.rungs[-1:], plan.skipped)


def _poll(
    progress: Progress, rung: Rung, electorate: list[Candidate], voters: int, votes: list[Answered]
) -> Generator[Round, tuple[Outcome, ...], Verdict | None]:
    """Fill `votes` with answers that pass. Each call that failed or was refused is replaced by the
    next in line. Returns a verdict where the life ends with it.
    """
    progress.cause = structs.replace(progress.cause, purpose="vote")
    waiting = electorate
    while waiting and len(votes) < voters:
        missing = voters - len(votes)
        now, waiting = waiting[:missing], waiting[missing:]
        outcomes = yield structs.replace(progress.round(rung, *now), buffered=True)
        for outcome in paid_first(outcomes):
            if isinstance(outcome, Answered) and not outcome.findings:
                progress.short = False
                votes.append(outcome)
            elif (verdict := progress.take(outcome, rung)) is not None:
                return structs.replace(verdict, answer=votes[0] if votes else verdict.answer)
        short = [
            each.candidate
            for each in outcomes
            if isinstance(each, Stopped) and skipped_for_budget(each)
        ]
        if len(short) < len(outcomes):
            waiting = [*short, *waiting]  # there may be money for them once the others are settled
        if any(map(declined, outcomes)):
            waiting = elsewhere(outcomes, waiting)
        elif not any(isinstance(each, Failed) or skipped_for_budget(each) for each in outcomes):
            break
        progress.asks_elsewhere(waiting)
    return None


def diverse(rung: Rung) -> list[Candidate]:
    """Each model once, those of a vendor that is not among them yet first."""
    first: list[Candidate] = []
    later: list[Candidate] = []
    for candidate in rung.candidates:
        if any(candidate.model is other.model for other in (*first, *later)):
            continue
        vendors = {other.deployment.provider for other in first}
        (later if candidate.deployment.provider in vendors else first).append(candidate)
    return first + later


def _agreed(votes: list[Answered], need: int, agreement: Agreement) -> Answered | None:
    """The first of the largest group that means the same. What cannot be compared agrees with
    nothing.
    """
    keys = [key_of(vote.completion, agreement) for vote in votes]
    group = largest_group(keys)
    return votes[group[0]] if len(group) >= need else None


def _undecided(votes: list[Answered], need: int, agreement: Agreement) -> str:
    """Why nothing is agreed: too few votes, or too few that can be compared, or they differ."""
    if len(votes) < need:
        return "votes"
    keys = [key_of(vote.completion, agreement) for vote in votes]
    return "incomparable" if len(keys) - keys.count(None) < need else "disagreed"


def shown(votes: Iterable[Answered]) -> tuple[Message, ...]:
    """The votes as one message, for the model that decides."""
    texts = [vote.completion.first.text for vote in votes if vote.completion.choices]
    drafts = [f"Draft {number}:\n{text}" for number, text in enumerate(texts, 1) if text]
    if not drafts:
        return ()
    return ({"role": "user", "content": "\n\n".join([_LEAD, *drafts, _DECIDE])},)
