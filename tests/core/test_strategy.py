"""Strategies, fed outcomes by hand: no network, no clock, no fakes."""

from dataclasses import dataclass

import pytest

from gateway.core.accounts import Account, Refusal
from gateway.core.catalog import CASCADE, Budget, Check, Deployment, Model, Tactic
from gateway.core.chat import Choice, Completion
from gateway.core.checks import Finding, checklist
from gateway.core.errors import Faulty, Rejected, Reset, Throttled, Unsuitable, UpstreamError
from gateway.core.flow import Deltas
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate, Plan, Rung
from gateway.core.strategies import carry_out
from gateway.core.strategy import (
    Answered,
    Failed,
    Flowing,
    Outcome,
    Refused,
    Round,
    Stopped,
)

CHECKS = (Check("complete"), Check("sql"))


def candidate(name: str) -> Candidate:
    at = Deployment(f"{name}@p", "p", name)
    return Candidate(Model(name, (at,), FREE, 9, 9, 9), at, "t", 9, Nanos(9))


def rung(tier: str, *names: str, checks: tuple[Check, ...] = CHECKS) -> Rung:
    return Rung(tier, tuple(candidate(name) for name in names), checklist(checks))


THREE = Plan((rung("cheap", "a1", "a2"), rung("mid", "b1"), rung("smart", "c1", "c2")))
OPEN = Plan((rung("cheap", "a1", "a2", checks=()), rung("mid", "b1", checks=())))
ALONE = Plan((rung("none", "a1", checks=()),))


@dataclass(frozen=True)
class Says:
    """An answer, and the checks it does not pass."""

    failed: tuple[str, ...] = ()


async def _no_deltas() -> Deltas:
    for _ in ():
        yield ()


good, poor, poorer = Says(), Says(("sql",)), Says(("complete", "sql"))
down, reset = Faulty("500"), Reset("closed")
busy, ahead = Throttled("429", retry_after=3), Throttled("429")
wrong = Rejected("400")
wrong_later = Rejected("409", retry_after=3)
unfit = Unsuitable("too long")
DAILY = (Budget(Nanos(1), "day"),)
broke = Refusal(Account("tenant", "t", DAILY), DAILY[0], 0, 5)
FLOW, LATE, SPENT = "flows", "deadline", "retry_budget"
Reply = Says | UpstreamError | Refusal | str


def outcome(call: Candidate, reply: Reply) -> Outcome:
    match reply:
        case Says(failed):
            findings = tuple(Finding(check, "why") for check in failed)
            return Answered(call, Completion((Choice(),)), findings=findings)
        case UpstreamError():
            return Failed(call, reply)
        case Refusal():
            return Refused(call, reply)
        case "flows":
            return Flowing(call, _no_deltas())
        case str(why):
            return Stopped(call, why)


def play(
    plan: Plan, *script: tuple[str, Reply], chosen: Tactic = CASCADE
) -> tuple[str | None, str, list[Round]]:
    """Who answered, why, and every round asked for; the script is (expected call, reply)."""
    strategy = carry_out(plan, chosen)
    rounds: list[Round] = []
    try:
        wanted = next(strategy)
        for number, (name, reply) in enumerate(script):
            rounds.append(wanted)
            (call,) = wanted.calls
            assert call.model.name == name, f"call {number} went to {call.model.name}"
            wanted = strategy.send((outcome(call, reply),))
        pytest.fail(f"asks {wanted.calls[0].model.name} beyond the script")
    except StopIteration as stop:
        assert len(rounds) == len(script), f"never asked: {script[len(rounds) :]}"
        verdict = stop.value
        answer = verdict.answer
        return answer and answer.candidate.model.name, verdict.why, rounds


@pytest.mark.parametrize(
    ("plan", "script", "kept"),
    [
        pytest.param(THREE, [("a1", good)], ("a1", "passed"), id="the cheapest is enough"),
        pytest.param(OPEN, [("a1", good)], ("a1", "unjudged"), id="nothing to judge by"),
        pytest.param(OPEN, [("a1", FLOW)], ("a1", "unjudged"), id="it flows"),
        pytest.param(OPEN, [("a1", down), ("a2", FLOW)], ("a2", "unjudged"), id="down, then flows"),
        pytest.param(
            THREE, [("a1", poor), ("b1", good)], ("b1", "passed"), id="poor: up, past its equal"
        ),
        pytest.param(THREE, [("a1", down), ("a2", good)], ("a2", "passed"), id="down: its equal"),
        pytest.param(
            THREE,
            [("a1", down), ("a2", unfit), ("b1", good)],
            ("b1", "passed"),
            id="a rung is down: the next",
        ),
        pytest.param(
            THREE,
            [("a1", poor), ("b1", poor), ("c1", poor)],
            ("c1", "best_effort"),
            id="of poor answers alike the highest",
        ),
        pytest.param(
            THREE,
            [("a1", poor), ("b1", poorer), ("c1", poorer)],
            ("a1", "best_effort"),
            id="of poor answers the least poor",
        ),
        pytest.param(
            THREE,
            [("a1", poorer), ("b1", poor), ("c1", down), ("c2", down)],
            ("b1", "best_effort"),
            id="better a poor answer than none",
        ),
        pytest.param(
            THREE,
            [("a1", down), ("a2", down), ("b1", down), ("c1", down), ("c2", down)],
            (None, "exhausted"),
            id="all down",
        ),
        pytest.param(Plan(()), [], (None, "exhausted"), id="nobody at all"),
        pytest.param(
            OPEN, [("a1", reset), ("a1", good)], ("a1", "unjudged"), id="reset: once more"
        ),
        pytest.param(
            OPEN,
            [("a1", reset), ("a1", reset), ("a2", good)],
            ("a2", "unjudged"),
            id="reset twice: its equal",
        ),
        pytest.param(
            OPEN,
            [("a1", reset), ("a1", SPENT), ("a2", good)],
            ("a2", "unjudged"),
            id="no retry left: its equal",
        ),
        pytest.param(
            OPEN, [("a1", reset), ("a1", wrong)], (None, "rejected"), id="reset, then refused"
        ),
        pytest.param(
            OPEN, [("a1", busy), ("a2", good)], ("a2", "unjudged"), id="busy: nobody waits"
        ),
        pytest.param(
            ALONE, [("a1", busy), ("a1", good)], ("a1", "unjudged"), id="busy: the last waits"
        ),
        pytest.param(
            ALONE, [("a1", busy), ("a1", busy)], (None, "exhausted"), id="busy: it waits once"
        ),
        pytest.param(
            ALONE, [("a1", busy), ("a1", LATE)], (None, "exhausted"), id="busy for too long"
        ),
        pytest.param(ALONE, [("a1", ahead)], (None, "exhausted"), id="busy, who knows how long"),
        pytest.param(ALONE, [("a1", wrong)], (None, "rejected"), id="the client's fault"),
        pytest.param(
            ALONE, [("a1", wrong_later)], (None, "rejected"), id="never again, whatever it says"
        ),
        pytest.param(
            THREE,
            [("a1", poor), ("b1", wrong)],
            ("a1", "rejected"),
            id="the client's fault, but an answer",
        ),
        pytest.param(THREE, [("a1", broke)], (None, "budget"), id="no money"),
        pytest.param(
            THREE, [("a1", poor), ("b1", broke)], ("a1", "budget"), id="no money to climb"
        ),
        pytest.param(
            THREE, [("a1", down), ("a2", broke)], (None, "budget"), id="no money to step aside"
        ),
        pytest.param(
            OPEN, [("a1", reset), ("a1", broke)], (None, "budget"), id="no money to try again"
        ),
        pytest.param(THREE, [("a1", LATE)], (None, "deadline"), id="no time"),
        pytest.param(
            THREE, [("a1", poor), ("b1", LATE)], ("a1", "deadline"), id="no time to climb"
        ),
    ],
)
def test_cascade(plan: Plan, script: list[tuple[str, Reply]], kept: tuple[str | None, str]) -> None:
    assert play(plan, *script)[:2] == kept


def test_why_each_call_is_made() -> None:
    *_, rounds = play(
        THREE, ("a1", reset), ("a1", reset), ("a2", poorer), ("b1", down), ("c1", good)
    )
    told = [
        (r.cause.purpose, r.cause.why, r.cause.after and r.cause.after.model.name) for r in rounds
    ]
    assert told == [
        ("answer", "", None),
        ("retry", "reset", "a1"),
        ("fallback", "reset", "a1"),
        ("escalation", "complete", "a2"),
        ("fallback", "faulty", "b1"),
    ]
    assert all(r.checks.all == CHECKS for r in rounds)


def test_only_the_last_of_all_waits() -> None:
    *_, rounds = play(OPEN, ("a1", busy), ("a2", busy), ("b1", busy), ("b1", good))
    assert [r.wait_s for r in rounds] == [0, 0, 0, 3]


def test_an_error_is_told_with_the_verdict() -> None:
    strategy = carry_out(ALONE, CASCADE)
    wanted = next(strategy)
    with pytest.raises(StopIteration) as stop:
        strategy.send((Failed(wanted.calls[0], down),))
    assert stop.value.value.error is down
