"""The values that a strategy yields and is sent: rounds of calls, their outcomes, its verdict.

A strategy is a generator. It yields rounds of calls, is sent their outcomes, and returns its
verdict; whoever drives it does the I/O. So a strategy is tested by feeding it outcomes by hand.
The strategies themselves are in core/strategies.

An answer that must be judged is held back until its checks are decided, which a part of it may
do. One that need not be may flow to the client as it comes; once it flows, it is the answer.
"""

from collections.abc import Generator

from msgspec import Struct

from gateway.core.accounts import Refusal
from gateway.core.chat import Completion, Message, Usage
from gateway.core.checks import Checklist, Finding
from gateway.core.errors import UpstreamError
from gateway.core.events import Purpose
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate


class Answered(Struct, frozen=True, gc=False):
    """A whole answer, the usage it was charged for, and what its rung's checks found wrong."""

    candidate: Candidate
    completion: Completion
    usage: Usage = Usage()
    findings: tuple[Finding, ...] = ()
    cut: bool = False
    """Whether it was stopped as soon as it failed: this is what had come of it."""
    skipped: bool = False
    """Whether only external checks were to judge it, and none of them gave a verdict."""


class Flowing(Struct, frozen=True):
    """An answer whose first deltas have come; `deltas` gives them and the rest. `dropped` is as
    Completion's. `why` is "passed" when its rung's checks are decided.
    """

    candidate: Candidate
    deltas: Deltas
    dropped: tuple[str, ...] = ()
    why: str = "unjudged"


class Failed(Struct, frozen=True):
    """A call without an answer. The error keeps no traceback."""

    candidate: Candidate
    error: UpstreamError

    def __post_init__(self) -> None:
        self.error.__traceback__ = None  # what it passed is freed now, connection and all


class Refused(Struct, frozen=True):
    """The ledger would not hold this call's ceiling; it was not made."""

    candidate: Candidate
    refusal: Refusal


class Stopped(Struct, frozen=True):
    """The call was not made, as there is no time or no retry left, or no money of the request's
    ("budget"); or it was cancelled, as another of its round was faster ("outrun").
    """

    candidate: Candidate
    why: str


Answer = Answered | Flowing
Outcome = Answer | Failed | Refused | Stopped


class Cause(Struct, frozen=True, gc=False):
    """Why a call is made: `after` failed or answered poorly, and `why` is its error's kind or
    the check that it did not pass.
    """

    purpose: Purpose
    why: str = ""
    after: Candidate | None = None


class Round(Struct, frozen=True, gc=False):
    """Calls to make, after a wait. A lone call with no checks may flow, unless it is `buffered`."""

    calls: tuple[Candidate, ...]
    checks: Checklist
    cause: Cause
    wait_s: float = 0.0
    is_retry: bool = False
    """Whether a failed call is made once more, which the retry budget must allow."""
    messages: tuple[Message, ...] = ()
    """Messages that are added after the client's."""
    buffered: bool = False
    """The answers are compared, so none of them flows."""
    stagger_s: float | None = None
    """In a race each call begins so many seconds after the one before it, or when that has failed,
    and the first good answer ends the race. None: all begin at once, and all are awaited."""


class Verdict(Struct, frozen=True):
    """The answer to give, if any, and why it was kept or why there is none."""

    answer: Answer | None
    why: str
    error: UpstreamError | None = None
    refusal: Refusal | None = None


Strategy = Generator[Round, tuple[Outcome, ...], Verdict]


def better(best: Answered | None, new: Answered) -> Answered:
    """A whole one before one that was cut; the answer with fewer findings; of two alike, the later
    one, of the higher rung.
    """
    if best is None or (new.cut, len(new.findings)) <= (best.cut, len(best.findings)):
        return new
    return best
