"""How a plan is carried out: which calls to make, and which answer to keep.

A strategy is a generator. It yields rounds of calls, is sent their outcomes, and returns its
verdict; whoever drives it does the I/O. So a strategy is tested by feeding it outcomes by hand.

An answer that must be judged is held back until it is whole. One that need not be may flow to
the client as it comes; once it flows, it is the answer.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.core.catalog import Check
from gateway.core.chat import Completion, Delta
from gateway.core.checks import Finding
from gateway.core.errors import UpstreamError
from gateway.core.events import Purpose
from gateway.core.plan import Candidate, Plan
from gateway.core.ports import Refusal


class Answered(Struct, frozen=True):
    """A whole answer, and what its rung's checks found wanting in it."""

    candidate: Candidate
    completion: Completion
    findings: tuple[Finding, ...] = ()


class Flowing(Struct, frozen=True):
    """An answer whose first deltas have come; `deltas` gives them and the rest."""

    candidate: Candidate
    deltas: AsyncGenerator[Sequence[Delta], None]


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


class Round(Struct, frozen=True):
    """Calls to make at once, and why.

    A lone call with no checks may flow. `after` is the candidate that failed or answered poorly,
    and `why` its error's kind or the check it failed.
    """

    calls: tuple[Candidate, ...]
    checks: tuple[Check, ...] = ()
    purpose: Purpose = "answer"
    why: str = ""
    after: Candidate | None = None
    wait_s: float = 0.0


class Verdict(Struct, frozen=True):
    """The answer to give, if any, and why it was kept or why there is none."""

    answer: Answer | None
    why: str
    error: UpstreamError | None = None
    refusal: Refusal | None = None


Strategy = Generator[Round, tuple[Outcome, ...], Verdict]


def cascade(plan: Plan) -> Strategy:
    """Climb the rungs: to the next candidate on a failure, to the next rung on a poor answer.

    A connection that was refused or reset is tried once more. A provider that says when to come
    back is waited for only when nobody else is left to ask.
    """
    best: Answered | None = None
    error: UpstreamError | None = None
    purpose: Purpose = "answer"
    why, after = "", None
    last = plan.rungs[-1].candidates[-1] if plan.rungs else None
    for rung in plan.rungs:
        for candidate in rung.candidates:
            again, wait_s = True, 0.0
            while True:
                (outcome,) = yield Round((candidate,), rung.checks, purpose, why, after, wait_s)
                if isinstance(outcome, Refused):
                    return Verdict(best, "budget", error, outcome.refusal)
                if isinstance(outcome, Stopped):
                    return Verdict(best, outcome.why, error)
                if isinstance(outcome, Flowing):
                    return Verdict(outcome, "unjudged")
                if isinstance(outcome, Answered):
                    if not outcome.findings:
                        return Verdict(outcome, "passed" if rung.checks else "unjudged")
                    best = _better(best, outcome)
                    break
                error = outcome.error
                if error.retry == "never":
                    return Verdict(best, error.kind, error)
                why, after = error.kind, candidate
                wait_s = (error.retry_after or 0.0) if candidate is last else 0.0
                if not (again and (error.retry == "same" or wait_s)):
                    purpose = "fallback"
                    break
                purpose, again = "retry", False
            if isinstance(outcome, Answered):
                purpose, why, after = "escalation", outcome.findings[0].check, candidate
                break
    return Verdict(best, "best_effort" if best else "exhausted", error)


def _better(best: Answered | None, new: Answered) -> Answered:
    """The answer with fewer findings; of two alike, the later one, of the higher rung."""
    if best is None or len(new.findings) <= len(best.findings):
        return new
    return best


STRATEGIES: Final[Mapping[str, Callable[[Plan], Strategy]]] = {"cascade": cascade}
