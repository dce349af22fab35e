"""The value of the header `x-gateway-reason`: why the request began where it did, and why each
call after the first was made: "auto-1 regex".
"""

from collections.abc import Sequence
from typing import Final

from gateway.core.strategies.progress import BUDGET, skipped_for_budget
from gateway.core.strategy import Answered, Cause, Failed, Flowing, Outcome, Round

Trail = tuple[str, ...]
GUARD: Final = "guard"
"""A guard has left out all but the last tier."""


def next_call(trail: Trail, cause: Cause) -> Trail:
    """Another call is made. `no_budget` notes who was short of money."""
    after, why = cause.after, cause.why
    return trail if after is None or why == BUDGET else (*trail, f"{after.model.name} {why}")


def no_budget(trail: Trail, outcome: Outcome) -> Trail:
    """A call was not held. Where another may be asked after that, it is noted, once in a row."""
    if not skipped_for_budget(outcome):
        return trail
    word = f"{outcome.candidate.model.name} {BUDGET}"
    return trail if trail[-1:] == (word,) else (*trail, word)


def raced(trail: Trail, wanted: Round, outcomes: Sequence[Outcome]) -> Trail:
    """A race was won: nobody is asked because of those who failed or were poor in it. Where nobody
    has won `next_call` tells of who led on.
    """
    lost, won = [], False
    for each in outcomes if wanted.stagger_s is not None else ():
        match each:
            case Failed(candidate, error):
                lost.append(f"{candidate.model.name} {error.kind}")
            case Answered(candidate, findings=(finding, *_)):
                lost.append(f"{candidate.model.name} {finding.check}")
            case Flowing() | Answered():
                won = True
            case _:
                pass
    return (*trail, *lost) if won else trail


def noted_once(trail: Trail, word: str) -> Trail:
    """With a word that was noted before the tokens were counted exactly, or is new."""
    return trail if word in trail else (*trail, word)


def header_value(why: str, trail: Trail) -> str:
    """Why an answer is given, and how it came to that."""
    return "; ".join((why, *trail)) if trail else why
