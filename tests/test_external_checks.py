"""Checks that ask somebody, in the life of a request: a test runner, and a model that judges."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.core.catalog import Catalog, Check, Route, Tier, TierModel
from gateway.core.chat import Completion
from gateway.core.checks.external import NoVerdict
from gateway.core.checks.finding import Finding
from gateway.core.errors import Faulty, TimedOut
from gateway.core.events import Dropped, Judged, Settled
from gateway.core.health import FEWEST
from gateway.core.strategies import tactic
from tests.lives import (
    ANSWER,
    CATALOG,
    Stage,
    Turn,
    hear,
    poor,
    says,
    stage,
    told,
    well,
    whole,
)

HOOK = Check("webhook", {"url": "http://h"})
JUDGE = Check("judge", {"model": "b", "rubric": "It is right."})
GOOD_ONE = "GOOD one"
GOOD = Check("regex", {"pattern": "GOOD"})
passes = says('{"pass": true}')
fails = says('{"pass": false, "why": "It is wrong."}')
rambles = says("Well, who knows?")
broken = Turn(error=Faulty("500"))


def policy(check: Check, on_failure: str) -> Check:
    return Check(check.name, {**check.options, "on_failure": on_failure})


@dataclass
class FakeRunner:
    """As slow as the truth. `verdicts` by the answer's text: a finding, nothing, or no verdict."""

    verdicts: Mapping[str, str | NoVerdict | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    hangs: bool = False

    async def __call__(
        self, check: Check, answer: Completion, request_id: str, *, timeout_s: float
    ) -> Finding | None:
        text = answer.first.text or ""
        self.asked.append(text)
        self.timeouts.append(timeout_s)
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        verdict = self.verdicts.get(text)
        if isinstance(verdict, NoVerdict):
            raise verdict
        return Finding(check.name, verdict) if verdict else None


def examined(
    checks: tuple[Check, ...],
    turns: Mapping[str, Sequence[Turn]],
    runner: FakeRunner | None = None,
    *,
    stream: bool = False,
    budget: int = 10**6,
    far: str = "",
) -> Stage:
    """The first rung is model a alone, then c. Model b judges."""
    tiers = {"first": Tier("first", (TierModel("a"),)), "second": Tier("second", (TierModel("c"),))}
    routes = {"examined": Route("examined", tuple(tiers), checks=checks, timeout_s=100)}
    catalog = Catalog(CATALOG.models, tiers, routes)
    return stage(
        "examined",
        turns,
        stream=stream,
        budget=budget,
        far=far,
        catalog=catalog,
        runner=runner or FakeRunner(),
    )


@dataclass(frozen=True)
class Script:
    """Who says what, and what comes of it: the models asked, and what was found each time."""

    checks: tuple[Check, ...]
    turns: Mapping[str, Sequence[Turn]]
    kept: str
    reason: str
    calls: str
    failed: tuple[tuple[str, ...], ...] = ((),)
    runner: Mapping[str, str | NoVerdict | None] = field(default_factory=dict)


NONE = NoVerdict("timed_out")
SCRIPTS = {
    "a runner that passes": Script((HOOK,), {"a": [well]}, "a", "passed", "a"),
    "a runner that fails": Script(
        (HOOK,),
        {"a": [poor], "c": [well]},
        "c",
        "passed; a webhook",
        "a c",
        (("webhook",), ()),
        {"poor": "red"},
    ),
    "no verdict is skipped": Script(
        (HOOK,), {"a": [well]}, "a", "unjudged", "a", (), {GOOD_ONE: NONE}
    ),
    "no verdict is skipped beside what is at hand": Script(
        (GOOD, HOOK), {"a": [well]}, "a", "passed", "a", ((),), {GOOD_ONE: NONE}
    ),
    "one verdict of two": Script(
        (HOOK, JUDGE),
        {"a": [well], "b": [passes]},
        "a",
        "passed",
        "a b",
        ((),),
        {GOOD_ONE: NONE},
    ),
    "no verdict passes": Script(
        (policy(HOOK, "pass"),), {"a": [well]}, "a", "passed", "a", ((),), {GOOD_ONE: NONE}
    ),
    "no verdict fails": Script(
        (policy(HOOK, "fail"),),
        {"a": [well], "c": [says("c")]},
        "c",
        "passed; a webhook",
        "a c",
        (("webhook",), ()),
        {GOOD_ONE: NONE},
    ),
    "what fails at hand is not shown": Script(
        (GOOD, HOOK, JUDGE),
        {"a": [poor], "b": [passes], "c": [well]},
        "c",
        "passed; a regex",
        "a c b",
        (("regex",), (), ()),
        {"poor": "red"},
    ),
    "a judge that passes": Script((JUDGE,), {"a": [well], "b": [passes]}, "a", "passed", "a b"),
    "a judge that fails": Script(
        (JUDGE,),
        {"a": [well], "b": [fails, passes], "c": [well]},
        "c",
        "passed; a judge",
        "a b c b",
        (("judge",), ()),
    ),
    "a judge that rambles is skipped": Script(
        (JUDGE,), {"a": [well], "b": [rambles]}, "a", "unjudged", "a b", ()
    ),
    "a judge that is down fails, if so configured": Script(
        (policy(JUDGE, "fail"),),
        {"a": [well], "b": [broken, passes], "c": [well]},
        "c",
        "passed; a judge",
        "a b c b",
        (("judge",), ()),
    ),
    "a judge that is not in the catalog": Script(
        (Check("judge", {"model": "gone", "rubric": "x"}),), {"a": [well]}, "a", "unjudged", "a", ()
    ),
    "nothing passes": Script(
        (JUDGE,),
        {"a": [well], "b": [fails, fails], "c": [well]},
        "c",
        "best_effort; a judge",
        "a b c b",
        (("judge",), ("judge",)),
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_what_comes_of_it(script: Script, stream: bool) -> None:
    runner = FakeRunner(script.runner)
    scene = examined(script.checks, script.turns, runner, stream=stream)
    reply, _ = await hear(scene.life)
    assert (reply.candidate.model.name, reply.reason) == (script.kept, script.reason)
    assert reply.deltas is None, "what others judge is held until whole"
    assert scene.upstream.asked == script.calls.split()
    assert tuple(event.failed for event in told(scene, Judged)) == script.failed
    await whole(scene)


async def test_a_judge_is_paid_as_an_audit_and_is_no_answer() -> None:
    scene = examined((JUDGE,), {"a": [well], "b": [passes]})
    _, text = await hear(scene.life)
    assert text == GOOD_ONE
    assert [event.record.purpose for event in told(scene, Settled)] == ["answer", "audit"]
    assert scene.life.tab.spent == 2 * ANSWER
    assert scene.life.tab.usage.completion == 5
    assert scene.ledger.requests == [1, 0], "a judge's call is not the client's request"
    system, user = scene.upstream.requests[1].json("messages")
    assert "It is right." in system["content"]
    assert GOOD_ONE in user["content"]
    assert scene.life.world.factors.of("b") is None, "its prompt is not the client's"
    await whole(scene)


async def test_no_money_for_a_judge_is_no_verdict() -> None:
    for check, reason in ((JUDGE, "unjudged"), (policy(JUDGE, "fail"), "budget; a judge")):
        scene = examined((check,), {"a": [well]}, budget=200)
        reply, _ = await hear(scene.life)
        assert reply.reason == reason
        assert scene.upstream.asked == ["a"]
        await whole(scene)


async def test_both_are_asked_at_once_and_for_as_long_as_configured() -> None:
    hook = Check("webhook", {"url": "http://h", "timeout_ms": 70_000})
    runner = FakeRunner()
    scene = examined((hook, JUDGE), {"a": [well], "b": [passes]}, runner, far="send")
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    scene.far.where = ""
    scene.far.gate.set()
    await task
    assert runner.timeouts == [70.0]
    assert scene.upstream.timeouts[1] == 10.0
    await whole(scene)


async def test_a_judge_that_takes_longer_than_it_is_waited_for_has_not_failed() -> None:
    """It may be the smart model of everybody: a short `timeout_ms` must not close it to them."""
    judge = Check("judge", {"model": "b", "rubric": "It is right.", "timeout_ms": 1_000})
    late = Turn(error=TimedOut("late"))
    scene = examined((judge,), {"a": [well], "b": [late]})
    world = scene.life.world
    for _ in range(FEWEST * 4):
        world.pace.call_started("b@p")
        world.pace.call_ended("b@p", 2.0)
    for _ in range(FEWEST - 1):
        world.health.failed("b@p", scene.clock.now)
    await hear(scene.life)
    assert scene.upstream.asked == ["a", "b"]
    assert scene.health == []
    await whole(scene)


async def test_nobody_is_asked_beyond_the_deadline() -> None:
    slow = Turn(("GOOD ", "one"), says().usage, took_s=95.0)
    hook = Check("webhook", {"url": "http://h", "timeout_ms": 60_000})
    runner = FakeRunner()
    scene = examined((hook,), {"a": [slow]}, runner)
    await hear(scene.life)
    assert runner.timeouts == [5.0]
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("judge", [Turn(stalls=True), passes])
async def test_a_client_that_leaves_while_others_judge(judge: Turn, stream: bool) -> None:
    runner = FakeRunner(hangs=True)
    scene = examined((HOOK, JUDGE), {"a": [well], "b": [judge]}, runner, stream=stream)
    task = asyncio.create_task(hear(scene.life))
    while len(scene.upstream.asked) < 2 or not runner.asked:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(scene.events[-1], Dropped)
    await whole(scene)


async def test_a_bug_while_others_judge_ends_the_life() -> None:
    scene = examined((JUDGE,), {"a": [well], "b": [Turn(error=RuntimeError("a bug"))]})
    with pytest.raises(RuntimeError, match="a bug"):
        await hear(scene.life)
    await whole(scene)


async def test_a_judge_whose_answer_is_outrun_is_outrun() -> None:
    """Its client did not leave."""
    stalls = Turn(stalls=True)
    turns = {"a": [well], "b": [well], "c": [stalls, passes]}
    tiers = {"pair": Tier("pair", (TierModel("a"), TierModel("b")))}
    judge = Check("judge", {"model": "c", "rubric": "It is right."})
    hedge = tactic("hedge", {"after_ms": 1})
    route = Route("examined", ("pair",), strategy=hedge, checks=(judge,), timeout_s=100)
    catalog = Catalog(CATALOG.models, tiers, {"examined": route})
    scene = stage("examined", turns, catalog=catalog, runner=FakeRunner())
    reply, _ = await hear(scene.life)
    assert reply.reason == "passed"
    ends = [(each.record.purpose, each.record.outcome) for each in told(scene, Settled)]
    assert sorted(ends) == [
        ("answer", "ok"),
        ("answer", "ok"),
        ("audit", "ok"),
        ("audit", "outrun"),
    ]
    await whole(scene)


async def test_a_stream_is_cut_before_others_are_asked() -> None:
    runner = FakeRunner()
    checks = (Check("length", {"max_words": 2}), HOOK)
    scene = examined(checks, {"a": [says(*["x "] * 9)], "c": [well]}, runner, stream=True)
    reply, _ = await hear(scene.life)
    assert (reply.candidate.model.name, reply.reason) == ("c", "passed; a length")
    assert runner.asked == [GOOD_ONE]
    await whole(scene)


async def test_whoever_judges_is_waited_for_however_often_a_life_is_cancelled() -> None:
    """Also where another of them has met a bug: what is asked of them is settled first."""
    leaving, left = asyncio.Event(), asyncio.Event()
    ended: list[bool] = []

    class Slow(FakeRunner):
        async def __call__(
            self, check: Check, answer: Completion, request_id: str, *, timeout_s: float
        ) -> Finding | None:
            try:
                await asyncio.Event().wait()
            finally:
                leaving.set()
                await left.wait()
                ended.append(True)
            return None

    bug = Turn(error=RuntimeError("a bug"))
    scene = examined((HOOK, JUDGE), {"a": [well], "b": [bug]}, Slow())
    task = asyncio.create_task(hear(scene.life))
    await leaving.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    left.set()
    with pytest.raises((asyncio.CancelledError, RuntimeError)):
        await task
    assert ended == [True]
    await whole(scene)
