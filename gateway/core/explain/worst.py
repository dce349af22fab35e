"""The most that the calls of a plan can cost together, however each of them ends.

Which call follows which is up to the strategies, and what one may cost is what hold.py sets aside:
tests/core/test_worst.py lets them carry plans out in every way, and reaches these figures.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

from msgspec import Struct

from gateway.core import tokens
from gateway.core.catalog import BALLOTS, CASCADE, Check, Tactic
from gateway.core.chat import ChatRequest, Choice, Completion, Message, add_messages
from gateway.core.checks import Checklist
from gateway.core.checks.early_checks import worth_watching
from gateway.core.checks.external import SHOWN
from gateway.core.checks.finding import Finding
from gateway.core.explain.bills import (
    Bill,
    Bills,
    by_vendor,
    each_way,
    in_order,
    in_turn,
    may_be_poor,
    polled,
)
from gateway.core.explain.identity_cache import cached_by_identity
from gateway.core.features import read_features
from gateway.core.money import ceiling
from gateway.core.plan import Candidate, Plan, Rung, in_its_tokens, peak_price
from gateway.core.strategies import taking
from gateway.core.strategies.repair import feedback
from gateway.core.strategies.vote import diverse, shown
from gateway.core.strategy import Answered

Judges = Callable[[Check, ChatRequest, Completion], Sequence[Candidate]]
"""Who may judge this answer to this request, in order."""

_Messages = tuple[Message, ...]

_WORD: Final = "\U0001f600"
"""A text that counts as one."""
_LONGEST_WHY: Final = "x" * 300


def worst(plans: Iterable[Plan], chosen: Tactic, request: ChatRequest, judges: Judges) -> int:
    """In nano-dollars, of one life by any of these plans. What goes on behind its answer is not
    among it.

    An answer costs the ceiling of its call, and whoever is asked to judge it. A failure costs its
    prompt, which may have been written to a cache; where the answer is watched while it comes, as
    much as an answer, since it may break off at its end. A call that is made once more has cost
    nothing before.
    """
    here = _Worst(request, judges)
    found = [(here.of(plan.rungs, chosen, ()), plan.max_cost) for plan in plans]
    return max(cost if most is None else min(cost, most) for cost, most in found)


class _Try(Struct, frozen=True):
    """What each answer of a try costs: tokens that go in beside the request, and its judges."""

    more: int
    judged: int


class _Worst:
    """Of one request. Results are cached, as the same question comes up for many candidates and in
    many ways of going on, and takes long answers and plans for their judges.
    """

    def __init__(self, request: ChatRequest, judges: Judges) -> None:
        self.request = request
        self.judges = judges
        self._caches = read_features(request).caches
        self._able = cached_by_identity(self._able_to_judge)
        self._bound = cached_by_identity(tokens.bound_of)
        self._tries = cached_by_identity(self._all_tries)
        self._told = cached_by_identity(self._with_feedback)
        self._answer = cache(self._answered)
        self._known: dict[tuple[object, ...], tuple[int, object]] = {}

    def of(self, rungs: Sequence[Rung], chosen: Tactic, messages: _Messages) -> int:
        """Of these rungs, carried out so, when these `messages` were added already."""
        if not rungs:
            return 0
        left = tuple((id(rung.checks), *map(id, rung.candidates)) for rung in rungs)
        key = (left, id(chosen), id(messages))
        if key not in self._known:  # values are kept, so that no other gets their ids
            self._known[key] = self._of(rungs, chosen, messages), (rungs, chosen, messages)
        return self._known[key][0]

    def _of(self, rungs: Sequence[Rung], chosen: Tactic, messages: _Messages) -> int:
        rung, higher = rungs[0], rungs[1:]
        chosen = taking(rung, chosen)
        then = chosen.then or CASCADE
        if chosen.name in BALLOTS:
            return self._vote(rung, higher, chosen, messages)
        if chosen.name == "hedge":
            return self._race(rung, higher, then, messages)
        if chosen.name != CASCADE.name:
            return self._tried(rung, chosen, messages) + self.of(higher, then, messages)
        bills = self._bills(rung, rung.candidates, messages)
        own, more = in_order(rung, bills), self.of(higher, chosen, messages)
        if rung.checks.all:
            return own + more
        return max(own, sum(each.failed for each in bills) + more)  # an answer is the last call

    def _vote(self, rung: Rung, higher: Sequence[Rung], chosen: Tactic, messages: _Messages) -> int:
        """A vote whose voters disagree."""
        voters, options = diverse(rung), chosen.options
        most = polled(rung, self._bills(rung, voters, messages), options["voters"])
        if options["show_votes"]:
            by_length = sorted(voters, key=lambda each: each.max_output)
            longest = by_length[-options["voters"] :]
            votes = [Answered(each, self._answer(each.max_output)) for each in longest]
            messages = (*messages, *shown(votes))
        if options["join"] and chosen.then is None:
            for each in higher[:-1]:
                most += in_order(each, self._bills(each, each.candidates, messages))
            higher = higher[-1:]
        return most + self.of(higher, chosen.then or CASCADE, messages)

    def _race(self, rung: Rung, higher: Sequence[Rung], then: Tactic, messages: _Messages) -> int:
        """Where the runners fail or refuse, those who wait are left to the next strategy."""
        most = 0
        after: dict[Bills, int] = {}
        for cost, answered, left in each_way(rung, self._bills(rung, rung.candidates, messages), 2):
            if answered and not may_be_poor(rung):
                most = max(most, cost)
            else:
                others = () if answered else left
                after[others] = max(after.get(others, 0), cost)
        for left, cost in after.items():
            here = Rung(rung.tier, tuple(each.candidate for each in left), rung.checks)
            most = max(most, cost + self.of((here, *higher) if left else higher, then, messages))
        return most

    def _tried(self, rung: Rung, chosen: Tactic, messages: _Messages) -> int:
        """Each candidate uses all its tries, told or not told what was wrong."""
        tell = chosen.name == "repair"
        tries = 1 + chosen.options["times"] if tell else chosen.options["tries"]
        each = rung.candidates
        bills = self._bills(rung, each, messages, tries, tell=tell)
        if may_be_poor(rung):
            return in_order(rung, bills)
        # Each poor answer declines, which leads to another vendor while one waits.
        single, most = self._bills(rung, each, messages), 0
        vendors = [to.deployment.provider for to in each]
        for at, vendor in enumerate(vendors):
            others = by_vendor(single[:at])
            mine = others.pop(vendor, [])
            if {vendor, *others} == {*vendors}:  # from here on none of another vendor may wait
                left = [bill for bill in bills[at:] if bill.vendor == vendor]
                before = sum(bill.failed for bill in mine) + sum(map(in_turn, others.values()))
                most = max(most, before + in_turn(left))
        return most

    def _bills(
        self,
        rung: Rung,
        candidates: Iterable[Candidate],
        messages: _Messages,
        tries: int = 1,
        *,
        tell: bool = False,
    ) -> Bills:
        watched = self.request.stream and worth_watching(rung.checks.all, self.request)
        bills = []
        for to in candidates:
            *earlier, last = self._tries(rung.checks, to.max_output, messages, tries if tell else 1)
            if not tell:
                earlier = [last] * (tries - 1)
            before = sum(to.with_more(each.more).ceiling + each.judged for each in earlier)
            whole = before + to.with_more(last.more).ceiling
            prompt = to.prompt + in_its_tokens(to.model, last.more)
            failed = whole if watched else before + _cost(to, prompt, 0, caches=self._caches)
            bills.append(Bill(to, whole + last.judged, failed, whole))
        return tuple(bills)

    def _all_tries(
        self, checks: Checklist, most: int, messages: _Messages, tries: int
    ) -> list[_Try]:
        """Those of a candidate that may answer with so many tokens, told each time what was wrong.
        A judge is shown only the end of that.
        """
        found, short, seen = [], min(most, SHOWN + 1), messages
        for left in reversed(range(tries)):
            more = self._bound(messages) if messages else 0
            found.append(_Try(more, self._judged(checks, seen, short)))
            if left:
                messages, seen = self._told(messages, checks, most), self._told(seen, checks, short)
        return found

    def _with_feedback(self, messages: _Messages, checks: Checklist, most: int) -> _Messages:
        findings = [Finding(check.name, _LONGEST_WHY) for check in checks.all]
        return (*messages, *feedback(self._answer(most), findings))

    def _judged(self, checks: Checklist, messages: _Messages, length: int) -> int:
        """What the judges of an answer cost, each followed by another when it fails. A short answer
        fits more judges, and leaves them more room for their output.
        """
        most = 0
        for check in checks.external:
            if check.name == "judge":
                able = self._able(check, messages, length)
                long = {to.deployment: to.prompt for to in able}
                bills = []
                for to in self._able(check, (), 0):
                    prompt = long.get(to.deployment, to.model.usable_context)
                    answered = _cost(to, prompt, to.tokens - to.prompt)
                    bills.append(Bill(to, answered, _cost(to, prompt, 0), declined=0))
                most += in_turn(bills)
        return most

    def _able_to_judge(self, check: Check, messages: _Messages, length: int) -> Sequence[Candidate]:
        request = add_messages(self.request, messages) if messages else self.request
        return self.judges(check, request, self._answer(length))

    def _answered(self, length: int) -> Completion:
        return Completion((Choice(text=_WORD * length),) * (self.request.n if length else 1))


def _cost(to: Candidate, prompt: int, answer: int, *, caches: bool = False) -> int:
    """Of so many tokens. A judge is never asked to write a cache."""
    price = peak_price(to.model, to.deployment, prompt)
    caches = caches or to.deployment.caches_unasked
    return ceiling(price, prompt, answer, to.surcharges, caches=caches)
