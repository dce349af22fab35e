"""How a plan is carried out: which calls to make, and which answer to keep.

A strategy is a generator. It yields rounds of calls, is sent their outcomes, and returns its
verdict; whoever drives it does the I/O. So a strategy is tested by feeding it outcomes by hand.

An answer that must be judged is held back until it is whole. One that need not be may flow to
the client as it comes; once it flows, it is the answer.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.core.accounts import Refusal
from gateway.core.catalog import Check
from gateway.core.chat import Completion, Delta, Usage
from gateway.core.checks import Finding
from gateway.core.errors import UpstreamError
from gateway.core.events import Purpose
from gateway.core.plan import Candidate, Plan, Rung


class Answered(Struct, frozen=True):
    """A whole answer, what it was paid for, and what its rung's checks found wanting in it."""

    candidate: Candidate
    completion: Completion
    usage: Usage = Usage()
    findings: tuple[Finding, ...] = ()


class Flowing(Struct, frozen=True):
    """An answer whose first deltas have come; `deltas` gives them and the rest. `dropped` is as
    Completion's.
    """

    candidate: Candidate
    deltas: AsyncGenerator[Sequence[Delta], None]
    dropped: tuple[str, ...] = ()


class Failed(Struct, frozen=True):
    candidate: Candidate
    error: UpstreamError


class Refused(Struct, frozen=True):
    """The ledger would not hold this call's ceiling; it was not made."""

    candidate: Candidate
    refusal: Refusal


class Stopped(Struct, frozen=True):
    """There is no time, or no retry, left for this call; it was not made."""

    candidate: Candidate
    why: str


Answer = Answered | Flowing
Outcome = Answer | Failed | Refused | Stopped


class Because(Struct, frozen=True):
    """Why a call is made: `after` failed or answered poorly, and `why` is its error's kind or
    the check that it did not pass.
    """

    purpose: Purpose
    why: str = ""
    after: Candidate | None = None


class Round(Struct, frozen=True):
    """Calls to make at once, after a wait. A lone call with no checks may flow."""

    calls: tuple[Candidate, ...]
    checks: tuple[Check, ...]
    because: Because
    wait_s: float = 0.0


class Verdict(Struct, frozen=True):
    """The answer to give, if any, and why it was kept or why there is none."""

    answer: Answer | None
    why: str
    error: UpstreamError | None = None
    refusal: Refusal | None = None


Strategy = Generator[Round, tuple[Outcome, ...], Verdict]


def cascade(plan: Plan) -> Strategy:
    """Climb the rungs: to the next candidate on a failure, to the next rung on a poor answer."""
    best: Answered | None = None
    error: UpstreamError | None = None
    because = Because("answer")
    last = plan.rungs[-1].candidates[-1] if plan.rungs else None
    for rung in plan.rungs:
        for candidate in rung.candidates:
            outcome = yield from _call(candidate, rung, because, patient=candidate is last)
            match outcome:
                case Refused(refusal=refusal):
                    return Verdict(best, "budget", error, refusal)
                case Stopped(why=why):
                    return Verdict(best, why, error)
                case Flowing():
                    return Verdict(outcome, "unjudged")
                case Answered(findings=()):
                    return Verdict(outcome, "passed" if rung.checks else "unjudged")
                case Answered(findings=findings):
                    best = _better(best, outcome)
                    because = Because("escalation", findings[0].check, candidate)
                    break
                case Failed(error=error):
                    if error.retry == "never":
                        return Verdict(best, error.kind, error)
                    because = Because("fallback", error.kind, candidate)
    return Verdict(best, "best_effort" if best else "exhausted", error)


def _call(
    candidate: Candidate, rung: Rung, because: Because, *, patient: bool
) -> Generator[Round, tuple[Outcome, ...], Outcome]:
    """One call; once more when its connection was refused or reset before a byte came.

    A provider that says when to come back is waited for only by the patient: when nobody else
    is left to ask.
    """
    (outcome,) = yield Round((candidate,), rung.checks, because)
    if isinstance(outcome, Failed):
        error = outcome.error
        if error.retry == "never":
            return outcome
        wait_s = (error.retry_after or 0.0) if patient else 0.0
        if error.retry == "same" or wait_s:
            again = Because("retry", error.kind, candidate)
            (second,) = yield Round((candidate,), rung.checks, again, wait_s)
            return outcome if isinstance(second, Stopped) else second
    return outcome


def _better(best: Answered | None, new: Answered) -> Answered:
    """The answer with fewer findings; of two alike, the later one, of the higher rung."""
    if best is None or len(new.findings) <= len(best.findings):
        return new
    return best


STRATEGIES: Final[Mapping[str, Callable[[Plan], Strategy]]] = {"cascade": cascade}
