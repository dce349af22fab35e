"""What all strategies do with an outcome: end with a verdict, or note it and go on."""

from collections.abc import Generator, Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from gateway.core.accounts import Refusal
from gateway.core.chat import Message
from gateway.core.errors import UpstreamError
from gateway.core.plan import Candidate, Plan, Rung
from gateway.core.strategy import (
    Answered,
    Cause,
    Failed,
    Flowing,
    Outcome,
    Refused,
    Round,
    Stopped,
    Verdict,
    better,
)

_FIRST: Final = Cause("answer")


class Progress(Struct):
    """State that one strategy hands on to the next: the best answer so far, the last error, and
    why the next call is made.
    """

    cause: Cause = _FIRST
    best: Answered | None = None
    error: UpstreamError | None = None
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    """The first at a cap of a model or a provider, after which another was asked instead."""
    short: bool = False
    """Whether the last call was not made for lack of money."""

    def end(self) -> Verdict:
        """Nobody is left to ask."""
        why = "best_effort" if self.best else "exhausted"
        return Verdict(self.best, BUDGET if self.short else why, self.error, self.refusal)

    def take(self, outcome: Outcome, rung: Rung) -> Verdict | None:
        """The verdict, where an outcome ends the climb; None where another call is to follow."""
        if isinstance(outcome, Answered):
            findings = outcome.findings
            if not findings:
                judged = rung.checks.all and (not outcome.skipped or rung.checks.local)
                return Verdict(outcome, "passed" if judged else "unjudged", self.error)
            self.short = False
            self.best = better(self.best, outcome)
            self.cause = Cause("escalation", findings[0].check, outcome.candidate)
            return None
        if skipped_for_budget(outcome):
            self._set_aside(outcome)
            return None
        self.short = False
        match outcome:
            case Flowing():
                return Verdict(outcome, outcome.why, self.error)
            case Failed(candidate, error):
                self.error = error
                self.cause = Cause("fallback", error.kind, candidate)
                # With messages that we added, it may be these that were rejected.
                final = error.retry == "never" and not self.messages
                return Verdict(self.best, error.kind, error) if final else None
            case Refused(refusal=refusal):
                return Verdict(self.best, BUDGET, self.error, refusal)
            case Stopped(why=why):
                return None if why == OUTRUN else Verdict(self.best, why, self.error)

    def _set_aside(self, outcome: Outcome) -> None:
        """A poor answer, or a failure, stays the reason why the next is asked."""
        self.short = True
        if isinstance(outcome, Refused):
            known, new = self.refusal, outcome.refusal
            if known is None or (known.for_good and not new.for_good):
                self.refusal = new  # the first; or the first that waiting helps
        if self.cause.after is None:
            self.cause = Cause("fallback", BUDGET, outcome.candidate)

    def retry(
        self, outcome: Failed, rung: Rung, *, patient: bool = False
    ) -> Generator[Round, tuple[Outcome, ...], Outcome]:
        """The outcome of a failed call after its retry: it is made again if its connection was
        closed before a byte came.

        A provider that says when to come back is waited for only where nobody else is left to ask
        (`patient`).
        """
        error = outcome.error
        if error.retry != "never":
            wait_s = (error.retry_after or 0.0) if patient else 0.0
            if error.retry == "same" or wait_s:
                candidate = outcome.candidate
                cause = Cause("retry", error.kind, candidate)
                (second,) = yield Round(
                    (candidate,), rung.checks, cause, wait_s, is_retry=True, messages=self.messages
                )
                return outcome if isinstance(second, Stopped) else second
        return outcome

    def asks_elsewhere(self, others: Sequence[Candidate]) -> None:
        """A poor answer leads to others of its rung, where there are any, and not up."""
        if others and self.cause.purpose == "escalation":
            self.cause = structs.replace(self.cause, purpose="fallback")

    def climbs(self) -> None:
        """The rung is exhausted. Where nobody could be asked after a refusal, that refusal is why
        the next rung is asked: an escalation, and no fallback.
        """
        cause = self.cause
        if cause.purpose == "fallback" and cause.why == _DECLINED:
            self.cause = structs.replace(cause, purpose="escalation")

    def round(self, rung: Rung, *calls: Candidate) -> Round:
        return Round(calls, rung.checks, self.cause, messages=self.messages)


Steps = Generator[Round, tuple[Outcome, ...], Verdict | Plan]
"""Without a verdict, what is left of the plan is for the strategy that comes next."""
BUDGET: Final = "budget"
"""Why a call is not made: it would pass a cap. And why an answer is kept: no other may be asked."""
OUTRUN: Final = "outrun"
UNHEARD: Final = "unheard"
"""Why a flowing answer is closed that nobody is there to take any more."""


_DECLINED: Final = "not_refused"
_THEIRS: Final = ("model", "provider")
"""Scopes of caps that leave others to be asked."""


def skipped_for_budget(outcome: Outcome) -> bool:
    """Whether a call was not made for lack of money while another may be: its model or provider is
    at its cap, or its ceiling is above what the request may still cost.
    """
    if isinstance(outcome, Refused):
        return outcome.refusal.account.scope in _THEIRS
    return isinstance(outcome, Stopped) and outcome.why == BUDGET


def declined(outcome: Outcome) -> bool:
    """Whether it is a refusal: what one vendor refuses, another often answers."""
    found = outcome.findings if isinstance(outcome, Answered) else ()
    return bool(found) and found[0].check == _DECLINED


def elsewhere(those: Iterable[Outcome], waiting: Iterable[Candidate]) -> list[Candidate]:
    """Those of `waiting` whose vendor has not refused. After a refusal only those of the same tier:
    a rung may end with candidates of lower tiers, for when its own fail.
    """
    refusing = [each.candidate for each in those if declined(each)]
    vendors = {each.deployment.provider for each in refusing}
    tiers = {each.tier for each in refusing}
    others = [each for each in waiting if each.deployment.provider not in vendors]
    return [each for each in others if each.tier in tiers] if tiers else others


def paid_first(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes of calls made at once, in the order to take them: answers, the good ones first,
    before failures that end the life. So no answer that was paid for is lost to such a failure.
    """
    return sorted(outcomes, key=_standing)


def _standing(outcome: Outcome) -> int:
    match outcome:
        case Flowing() | Answered(findings=()):
            return 0
        case Answered():
            return 1
        case Failed(error=error) if error.retry != "never":
            return 2
        case _:
            return 3
