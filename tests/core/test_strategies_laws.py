"""What holds for every strategy, plan and order of outcomes."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.accounts import Account, Refusal
from gateway.core.catalog import BALLOTS, Budget, Tactic
from gateway.core.chat import Choice, Completion
from gateway.core.checks import Finding
from gateway.core.errors import Faulty, Rejected, Reset, Throttled
from gateway.core.money import Nanos
from gateway.core.plan import Candidate, Plan
from gateway.core.strategies import carry_out, tactic
from gateway.core.strategies.progress import BUDGET, OUTRUN
from gateway.core.strategy import Answered, Failed, Flowing, Outcome, Refused, Round, Stopped
from tests.core.test_strategies import plan

FULL: Final = Budget(Nanos(1), "total")
ERRORS: Final = {
    "faulty": Faulty("500"),
    "reset": Reset("closed"),
    "busy": Throttled("429", retry_after=2),
    "never": Rejected("400"),
}
REFUSALS: Final = {
    "model": Refusal(Account("model", "x", (FULL,), "t"), FULL, 0),
    "tenant": Refusal(Account("tenant", "t", (FULL,), "t"), FULL, 0),
}
KINDS: Final = ("good", "poor", "declined", "flows", *ERRORS, *REFUSALS, "dear", "late")
TACTICS: Final = st.recursive(
    st.sampled_from(
        [
            tactic("cascade"), tactic("hedge"), tactic("repair"), tactic("retry_cheap"),
            tactic("vote"), tactic("vote", {"voters": 3}), tactic("vote", {"join": True}),
            tactic("arbitrate", {"lone": "accept"}),
        ]
    ),
    lambda then: st.builds(lambda one, two: Tactic(one.name, one.options, two), then, then),
    max_leaves=3,
)  # fmt: skip
PLANS: Final = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(
    lambda sizes: plan(*(" ".join(_names(rung, size)) for rung, size in enumerate(sizes)))
)


def _names(rung: int, size: int) -> list[str]:
    return [f"m{rung}{at}/{'pq'[at % 2]}" for at in range(size)]


def outcome(call: Candidate, kind: str, said: str) -> Outcome:
    whole = Completion((Choice(text=said),))
    if kind in ERRORS:
        return Failed(call, ERRORS[kind])
    if kind in REFUSALS:
        return Refused(call, REFUSALS[kind])
    if kind in ("dear", "late"):
        return Stopped(call, BUDGET if kind == "dear" else "deadline")
    check = {"poor": "complete", "declined": "not_refused"}.get(kind)
    return Answered(call, whole, findings=(Finding(check, "why"),) if check else ())


def outcomes(wanted: Round, draw: Any) -> list[Outcome]:
    """One that flows stands for any good answer of a round whose answers are not compared."""
    found: list[Outcome] = []
    for call in wanted.calls:
        kind, said = draw(st.sampled_from(KINDS)), draw(st.sampled_from("12"))
        if wanted.stagger_s is not None and any(map(good, found)):
            found.append(Stopped(call, OUTRUN))
        elif kind == "flows" and not wanted.buffered:
            found.append(Flowing(call, None))  # type: ignore[arg-type]
        else:
            found.append(outcome(call, "good" if kind == "flows" else kind, said))
    return found


def good(of: Outcome) -> bool:
    return isinstance(of, Flowing) or (isinstance(of, Answered) and not of.findings)


def ballots(chosen: Tactic | None) -> bool:
    return chosen is not None and (chosen.name in BALLOTS or ballots(chosen.then))


@settings(max_examples=400, deadline=None)
@given(over=PLANS, chosen=TACTICS, data=st.data())
def test_every_order_of_outcomes(over: Plan, chosen: Tactic, data: st.DataObject) -> None:
    """A poor answer leads up, whatever else within a rung; and no answer is thrown away."""
    place = {
        each.deployment.name: at for at, rung in enumerate(over.rungs) for each in rung.candidates
    }
    answers: list[Answered | Flowing] = []
    strategy = carry_out(over, chosen)
    try:
        wanted = next(strategy)
        for _ in range(60):
            _steps(wanted, place)
            found = outcomes(wanted, data.draw)
            answers += [each for each in found if isinstance(each, Answered | Flowing)]
            wanted = strategy.send(tuple(found))
        raise AssertionError("it goes on for ever")
    except StopIteration as stop:
        verdict = stop.value
    assert (verdict.answer is None) is (not answers)
    assert verdict.answer is None or any(verdict.answer is each for each in answers)
    passed = [each for each in answers if good(each)]
    if passed:
        assert any(verdict.answer is each for each in passed)
        assert ballots(chosen) or verdict.answer is passed[0]
    if verdict.why in ("passed", "agreed"):
        assert good(verdict.answer)


def _steps(wanted: Round, place: dict[str, int]) -> None:
    because = wanted.cause
    if because.after is None:
        return
    came = place[because.after.deployment.name]
    went = {place[each.deployment.name] for each in wanted.calls}
    poor = because.why in ("complete", "not_refused")
    if because.purpose == "escalation":
        assert poor
        assert min(went) > came
    elif because.purpose == "fallback" and poor:
        assert went == {came}
