"""Vote, arbitrate, repair, retry_cheap and hedge, fed outcomes by hand; and how they compose."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.core.catalog import CASCADE, Check, Deployment, Model, Tactic
from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.checks import Finding, checklist
from gateway.core.errors import Faulty, Rejected, Throttled, UpstreamError
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate, Plan, Rung
from gateway.core.strategies import OPTIONS, STRATEGIES, carry_out, fault, tactic
from gateway.core.strategies.progress import BUDGET, OUTRUN
from gateway.core.strategy import Answered, Failed, Outcome, Round, Stopped

CHECKS = (Check("complete"),)
DOWN = Faulty("500")
WRONG = Rejected("400")

Reply = str | UpstreamError | Stopped
"""A text that passes; one that begins with "!" does not, with "?" it is declined."""


def candidate(name: str) -> Candidate:
    """`a/p`: model a at provider p."""
    model, _, provider = name.partition("/")
    at = Deployment(name, provider or model, model)
    return Candidate(_model(model), at, "t", 9, Nanos(9), p95_s=0.7)


def _model(name: str) -> Model:
    return MODELS.setdefault(name, Model(name, (), FREE, 9, 9, 9))


MODELS: dict[str, Model] = {}


def plan(*rungs: str, checks: tuple[Check, ...] = CHECKS) -> Plan:
    return Plan(
        tuple(
            Rung(f"t{number}", tuple(map(candidate, names.split())), checklist(checks))
            for number, names in enumerate(rungs)
        )
    )


def outcome(call: Candidate, reply: Reply) -> Outcome:
    if isinstance(reply, UpstreamError):
        return Failed(call, reply)
    if isinstance(reply, Stopped):
        return Stopped(call, reply.why)
    check = {"!": "complete", "?": "not_refused"}.get(reply[:1])
    findings = (Finding(check, "why"),) if check else ()
    text = reply.lstrip("!?")
    called: tuple[ToolCall, ...] = ()
    if text.startswith("call "):
        _, name, arguments = text.split(" ", 2)
        called, text = (ToolCall("id", name, arguments),), ""
    whole = Completion((Choice(text=text, tool_calls=called),))
    return Answered(call, whole, findings=findings)


def play(
    over: Plan, chosen: Tactic, *script: Mapping[str, Reply]
) -> tuple[tuple[str, str] | None, str, list[Round]]:
    """Each round as {deployment: what it answers}, which must be just those asked, in order."""
    strategy = carry_out(over, chosen)
    rounds: list[Round] = []
    try:
        wanted = next(strategy)
        for turn in script:
            rounds.append(wanted)
            names = [call.deployment.name for call in wanted.calls]
            assert names == list(turn), f"round {len(rounds)} asks {names}"
            wanted = strategy.send(tuple(map(outcome, wanted.calls, turn.values())))
        pytest.fail(f"asks {[c.deployment.name for c in wanted.calls]} beyond the script")
    except StopIteration as stop:
        assert len(rounds) == len(script), f"never asked: {script[len(rounds) :]}"
        verdict = stop.value
        answer = verdict.answer
        kept = (
            None
            if answer is None
            else (answer.candidate.deployment.name, answer.completion.first.text)
        )
        return kept, verdict.why, rounds


TWO = plan("a/p b/q c/p", "m", "s")
VOTE, THREE = tactic("vote"), tactic("vote", {"voters": 3, "need": 2})


@pytest.mark.parametrize(
    ("over", "chosen", "script", "kept"),
    [
        pytest.param(
            TWO, VOTE, [{"a/p": "42", "b/q": "42."}], (("a/p", "42"), "agreed"), id="two agree"
        ),
        pytest.param(
            TWO,
            VOTE,
            [{"a/p": "42", "b/q": "43"}, {"m": "43"}],
            (("m", "43"), "passed"),
            id="two disagree: the next rung decides",
        ),
        pytest.param(
            TWO,
            VOTE,
            [{"a/p": "42", "b/q": DOWN}, {"c/p": "42"}],
            (("a/p", "42"), "agreed"),
            id="who fails is replaced",
        ),
        pytest.param(
            plan("a/p b/q", "m"),
            VOTE,
            [{"a/p": "42", "b/q": DOWN}, {"m": "7"}],
            (("m", "7"), "passed"),
            id="a lone vote is not enough",
        ),
        pytest.param(
            plan("a/p b/q", "m"),
            tactic("vote", {"lone": "accept"}),
            [{"a/p": DOWN, "b/q": "42"}],
            (("b/q", "42"), "lone_vote"),
            id="a lone vote, where it is accepted",
        ),
        pytest.param(
            plan("a/p b/q", "m"),
            tactic("vote", {"lone": "accept"}),
            [{"a/p": "!x", "b/q": "!x"}, {"m": "1"}],
            (("m", "1"), "passed"),
            id="a vote that does not pass is none",
        ),
        pytest.param(
            TWO,
            VOTE,
            [{"a/p": "42", "b/q": WRONG}],
            (("a/p", "42"), "rejected"),
            id="the client's fault ends it, with what there is",
        ),
        pytest.param(
            plan("a/p c/p b/q"),
            THREE,
            [{"a/p": "1", "b/q": "2", "c/p": "2"}],
            (("b/q", "2"), "agreed"),
            id="two of three; vendors first",
        ),
        pytest.param(
            plan("a/p b/q c/r", "m"),
            THREE,
            [{"a/p": "1", "b/q": "2", "c/r": "3"}, {"m": "2"}],
            (("m", "2"), "passed"),
            id="three ways",
        ),
        pytest.param(
            plan("a/p b/q c/r", "m"),
            THREE,
            [{"a/p": "1", "b/q": DOWN, "c/r": "1"}],
            (("a/p", "1"), "agreed"),
            id="two are left, and agree",
        ),
        pytest.param(
            plan("a/p a/q", "m"),
            VOTE,
            [{"a/p": "x"}],
            (("a/p", "x"), "passed"),
            id="one model twice is no electorate: it cascades",
        ),
        pytest.param(Plan(()), VOTE, [], (None, "exhausted"), id="nobody at all"),
        pytest.param(
            plan("a/p b/q"),
            VOTE,
            [{"a/p": "1", "b/q": "2"}],
            (("a/p", "1"), "best_effort"),
            id="nobody decides: the first",
        ),
        pytest.param(
            TWO,
            VOTE,
            [{"a/p": "x" * 80, "b/q": "x" * 80}, {"m": "y"}],
            (("m", "y"), "passed"),
            id="what cannot be compared does not agree",
        ),
        pytest.param(
            TWO,
            tactic("arbitrate"),
            [{"a/p": 'call f {"n":1,"s":"Ab"}', "b/q": 'call f {"s":"ab.","n":1.0,"o":null}'}],
            (("a/p", ""), "agreed"),
            id="tool calls that mean the same",
        ),
        pytest.param(
            TWO,
            tactic("arbitrate"),
            [{"a/p": 'call f {"n":1}', "b/q": "I cannot"}, {"m": 'call f {"n":1}'}],
            (("m", ""), "passed"),
            id="one calls, one does not",
        ),
        pytest.param(
            TWO,
            tactic("retry_cheap", {"tries": 3}),
            [{"a/p": "!x"}, {"a/p": "!x"}, {"a/p": "y"}],
            (("a/p", "y"), "passed"),
            id="the third try",
        ),
        pytest.param(
            TWO,
            tactic("retry_cheap", {"tries": 2}),
            [{"a/p": "!x"}, {"a/p": "!x"}, {"m": "y"}],
            (("m", "y"), "passed"),
            id="no try left: up",
        ),
        pytest.param(
            TWO,
            tactic("retry_cheap", {"tries": 2}),
            [{"a/p": DOWN}, {"b/q": "!x"}, {"b/q": "y"}],
            (("b/q", "y"), "passed"),
            id="it is down: its equal is tried",
        ),
        pytest.param(
            plan("a/p", checks=()),
            tactic("retry_cheap"),
            [{"a/p": "x"}],
            (("a/p", "x"), "unjudged"),
            id="nothing to judge by: once",
        ),
        pytest.param(
            TWO,
            tactic("repair"),
            [{"a/p": "!x"}, {"a/p": "y"}],
            (("a/p", "y"), "passed"),
            id="repaired",
        ),
        pytest.param(
            TWO,
            tactic("repair", {"times": 2}),
            [{"a/p": "!x"}, {"a/p": "!x"}, {"a/p": "!x"}, {"m": "y"}],
            (("m", "y"), "passed"),
            id="beyond repair: up",
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": "x", "b/q": Stopped(candidate("b/q"), OUTRUN)}],
            (("a/p", "x"), "passed"),
            id="the first in time",
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": Stopped(candidate("a/p"), OUTRUN), "b/q": "y"}],
            (("b/q", "y"), "passed"),
            id="the second is faster",
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": DOWN, "b/q": DOWN}, {"c/p": "z"}],
            (("c/p", "z"), "passed"),
            id="both down: the rest of the rung",
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": "!x", "b/q": DOWN}, {"m": "z"}],
            (("m", "z"), "passed"),
            id="a poor answer climbs",
        ),
        pytest.param(
            plan("a/p"), tactic("hedge"), [{"a/p": "x"}], (("a/p", "x"), "passed"), id="alone"
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": Stopped(candidate("a/p"), "ledger_unavailable"), "b/q": "y"}],
            (("b/q", "y"), "passed"),
            id="a good answer is given though the first was not held",
        ),
        pytest.param(
            TWO,
            tactic("hedge"),
            [{"a/p": WRONG, "b/q": "!y"}],
            (("b/q", "y"), "rejected"),
            id="so is a poor one, when the first was the client's fault",
        ),
        pytest.param(
            TWO,
            tactic("vote"),
            [{"a/p": WRONG, "b/q": "y"}],
            (("b/q", "y"), "rejected"),
            id="a vote that was paid for is given",
        ),
        pytest.param(
            plan("a/p b/q", "c/r d/s", "s"),
            tactic("vote", then=tactic("vote")),
            [{"a/p": "1", "b/q": "2"}, {"c/r": "3", "d/s": "3"}],
            (("c/r", "3"), "agreed"),
            id="a vote, then a vote",
        ),
        pytest.param(
            plan("a/p b/q", "m", "s"),
            tactic("repair", then=tactic("retry_cheap", {"tries": 2})),
            [{"a/p": "!1"}, {"a/p": "!1"}, {"m": "!2"}, {"m": "!2"}, {"s": "3"}],
            (("s", "3"), "passed"),
            id="repair, then retry, then cascade",
        ),
        pytest.param(
            plan("a/p b/p c/q", "m"),
            CASCADE,
            [{"a/p": "?no"}, {"c/q": "yes"}],
            (("c/q", "yes"), "passed"),
            id="declined: another vendor first",
        ),
        pytest.param(
            plan("a/p b/p c/q d/r", "m"),
            CASCADE,
            [{"a/p": "?no"}, {"c/q": "?no"}, {"d/r": "?no"}, {"m": "yes"}],
            (("m", "yes"), "passed"),
            id="every vendor declines: up",
        ),
        pytest.param(
            plan("a/p b/p", "m"),
            CASCADE,
            [{"a/p": "?no"}, {"m": "yes"}],
            (("m", "yes"), "passed"),
            id="declined, and no other vendor: up",
        ),
        pytest.param(
            plan("a/p b/q c/p d/r", "m"),
            VOTE,
            [{"a/p": "?no", "b/q": "42"}, {"d/r": "42"}],
            (("b/q", "42"), "agreed"),
            id="a voter declines: another vendor votes",
        ),
        pytest.param(
            plan("a/p b/q c/p", "m"),
            VOTE,
            [{"a/p": "?no", "b/q": "42"}, {"m": "43"}],
            (("m", "43"), "passed"),
            id="a voter declines, and no other vendor: up",
        ),
        pytest.param(
            plan("a/p b/q c/r", "m"),
            VOTE,
            [{"a/p": "?no", "b/q": DOWN}, {"c/r": "1"}, {"m": "2"}],
            (("m", "2"), "passed"),
            id="one declines and one fails: both are replaced while there is somebody",
        ),
        pytest.param(
            plan("a/p b/q", "m/p n/q", "s"),
            tactic("vote", {"join": True}),
            [{"a/p": "1", "b/q": "2"}, {"m/p": "?no"}, {"n/q": "2"}],
            (("b/q", "2"), "agreed"),
            id="who joins declines: another vendor joins",
        ),
        pytest.param(
            plan("a/p b/p c/q", "m"),
            tactic("repair"),
            [{"a/p": "?no"}, {"c/q": "!1"}, {"c/q": "2"}],
            (("c/q", "2"), "passed"),
            id="declined: nothing to repair, another vendor first",
        ),
        pytest.param(
            plan("a/p b/p", "m"),
            tactic("repair"),
            [{"a/p": "?no"}, {"a/p": "yes"}],
            (("a/p", "yes"), "passed"),
            id="declined, and no other vendor: it is told",
        ),
        pytest.param(
            plan("a/p b/q", "m"),
            tactic("retry_cheap", {"tries": 2}),
            [{"a/p": "?no"}, {"b/q": "?no"}, {"b/q": "?no"}, {"m": "yes"}],
            (("m", "yes"), "passed"),
            id="declined: another vendor has all tries",
        ),
        pytest.param(
            plan("a/p b/q c/q d/r", "m"),
            tactic("hedge"),
            [{"a/p": "?no", "b/q": "?no"}, {"d/r": "yes"}],
            (("d/r", "yes"), "passed"),
            id="both runners decline: another vendor of the rung",
        ),
        pytest.param(
            plan("a/p b/q c/r", "m"),
            tactic("hedge"),
            [{"a/p": "?no", "b/q": "!1"}, {"m": "yes"}],
            (("m", "yes"), "passed"),
            id="one declines, another vendor's answer is poor: up",
        ),
    ],
)
def test_a_strategy(
    over: Plan, chosen: Tactic, script: Sequence[Mapping[str, Reply]], kept: Any
) -> None:
    assert play(over, chosen, *script)[:2] == kept


@pytest.mark.parametrize(
    ("over", "chosen", "script", "told"),
    [
        (
            TWO,
            VOTE,
            [{"a/p": "1", "b/q": DOWN}, {"c/p": "2"}, {"m": "2"}],
            [
                ("vote", "", True, None),
                ("fallback", "faulty", True, None),
                ("arbitration", "disagreed", False, None),
            ],
        ),
        (
            TWO,
            tactic("repair"),
            [{"a/p": "!1"}, {"a/p": "!1"}, {"m": "2"}],
            [
                ("answer", "", False, None),
                ("retry", "complete", False, None),
                ("escalation", "complete", False, None),
            ],
        ),
        (
            TWO,
            tactic("hedge", {"after_ms": 90}),
            [{"a/p": DOWN, "b/q": "1"}],
            [("answer", "", False, 0.09)],
        ),
        (TWO, tactic("hedge"), [{"a/p": DOWN, "b/q": "1"}], [("answer", "", False, 0.7)]),
        (
            plan("a/p b/q", "m"),
            CASCADE,
            [{"a/p": "?no"}, {"b/q": "?no"}, {"m": "1"}],
            [
                ("answer", "", False, None),
                ("fallback", "not_refused", False, None),
                ("escalation", "not_refused", False, None),
            ],
        ),
        (
            plan("a/p b/q c/r", "m"),
            VOTE,
            [{"a/p": "?no", "b/q": "1"}, {"c/r": "2"}, {"m": "2"}],
            [
                ("vote", "", True, None),
                ("fallback", "not_refused", True, None),
                ("arbitration", "disagreed", False, None),
            ],
        ),
        (
            TWO,
            tactic("vote", {"agree": "number"}),
            [{"a/p": "one", "b/q": "2"}, {"m": "2"}],
            [("vote", "", True, None), ("arbitration", "incomparable", False, None)],
        ),
        (
            plan("a/p b/q c/r", "m"),
            tactic("hedge"),
            [{"a/p": "?no", "b/q": "?no"}, {"c/r": "!1"}, {"m": "1"}],
            [
                ("answer", "", False, 0.7),
                ("fallback", "not_refused", False, None),
                ("escalation", "complete", False, None),
            ],
        ),
        *(
            (
                plan("a/p b/q", "m"),
                chosen,
                [{"a/p": "?no"}, {"b/q": Stopped(candidate("b/q"), BUDGET)}, {"m": "1"}],
                [
                    ("answer", "", False, None),
                    ("fallback", "not_refused", False, None),
                    ("escalation", "not_refused", False, None),  # nobody failed
                ],
            )
            for chosen in (CASCADE, tactic("repair"))
        ),
        (
            plan("a/p b/q", "m/p n/q", "s"),
            tactic("vote", {"join": True}),
            [
                {"a/p": "1", "b/q": "2"},
                {"m/p": "?no"},
                {"n/q": Stopped(candidate("n/q"), BUDGET)},
                {"s": "1"},
            ],
            [
                ("vote", "", True, None),
                ("arbitration", "disagreed", True, None),
                ("fallback", "not_refused", True, None),
                ("escalation", "not_refused", False, None),
            ],
        ),
        (
            plan("a/p b/q c/r", "m"),
            VOTE,
            [
                {"a/p": "!1", "b/q": Stopped(candidate("b/q"), BUDGET)},
                {"b/q": "1", "c/r": "2"},
                {"m": "2"},
            ],
            [
                ("vote", "", True, None),
                ("fallback", "complete", True, None),  # of the same rung: it is no step up
                ("arbitration", "disagreed", False, None),
            ],
        ),
        (
            plan("a/p", "m/p n/q"),
            tactic("retry_cheap", {"tries": 2}, tactic("hedge")),
            [
                {"a/p": "?no"},
                {"a/p": "?no"},
                {name: Stopped(candidate(name), BUDGET) for name in ("m/p", "n/q")},
                {"m/p": "1"},
            ],
            [
                ("answer", "", False, None),
                ("retry", "not_refused", False, None),
                ("escalation", "not_refused", False, 0.7),
                ("escalation", "not_refused", False, None),
            ],
        ),
    ],
)
def test_why_each_call_is_made(
    over: Plan, chosen: Tactic, script: Sequence[Mapping[str, Reply]], told: list[Any]
) -> None:
    *_, rounds = play(over, chosen, *script)
    assert [(r.cause.purpose, r.cause.why, r.buffered, r.stagger_s) for r in rounds] == told
    assert not any(r.is_retry for r in rounds), "none of these draws on the retry budget"


def test_a_failed_call_that_is_made_again_draws_on_the_retry_budget() -> None:
    busy = Throttled("429", retry_after=3)
    *_, rounds = play(plan("a/p"), CASCADE, {"a/p": busy}, {"a/p": "1"})
    assert [(r.is_retry, r.wait_s) for r in rounds] == [(False, 0.0), (True, 3.0)]


def test_a_finding_goes_back_to_who_was_found_wanting() -> None:
    *_, rounds = play(TWO, tactic("repair"), {"a/p": "!half"}, {"a/p": "!more"}, {"m": "whole"})
    assert rounds[0].messages == rounds[2].messages == ()
    answer, asked = rounds[1].messages
    assert answer == {"role": "assistant", "content": "half"}
    assert asked["role"] == "user"
    assert "- complete: why" in asked["content"]


@pytest.mark.parametrize(("show", "drafts"), [(False, 0), (True, 2)])
def test_who_decides_sees_the_votes_or_does_not(show: bool, drafts: int) -> None:
    chosen = tactic("vote", {"show_votes": show})
    *_, rounds = play(TWO, chosen, {"a/p": "one", "b/q": "two"}, {"m": "three"})
    said = "".join(message["content"] for message in rounds[1].messages)
    assert said.count("Draft ") == drafts


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("cascade", {}, None),
        ("vote", {"voters": 3, "need": 3, "agree": "number"}, None),
        ("vote", {"need": 3}, "vote: need must not be more than voters"),
        ("vote", {"voters": 4}, "vote: voters must be 2 or 3: how many models are asked at once"),
        ("vote", {"pointers": ("answer",)}, "vote: pointers must be JSON pointers"),
        ("arbitrate", {"agree": "tools"}, 'arbitrate has no option "agree"'),
        ("cascade", {"voters": 2}, 'cascade has no option "voters"; it has none'),
        ("guess", {}, 'there is no strategy "guess"; there are arbitrate, cascade'),
        ("hedge", {"after_ms": 0}, "hedge: after_ms must be milliseconds from 1"),
    ],
)
def test_a_strategy_that_cannot_be(
    name: str, options: Mapping[str, Any], wrong: str | None
) -> None:
    found = fault(name, options)
    assert (found is None) == (wrong is None), found
    assert (found or "").startswith(wrong or "")


def test_every_strategy_has_options_and_defaults_that_are_allowed() -> None:
    assert set(OPTIONS) == set(STRATEGIES)
    for name, known in OPTIONS.items():
        assert fault(name, {key: option.default for key, option in known.items()}) is None
