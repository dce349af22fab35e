"""The most that calls of a rung can cost together: each may be answered, fail, or decline."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Final

from msgspec import Struct

from gateway.core.plan import Candidate, Rung

_ENDS: Final = ("answered", "failed", "declined")
_REFUSALS: Final = "not_refused"
_FEW: Final = 12
_MANY: Final = 200


class Bill(Struct, frozen=True, eq=False):
    """The most that all tries of a candidate cost, by how the last of them ends."""

    candidate: Candidate
    answered: int
    """However good its answer is."""
    failed: int
    declined: int

    @property
    def vendor(self) -> str:
        return self.candidate.deployment.provider


Bills = tuple[Bill, ...]


def may_be_poor(rung: Rung) -> bool:
    """Whether an answer can fail the checks without being a refusal."""
    return any(check.name != _REFUSALS for check in rung.checks.all)


def _may_decline(rung: Rung) -> bool:
    return any(check.name == _REFUSALS for check in rung.checks.all)


def in_order(rung: Rung, bills: Bills) -> int:
    """The most that a rung costs whose candidates are asked one after the other. Whoever declines
    is followed by those of other vendors: so each vendor is by itself.
    """
    if not _may_decline(rung):
        return in_turn(bills)
    judged = max(each.answered - each.declined for each in bills)
    return sum(in_turn(each, "declined") for each in by_vendor(bills).values()) + judged


def in_turn(bills: Iterable[Bill], end: str = "answered") -> int:
    """All fail until one ends so: the one that makes it dearest."""
    most = before = 0
    for each in bills:
        most, before = max(most, before + getattr(each, end)), before + each.failed
    return most


def by_vendor(bills: Iterable[Bill]) -> dict[str, list[Bill]]:
    found = defaultdict[str, list[Bill]](list)
    for each in bills:
        found[each.vendor].append(each)
    return found


def polled(rung: Rung, voters: Bills, at_once: int) -> int:
    """The most that a poll costs: so many are asked at once, others in place of those who fail or
    decline. Of many it is said that all answer: with each vendor that may drop out there are twice
    as many ways, and each may be one round more.
    """
    if len(voters) > (_FEW if _may_decline(rung) else _MANY):
        return sum(each.answered for each in voters)

    @cache
    def most(waiting: Bills, missing: int) -> int:
        best = 0
        for cost, answered, left in each_way(rung, waiting, missing):
            still = missing if may_be_poor(rung) else missing - answered
            best = max(best, cost + (most(left, still) if left and still else 0))
        return best

    return most(voters, at_once)


def each_way(rung: Rung, waiting: Bills, at_once: int) -> Iterator[tuple[int, int, Bills]]:
    """Of each way in which so many calls may end: what they cost, how many have answered, and who
    is left to be asked.
    """
    now, rest = waiting[:at_once], waiting[at_once:]
    for ends in product(_ENDS if _may_decline(rung) else _ENDS[:2], repeat=len(now)):
        calls = list(zip(now, ends, strict=True))
        left = rest
        for bill, end in calls:
            left = _beside(bill, left) if end == "declined" else left
        goes_on = "declined" in ends or "failed" in ends
        cost = sum(getattr(bill, end) for bill, end in calls)
        yield cost, ends.count("answered"), left if goes_on else ()


def _beside(bill: Bill, others: Bills) -> Bills:
    """Those of other vendors."""
    return tuple(each for each in others if each.vendor != bill.vendor)
