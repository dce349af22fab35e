"""The life of a request, over fakes of the ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from gateway.core.chat import Extras, Usage
from gateway.core.errors import (
    BudgetExceeded,
    GatewayError,
    LedgerDown,
    NoAnswer,
    OutOfTime,
    Rejected,
    TimedOut,
    Unsuitable,
)
from gateway.core.events import (
    Denied,
    Escalated,
    FellBack,
    Judged,
    Replied,
    Settled,
)
from gateway.core.health import FEWEST, OPEN_S
from gateway.handle import Life
from tests.lives import (
    ANSWER,
    COUNTED,
    PROMPT,
    Turn,
    busy,
    faulty,
    hear,
    late,
    long_busy,
    poor,
    reset,
    says,
    silent,
    stage,
    told,
    unfit,
    well,
    whole,
    wrong,
)


@dataclass(frozen=True)
class Script:
    """Who says what, and what comes of it: `spent` in nano-dollars; `kept` is "model: text"."""

    asked: str
    turns: Mapping[str, Sequence[Turn]]
    kept: str | type[GatewayError]
    reason: str
    calls: str
    spent: int


SCRIPTS = {
    "an answer that need not be judged": Script(
        "open", {"a": [poor]}, "a: poor", "unjudged", "a", ANSWER
    ),
    "good enough": Script("judged", {"a": [well]}, "a: GOOD one", "passed", "a", ANSWER),
    "poor: up": Script(
        "judged", {"a": [poor], "c": [well]}, "c: GOOD one", "passed; a regex", "a c", 11 * ANSWER
    ),
    "failed: sideways": Script(
        "open", {"a": [faulty], "b": [well]}, "b: GOOD one", "unjudged; a faulty", "a b", ANSWER
    ),
    "failed and poor": Script(
        "judged",
        {"a": [faulty], "b": [poor], "c": [late], "d": [well]},
        "d: GOOD one",
        "passed; a faulty; b regex; c timed_out",
        "a b c d",
        ANSWER + 10 * PROMPT + 100 * ANSWER,
    ),
    "a rung is down: up": Script(
        "open",
        {"a": [faulty], "b": [faulty], "c": [well]},
        "c: GOOD one",
        "unjudged; a faulty; b faulty",
        "a b c",
        10 * ANSWER,
    ),
    "reset: once more": Script(
        "a", {"a": [reset, well]}, "a: GOOD one", "unjudged; a reset", "a a", ANSWER
    ),
    "reset twice: sideways": Script(
        "open",
        {"a": [reset, reset], "b": [well]},
        "b: GOOD one",
        "unjudged; a reset; a reset",
        "a a b",
        ANSWER,
    ),
    "nothing passes: the best": Script(
        "judged",
        {"a": [poor], "c": [poor], "d": [poor]},
        "d: poor",
        "best_effort; a regex; c regex",
        "a c d",
        111 * ANSWER,
    ),
    "poor, then down: what there is": Script(
        "judged",
        {"a": [poor], "c": [faulty], "d": [faulty]},
        "a: poor",
        "best_effort; a regex; c faulty",
        "a c d",
        ANSWER,
    ),
    "poor, then the client's fault": Script(
        "judged", {"a": [poor], "c": [wrong]}, "a: poor", "rejected; a regex", "a c", ANSWER
    ),
    "the client's fault": Script("open", {"a": [wrong]}, Rejected, "no such field", "a", 0),
    "too long for one, not for the next": Script(
        "open",
        {"a": [unfit], "b": [well]},
        "b: GOOD one",
        "unjudged; a unsuitable",
        "a b",
        ANSWER,
    ),
    "too long for all": Script(
        "open", {"a": [unfit], "b": [unfit], "c": [unfit]}, Unsuitable, "too long", "a b c", 0
    ),
    "all down": Script(
        "open",
        {"a": [faulty], "b": [faulty], "c": [faulty]},
        NoAnswer,
        "No model answered: a faulty; b faulty; 500",
        "a b c",
        0,
    ),
    "timed out: the prompt is billed": Script(
        "open", {"a": [late], "b": [well]}, "b: GOOD one", "unjudged; a timed_out", "a b", 25
    ),
    "no usage told: counted": Script(
        "open", {"a": [silent]}, "a: GOOD one", "unjudged", "a", COUNTED
    ),
    "busy, but another is not": Script(
        "open", {"a": [busy], "b": [well]}, "b: GOOD one", "unjudged; a throttled", "a b", ANSWER
    ),
    "busy and the last: waits": Script(
        "a", {"a": [busy, well]}, "a: GOOD one", "unjudged; a throttled", "a a", ANSWER
    ),
    "busy beyond the deadline": Script(
        "a", {"a": [long_busy]}, NoAnswer, "No model answered: slow down", "a", 0
    ),
    "the deadline": Script(
        "open",
        {"a": [Turn(error=TimedOut("late"), took_s=100)]},
        OutOfTime,
        "No model answered in time: late",
        "a",
        PROMPT,
    ),
    "the deadline of the last": Script(
        "a",
        {"a": [Turn(error=TimedOut("late"), took_s=120)]},
        OutOfTime,
        "No model answered in time: late",
        "a",
        PROMPT,
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_what_comes_of_it(script: Script, stream: bool) -> None:
    scene = stage(script.asked, script.turns, stream=stream)
    if isinstance(script.kept, str):
        reply, text = await hear(scene.life)
        assert f"{reply.candidate.model.name}: {text}" == script.kept
        assert reply.reason == script.reason
        assert isinstance(scene.events[-1], Replied)
        assert scene.life.tab.usage.completion > 0
    else:
        with pytest.raises(script.kept) as caught:
            await hear(scene.life)
        assert str(caught.value) == script.reason
        assert [event.code for event in told(scene, Denied)] == [caught.value.code]
    assert scene.upstream.asked == script.calls.split()
    assert [each.model for each in scene.life.tab.attempts] == script.calls.split()
    assert scene.life.tab.spent == script.spent
    await whole(scene)


async def test_what_only_the_whole_decides_is_held_also_when_streaming_was_asked_for() -> None:
    extras = Extras(checks=("complete",))
    scene = stage("judged", {"a": [well]}, stream=True, extras=extras)
    reply = await scene.life.answer()
    assert reply.deltas is None
    assert reply.completion is not None


async def test_what_is_told_of_a_climb_and_a_step_aside() -> None:
    scene = stage("judged", {"a": [faulty], "b": [poor], "c": [well]})
    await hear(scene.life)
    (climb,), (step,) = told(scene, Escalated), told(scene, FellBack)
    assert (climb.from_tier, climb.to_tier, climb.reason) == ("cheap", "mid", "regex")
    assert (step.from_model, step.to_model, step.reason) == ("a", "b", "faulty")
    assert [event.failed for event in told(scene, Judged)] == [("regex",), ()]
    assert [event.record.purpose for event in told(scene, Settled)] == [
        "answer",
        "fallback",
        "escalation",
    ]
    assert scene.life.tab.escalations == 1


async def test_the_last_candidate_is_waited_for_and_asked_within_the_deadline() -> None:
    scene = stage("a", {"a": [busy, well]}, extras=Extras(max_latency_ms=10_000))
    await hear(scene.life)
    assert scene.clock.slept == [2]
    assert scene.upstream.timeouts == [10, 7]  # a call takes a second


async def test_usage_is_that_of_the_answer_given_not_of_the_last_one() -> None:
    empty = Turn(("",), Usage(10, 1))
    checks = Extras(checks=("not_empty", "complete", "not_refused"))
    scene = stage("judged", {"a": [says("x")], "c": [empty], "d": [empty]}, extras=checks)
    reply, text = await hear(scene.life)
    assert (reply.candidate.model.name, text) == ("a", "x")
    assert scene.life.tab.usage == Usage(10, 5)


# Money refused -------------------------------------------------------------------------------


async def test_no_money_at_all() -> None:
    scene = stage("open", {}, budget=50)
    with pytest.raises(BudgetExceeded, match=r"tenant t, \$0.00000005 in total, has \$0.00000005"):
        await hear(scene.life)
    assert scene.upstream.asked == []
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_money_to_climb_keeps_the_answer_there_is(stream: bool) -> None:
    scene = stage("judged", {"a": [poor]}, budget=200, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.reason) == ("poor", "budget; a regex")
    assert scene.life.tab.escalations == 0, "a climb that was refused is none"
    assert told(scene, Escalated) == []
    assert scene.life.tab.budget_left == 200 - ANSWER
    await whole(scene)


async def test_a_ledger_that_is_down_at_first() -> None:
    scene = stage("open", {})
    scene.ledger.down_from = 1
    with pytest.raises(LedgerDown):
        await hear(scene.life)
    assert [event.code for event in told(scene, Denied)] == ["ledger_unavailable"]
    assert scene.upstream.asked == []
    await whole(scene)


async def test_a_ledger_that_goes_down_keeps_the_answer_there_is() -> None:
    scene = stage("judged", {"a": [poor]})
    scene.ledger.down_from = 2
    reply, text = await hear(scene.life)
    assert (text, reply.reason) == ("poor", "ledger_unavailable; a regex")
    await whole(scene)


@pytest.mark.parametrize(
    ("tags", "called", "reason"),
    [
        ({"use_case": "legal"}, ["d"], "unjudged; rule dear"),
        ({}, ["a", "b"], "agreed; rule short"),
    ],
)
async def test_the_first_rule_that_holds_says_what_is_climbed(
    tags: dict[str, str], called: list[str], reason: str
) -> None:
    scene = stage("ruled", {name: [well] for name in "abcd"}, tags=tags)
    reply, _ = await hear(scene.life)
    assert (scene.upstream.asked, reply.reason) == (called, reason)
    await whole(scene)


async def test_a_rung_is_asked_in_the_order_of_what_was_observed() -> None:
    scene = stage("ordered", {"a": [well], "b": [well]})
    for name, seconds in (("a@p", 3.0), ("b@p", 0.3)):
        for _ in range(20):
            scene.life.world.pace.call_started(name)
            scene.life.world.pace.call_ended(name, seconds)
    await hear(scene.life)
    assert scene.upstream.asked == ["b"]
    await whole(scene)


async def test_what_a_client_would_not_wait_for_is_left_out() -> None:
    scene = stage("open", {"b": [well]}, extras=Extras(max_latency_ms=1_000))
    for _ in range(20):
        scene.life.world.pace.call_started("a@p")
        scene.life.world.pace.call_ended("a@p", 3.0)
    await hear(scene.life)
    assert scene.upstream.asked == ["b"]
    await whole(scene)


async def test_a_plan_that_is_kept_is_not_for_those_in_trouble() -> None:
    scene = stage("open", {"a": [well, well], "b": [well]})
    await hear(scene.life)
    life, health = scene.life, scene.life.world.health
    for _ in range(FEWEST):
        health.failed("a@p", scene.clock.now)
    given = life.world, life.tenant, life.purse, life.request, life.about, life.ladder
    await hear(Life(*given, scene.clock.now))
    assert scene.upstream.asked == ["a", "b"]


async def test_plans_are_kept_where_a_circuit_may_be_tried_again() -> None:
    """Who is asked no more never closes its circuit: no plans are made anew for that."""
    scene = stage("open", {"a": [well, well], "b": []})
    life = scene.life
    for _ in range(FEWEST):
        life.world.health.failed("b@p", scene.clock.now)
    given = life.world, life.tenant, life.purse, life.request, life.about, life.ladder
    first, second = (Life(*given, scene.clock.now + OPEN_S) for _ in range(2))
    await hear(first)
    await hear(second)
    assert second.plan is first.plan
