"""What is told to be the worst is what a life can spend, whatever becomes of its calls."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.core import tokens
from gateway.core.catalog import Check, Deployment, Model, Tactic
from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.core.checks import Finding, checklist
from gateway.core.checks.early_checks import worth_watching
from gateway.core.checks.external import SHOWN
from gateway.core.errors import Faulty, Reset
from gateway.core.explain.worst import worst
from gateway.core.money import Nanos, Price
from gateway.core.plan import Candidate, Plan, Rung
from gateway.core.strategies import carry_out, tactic
from gateway.core.strategy import Answered, Failed, Outcome, Round
from tests.core.asked import request, user

HI: Final = request(user("x" * 40), model="r", max_tokens=3)
PROMPT: Final = 113
"""More than is counted of it."""
JUDGE: Final = Check("judge", {"model": "j", "rubric": "It is right."})
CHECKS: Final = (
    (),
    (Check("complete"),),
    (Check("not_refused"),),
    (Check("not_refused"), JUDGE),
    (JUDGE, Check("webhook")),
)
BALLOTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"voters": 3},
    {"voters": 3, "need": 3, "lone": "accept"},
    {"show_votes": True},
    {"join": True, "show_votes": True},
)
TACTICS: Final = st.recursive(
    st.sampled_from(
        [
            tactic("cascade"), tactic("hedge"), tactic("repair"), tactic("repair", {"times": 2}),
            tactic("retry_cheap", {"tries": 2}), *(tactic("vote", each) for each in BALLOTS),
        ]
    ),
    lambda then: st.builds(lambda one, two: Tactic(one.name, one.options, two), then, then),
    max_leaves=3,
)  # fmt: skip


def candidate(name: str, vendor: str, price: int, output: int = 3) -> Candidate:
    """`price` is nano-dollars for each token, in and out."""
    rate = price * 10**6
    each = Price(rate, rate, rate, rate)
    at = Deployment(f"{name}@{vendor}", vendor, name)
    model = MODELS.setdefault((name, price), Model(name, (at,), each, 9, 9, 9))
    ceiling, total = Nanos(price * (PROMPT + output)), PROMPT + output
    return Candidate(model, at, "t", output, ceiling, total, PROMPT)


MODELS: Final[dict[tuple[str, int], Model]] = {}
JUDGES: Final = [candidate("j1", "p", 2), candidate("j2", "q", 3)]


def plans(rungs: int, models: int, outputs: Sequence[int]) -> st.SearchStrategy[Plan]:
    each = st.builds(
        candidate,
        st.sampled_from("abcd"),
        st.sampled_from("pqr"),
        st.integers(1, 9),
        st.sampled_from(outputs),
    )
    rung = st.builds(
        lambda those, checks: Rung("t", tuple(those), checklist(checks)),
        st.lists(each, min_size=1, max_size=models),
        st.sampled_from(CHECKS),
    )
    return st.lists(rung, min_size=1, max_size=rungs).map(lambda found: Plan(tuple(found)))


class Life:
    """One that is carried out by hand. What each call costs is added up, as the gateway would."""

    def __init__(self, plan: Plan, chosen: Tactic, asked: ChatRequest) -> None:
        self.asked = asked
        self.spent = self.calls = 0
        self._strategy = carry_out(plan, chosen)
        self.wanted: Round | None = next(self._strategy)

    def ways(self, *more: str) -> list[Sequence[str]]:
        """In which the round that is wanted may end, call by call. Where somebody judges, it is
        they who find an answer poor.
        """
        assert self.wanted is not None
        names = [check.name for check in self.wanted.checks.all]
        kinds = ["good", "failed", *more]
        if set(names) - {"not_refused"}:
            kinds.append("poor")
        if "not_refused" in names:
            kinds.append("declined")
        return list(product(kinds, repeat=len(self.wanted.calls)))

    def go_on(self, ends: Sequence[str]) -> None:
        assert self.wanted is not None
        outcomes = [self._outcome(*each) for each in zip(self.wanted.calls, ends, strict=True)]
        try:
            self.wanted = self._strategy.send(tuple(outcomes))
        except StopIteration:
            self.wanted = None

    def _outcome(self, to: Candidate, end: str) -> Outcome:
        assert self.wanted is not None
        said, checks = self.wanted.messages, self.wanted.checks
        held = to.with_more(tokens.bound_of(said)).ceiling if said else to.ceiling
        self.calls += 1
        if end == "reset":
            return Failed(to, Reset("closed"))
        if end == "failed":
            watched = self.asked.stream and worth_watching(checks.all, self.asked)
            answer = 0 if watched else to.max_output
            self.spent += held - answer * to.model.price.output // 10**6
            return Failed(to, Faulty("500"))
        text = chr(0x1F600 + self.calls) * to.max_output
        self.spent += held
        names = [check.name for check in checks.all]
        if end != "declined" and JUDGE in checks.all:
            self.spent += 3 * (PROMPT + 3) + 2 * PROMPT
        names.sort(key="not_refused".__eq__, reverse=end == "declined")
        findings = tuple(Finding(name, "x" * 300) for name in names if end != "good")
        return Answered(to, Completion((Choice(text=text),)), findings=findings)


def told(plan: Plan, chosen: Tactic, asked: ChatRequest) -> int:
    return worst([plan], chosen, asked, lambda check, request, answer: JUDGES)


def every_life(plan: Plan, chosen: Tactic, asked: ChatRequest, most: int) -> Iterator[int]:
    """What each costs. Of more than so many nothing is said."""
    begun: list[list[Sequence[str]]] = [[]]
    for _ in range(most):
        if not begun:
            return
        past = begun.pop()
        life = Life(plan, chosen, asked)
        for ends in past:
            life.go_on(ends)
        if life.wanted is None:
            yield life.spent
        else:
            begun += [[*past, ends] for ends in life.ways()]
    assume(False)


@settings(max_examples=150, deadline=None)
@given(over=plans(2, 3, [3]), chosen=TACTICS, stream=st.booleans())
def test_it_is_what_the_dearest_of_all_lives_costs(
    over: Plan, chosen: Tactic, stream: bool
) -> None:
    asked = structs.replace(HI, stream=stream)
    assert told(over, chosen, asked) == max(every_life(over, chosen, asked, 3000))


def test_of_many_voters_it_is_that_all_answer() -> None:
    """Vendors drop out of a poll in so many ways that to look at all took seconds."""
    many = tuple(candidate(f"m{at}", f"v{at % 20}", 1) for at in range(40))
    over = Plan((Rung("t", many, checklist((Check("not_refused"),))),))
    assert told(over, tactic("vote"), HI) == 40 * (PROMPT + 3)


def test_of_very_many_it_is_told_as_well() -> None:
    """Each may be a round of its own, one within the other."""
    many = tuple(candidate(f"m{at}", "v", 1) for at in range(1_200))
    over = Plan((Rung("t", many, checklist(())),))
    assert told(over, tactic("vote"), HI) == 1_200 * (PROMPT + 3)


def test_whoever_judges_is_planned_for_once_where_they_are_shown_the_same() -> None:
    """An answer may be long, and so may the request that a judge is shown with it."""
    asked: list[int] = []

    def judges(check: Check, request: ChatRequest, answer: Completion) -> list[Candidate]:
        asked.append(len(answer.choices[0].text or ""))
        return JUDGES

    outputs = [3, 3, SHOWN + 1, SHOWN + 2, 2 * SHOWN]
    many = tuple(candidate(f"m{at}", f"v{at % 3}", 1, each) for at, each in enumerate(outputs))
    checks = checklist((Check("not_refused"), JUDGE))
    rungs = tuple(Rung("t", many, checks) for _ in range(3))
    for name in ("cascade", "hedge", "repair", "retry_cheap", "vote"):
        asked.clear()
        worst([Plan(rungs), Plan(rungs[::-1])], tactic(name), HI, judges)
        again = 2 if name == "repair" else 1
        assert sorted(asked) == sorted([0, *([3, SHOWN + 1] * again)]), name


def test_a_race_after_the_other_is_looked_at_once_for_all_ways_that_lead_to_it() -> None:
    """There are five of each; to look at all took longer than anybody waits."""
    many = tuple(candidate(f"m{at}", f"v{at % 3}", 1) for at in range(30))
    races = tactic("hedge")
    for _ in range(14):
        races = tactic("hedge", None, races)
    over = Plan((Rung("t", many, checklist((Check("not_refused"),))),) * 2)
    assert told(over, races, HI) <= 60 * (PROMPT + 3)


def test_it_is_no_more_than_all_calls_together_may_cost() -> None:
    rung = Rung("t", (candidate("a", "p", 1),), checklist(()))
    assert told(Plan((rung,), max_cost=Nanos(5)), tactic("cascade"), HI) == 5


@pytest.mark.parametrize("output", [3, SHOWN + 9])
def test_what_goes_back_is_told_whole_however_little_of_it_a_judge_is_shown(output: int) -> None:
    rung = Rung("t", (candidate("a", "p", 1, output),), checklist((JUDGE,)))
    life = Life(Plan((rung,)), tactic("repair", {"times": 2}), HI)
    while life.wanted is not None:
        life.go_on(["poor"])
    assert life.calls == 3
    assert told(Plan((rung,)), tactic("repair", {"times": 2}), HI) == life.spent


def test_a_vote_that_something_follows_is_not_joined() -> None:
    checks = checklist((Check("complete"),))
    names = ("a", "b"), ("c",), ("d",)
    rungs = [Rung("t", tuple(candidate(each, each, 1) for each in of), checks) for of in names]
    chosen = tactic("vote", {"join": True}, tactic("retry_cheap", {"tries": 4}))
    life = Life(Plan(tuple(rungs)), chosen, HI)
    while life.wanted is not None:
        life.go_on(["poor"] * len(life.wanted.calls))
    assert life.calls == 2 + 4 + 1
    assert told(Plan(tuple(rungs)), chosen, HI) == life.spent


@settings(max_examples=300, deadline=None)
@given(over=plans(4, 5, [2, 3]), chosen=TACTICS, stream=st.booleans(), data=st.data())
def test_no_life_costs_more(over: Plan, chosen: Tactic, stream: bool, data: st.DataObject) -> None:
    asked = structs.replace(HI, stream=stream)
    life = Life(over, chosen, asked)
    while life.wanted is not None:
        life.go_on(data.draw(st.sampled_from(life.ways("reset"))))
    assert life.spent <= told(over, chosen, asked)
