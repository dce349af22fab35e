"""The most that the calls of a plan can cost together, whatever becomes of each.

Which call follows which is what the strategies do, and what one may cost is what hold.py sets aside
for it: tests/core/test_worst.py has them carry plans out in every way, and reaches what is told.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from typing import Final

from msgspec import Struct

from gateway.core import tokens
from gateway.core.catalog import CASCADE, Check, Tactic
from gateway.core.chat import ChatRequest, Choice, Completion, Message, add_messages
from gateway.core.checks.finding import Finding
from gateway.core.checks.watches import worth_watching
from gateway.core.money import ceiling
from gateway.core.plan import Candidate, Plan, Rung, in_its_tokens, price_of
from gateway.core.strategies import BALLOTS, taking
from gateway.core.strategies.repair import told
from gateway.core.strategies.vote import diverse, shown
from gateway.core.strategy import Answered

Judges = Callable[[Check, ChatRequest, Completion], Sequence[Candidate]]
"""Who may judge this answer to this request, in order."""

_Said = tuple[Message, ...]

_ENDS: Final = ("answered", "failed", "declined")
_REFUSALS: Final = "not_refused"
_WORD: Final = "\U0001f600"
"""A text that counts as one."""
_NOTHING: Final = Completion((Choice(text=""),))
_FEW: Final = 12
_LONGEST_WHY: Final = "x" * 300


def worst(plan: Plan, chosen: Tactic, request: ChatRequest, judges: Judges) -> int:
    """In nano-dollars, of one life. What goes on behind its answer is not among it.

    An answer costs the ceiling of its call, and whoever is asked to judge it. A failure costs its
    prompt; where the answer is watched while it comes, as much as an answer, since it may break off
    at its end. A call that is made once more has cost nothing before.
    """
    most = _Worst(request, judges).of(plan.rungs, chosen, ())
    return most if plan.most is None else min(most, plan.most)


class _Bill(Struct, frozen=True, eq=False):
    """The most that all tries of a candidate cost, by how the last of them ends."""

    candidate: Candidate
    answered: int
    """However well."""
    failed: int
    declined: int

    @property
    def vendor(self) -> str:
        return self.candidate.deployment.provider


class _Try(Struct, frozen=True):
    """What each answer of a try costs: tokens that go in beside the request, and its judges."""

    more: int
    judged: int


_Bills = tuple[_Bill, ...]


class _Worst:
    """Of one request."""

    def __init__(self, request: ChatRequest, judges: Judges) -> None:
        self.request = request
        self.judges = judges
        self._counted = cache(partial(tokens.count_input, request))

    def of(self, rungs: Sequence[Rung], chosen: Tactic, said: _Said) -> int:
        """Of these rungs, carried out so, when so much is `said` already."""
        if not rungs:
            return 0
        rung, higher = rungs[0], rungs[1:]
        chosen = taking(rung, chosen)
        then = chosen.then or CASCADE
        if chosen.name in BALLOTS:
            return self._vote(rung, higher, chosen, said)
        if chosen.name == "hedge":
            return self._race(rung, higher, then, said)
        if chosen.name != CASCADE.name:
            return self._tried(rung, chosen, said) + self.of(higher, then, said)
        bills = self._bills(rung, rung.candidates, said)
        own, more = _asked(rung, bills), self.of(higher, chosen, said)
        if rung.checks.all:
            return own + more
        return max(own, sum(each.failed for each in bills) + more)  # an answer is the last call

    def _vote(self, rung: Rung, higher: Sequence[Rung], chosen: Tactic, said: _Said) -> int:
        """They disagree."""
        voters, options = diverse(rung), chosen.options
        most = _polled(rung, self._bills(rung, voters, said), options["voters"])
        if options["show_votes"]:
            by_length = sorted(voters, key=lambda each: each.max_output)
            longest = by_length[-options["voters"] :]
            said = (*said, *shown([Answered(each, self._longest(each)) for each in longest]))
        if options["join"] and chosen.then is None:
            for each in higher[:-1]:
                most += _asked(each, self._bills(each, each.candidates, said))
            higher = higher[-1:]
        return most + self.of(higher, chosen.then or CASCADE, said)

    def _race(self, rung: Rung, higher: Sequence[Rung], then: Tactic, said: _Said) -> int:
        """Where the runners fail or decline, who waits is for what comes then."""
        most = 0
        after: dict[_Bills, int] = {}
        for cost, answered, left in _round(rung, self._bills(rung, rung.candidates, said), 2):
            if answered and not _may_be_poor(rung):
                most = max(most, cost)
            else:
                others = () if answered else left
                after[others] = max(after.get(others, 0), cost)
        for left, cost in after.items():
            here = Rung(rung.tier, tuple(each.candidate for each in left), rung.checks)
            most = max(most, cost + self.of((here, *higher) if left else higher, then, said))
        return most

    def _tried(self, rung: Rung, chosen: Tactic, said: _Said) -> int:
        """Each is tried again until its last try, told or not what was wrong."""
        tell = chosen.name == "repair"
        tries = 1 + chosen.options["times"] if tell else chosen.options["tries"]
        each = rung.candidates
        bills = self._bills(rung, each, said, tries, tell=tell)
        if _may_be_poor(rung):
            return _asked(rung, bills)
        # Each poor answer declines, which leads to another vendor while one waits.
        once, most = self._bills(rung, each, said), 0
        vendors = [to.deployment.provider for to in each]
        for at, vendor in enumerate(vendors):
            others = _by_vendor(once[:at])
            mine = others.pop(vendor, [])
            if {vendor, *others} == {*vendors}:  # from here on none of another vendor may wait
                left = [bill for bill in bills[at:] if bill.vendor == vendor]
                before = sum(bill.failed for bill in mine) + sum(map(_in_turn, others.values()))
                most = max(most, before + _in_turn(left))
        return most

    def _bills(
        self,
        rung: Rung,
        asked: Iterable[Candidate],
        said: _Said,
        tries: int = 1,
        *,
        tell: bool = False,
    ) -> _Bills:
        watched = self.request.stream and worth_watching(rung.checks.all, self.request)
        made: dict[int, list[_Try]] = {}
        bills = []
        for to in asked:
            if to.max_output not in made:
                made[to.max_output] = list(self._tries(rung, to, said, tries, tell=tell))
            *earlier, last = made[to.max_output]
            before = sum(to.with_more(each.more)[0] + each.judged for each in earlier)
            whole = before + to.with_more(last.more)[0]
            failed = whole if watched else before + self._failed(to, last.more)
            bills.append(_Bill(to, whole + last.judged, failed, whole))
        return tuple(bills)

    def _tries(
        self, rung: Rung, to: Candidate, said: _Said, tries: int, *, tell: bool
    ) -> Iterator[_Try]:
        """Of whoever may answer as much as this one."""
        answer = self._longest(to)
        findings = tuple(Finding(check.name, _LONGEST_WHY) for check in rung.checks.all)
        for _ in range(tries):
            more = tokens.bound_of(said) if said else 0
            yield _Try(more, self._judged(rung, said, answer))
            if tell:
                said = (*said, *told(Answered(to, answer, findings=findings)))

    def _failed(self, to: Candidate, more: int) -> int:
        prompt = max(to.prompt, self._counted(to.model.image_tokens))
        return _cost(to, prompt + in_its_tokens(to.model, more), 0)

    def _judged(self, rung: Rung, said: _Said, answer: Completion) -> int:
        """What all of its judges cost, of whom each is followed by another when it fails. A short
        answer fits more of them, and leaves more room to say what is thought of it.
        """
        request = add_messages(self.request, said) if said else self.request
        most = 0
        for check in rung.checks.others:
            if check.name == "judge":
                long = {to.deployment: to.prompt for to in self.judges(check, request, answer)}
                bills = []
                for to in self.judges(check, self.request, _NOTHING):
                    prompt = long.get(to.deployment, to.model.usable_context)
                    answered, failed = (
                        _cost(to, prompt, to.tokens - to.prompt),
                        _cost(to, prompt, 0),
                    )
                    bills.append(_Bill(to, answered, failed, declined=0))
                most += _in_turn(bills)
        return most

    def _longest(self, to: Candidate) -> Completion:
        return Completion((Choice(text=_WORD * to.max_output),) * self.request.n)


def _may_be_poor(rung: Rung) -> bool:
    """Whether an answer can be, without declining."""
    return any(check.name != _REFUSALS for check in rung.checks.all)


def _may_decline(rung: Rung) -> bool:
    return any(check.name == _REFUSALS for check in rung.checks.all)


def _asked(rung: Rung, bills: _Bills) -> int:
    """The most that a rung costs whose candidates are asked one after the other. Whoever declines
    is followed by those of other vendors: so each vendor is by itself.
    """
    if not _may_decline(rung):
        return _in_turn(bills)
    judged = max(each.answered - each.declined for each in bills)
    return sum(_in_turn(each, "declined") for each in _by_vendor(bills).values()) + judged


def _in_turn(bills: Iterable[_Bill], end: str = "answered") -> int:
    """All fail until one ends so: whichever makes it dearest."""
    most = before = 0
    for each in bills:
        most, before = max(most, before + getattr(each, end)), before + each.failed
    return most


def _by_vendor(bills: Iterable[_Bill]) -> dict[str, list[_Bill]]:
    found = defaultdict[str, list[_Bill]](list)
    for each in bills:
        found[each.vendor].append(each)
    return found


def _polled(rung: Rung, voters: _Bills, at_once: int) -> int:
    """The most that a poll costs: so many are asked at once, others in place of those who fail or
    decline. Of many it is said that all answer: with each vendor that may drop out there are twice
    as many ways.
    """
    if len(voters) > _FEW and _may_decline(rung):
        return sum(each.answered for each in voters)

    @cache
    def most(waiting: _Bills, missing: int) -> int:
        best = 0
        for cost, answered, left in _round(rung, waiting, missing):
            still = missing if _may_be_poor(rung) else missing - answered
            best = max(best, cost + (most(left, still) if left and still else 0))
        return best

    return most(voters, at_once)


def _round(rung: Rung, waiting: _Bills, at_once: int) -> Iterator[tuple[int, int, _Bills]]:
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


def _beside(bill: _Bill, others: _Bills) -> _Bills:
    """Those of other vendors."""
    return tuple(each for each in others if each.vendor != bill.vendor)


def _cost(to: Candidate, prompt: int, answer: int) -> int:
    """Of so many tokens, where no cache is written."""
    price = price_of(to.model, to.deployment, prompt)
    return ceiling(price, prompt, answer, caches=False, sound=to.sound)
