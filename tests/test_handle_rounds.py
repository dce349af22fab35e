"""Rounds of several calls in the life of a request: votes and races, streamed and not."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from msgspec import structs

from gateway.core.accounts import Account, Amounts
from gateway.core.catalog import Budget, Route
from gateway.core.chat import Extras
from gateway.core.errors import Faulty, LedgerDown, RateLimited
from gateway.core.events import Dropped, Replied, Reserved, Settled
from gateway.core.money import Nanos
from gateway.core.pace import LatencyTracker
from gateway.core.plan import Candidate
from gateway.core.strategies import tactic
from gateway.core.strategy import Cause, Outcome, Round, Stopped
from gateway.rounds import run_round
from tests.lives import (
    ANSWER,
    CATALOG,
    PROMPT,
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

other = says("BAD")
slow = Turn(stalls=True)
unsent = Turn(stalls=True, connects=False)
broken = Turn(error=Faulty("500"))


@pytest.mark.parametrize("stream", [False, True])
async def test_votes_that_agree(stream: bool) -> None:
    scene = stage("vote", {"a": [well], "b": [well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.reason, reply.candidate.model.name) == ("GOOD one", "agreed", "a")
    assert reply.completion is not None, "an answer that is compared does not flow"
    assert [event.record.purpose for event in told(scene, Settled)] == ["vote", "vote"]
    assert scene.life.tab.spent == 2 * ANSWER
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_votes_that_do_not_agree(stream: bool) -> None:
    scene = stage("vote", {"a": [well], "b": [other], "c": [well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", "c")
    assert (reply.deltas is not None) == stream, "who decides alone may flow"
    purposes = [event.record.purpose for event in told(scene, Settled)]
    assert purposes == ["vote", "vote", "arbitration"]
    await whole(scene)


@pytest.mark.parametrize(
    ("asked", "a", "b"), [("vote", well, well), ("vote", well, broken), ("hedge", slow, well)]
)
async def test_what_is_left_is_told_without_what_was_held_for_the_other(
    asked: str, a: Turn, b: Turn
) -> None:
    scene = stage(asked, {"a": [a], "b": [b], "c": [well]})
    await hear(scene.life)
    assert scene.life.tab.budget_left == 10**6 - scene.life.tab.spent
    await whole(scene)


async def test_a_request_is_counted_once_however_many_calls_it_makes() -> None:
    scene = stage("vote", {"a": [well], "b": [other], "c": [well]})
    await hear(scene.life)
    assert sorted(scene.ledger.requests) == [0, 0, 1]


@pytest.mark.parametrize("asked", ["hedge", "judged-hedge"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("a", "b", "wins"), [(slow, well, "b"), (broken, well, "b"), (unsent, well, "b")]
)
async def test_a_race(asked: str, stream: bool, a: Turn, b: Turn, wins: str) -> None:
    scene = stage(asked, {"a": [a], "b": [b]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", wins)
    settled = {event.record.model: event.record for event in told(scene, Settled)}
    assert settled["a"].purpose == settled["b"].purpose == "answer"
    assert settled["a"].cost == (PROMPT if a is slow else 0), "who was outrun is paid, too"
    assert (a is broken) == (settled["a"].outcome != "outrun")
    assert len(told(scene, Replied)) == 1
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (poor, well, "passed; a regex"),
        (broken, well, "passed; a faulty"),
        (slow, well, "passed"),
        (poor, broken, "passed; b faulty"),
        (poor, poor, "passed; b regex"),
    ],
)
async def test_who_lost_a_race_is_told(a: Turn, b: Turn, reason: str, stream: bool) -> None:
    """Once, also where nobody won."""
    scene = stage("judged-hedge", {"a": [a], "b": [b], "c": [well]}, stream=stream)
    reply, _ = await hear(scene.life)
    assert reply.reason == reason
    await whole(scene)


async def test_the_first_is_fast_enough() -> None:
    """The second's turn would come: but nobody is asked that need not be."""
    scene = stage("hedge", {"a": [well], "b": [well]}, far="sleep")
    _, text = await hear(scene.life)
    assert (text, scene.upstream.asked) == ("GOOD one", ["a"])
    await whole(scene)


@pytest.mark.parametrize(
    ("asked", "extras"), [("hedge", Extras()), ("open", Extras(strategy="hedge"))]
)
async def test_the_second_begins_when_the_first_takes_longer_than_it_was_seen_to(
    asked: str, extras: Extras
) -> None:
    """Whoever names the strategy."""
    scene = stage(asked, {"a": [slow], "b": [well]}, extras=extras)
    for _ in range(20):
        scene.life.world.pace.call_started("a@p")
        scene.life.world.pace.call_ended("a@p", 0.3)
    await hear(scene.life)
    assert [0.3 < slept < 0.4 for slept in scene.clock.slept] == [True]
    await whole(scene)


async def when_asked(scene: Stage, seconds: float) -> None:
    """Time passes once the first has been asked."""
    while not scene.upstream.asked:
        await asyncio.sleep(0)
    await scene.clock.sleep(seconds)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_is_always_outrun_is_not_asked_first_for_ever(stream: bool) -> None:
    """It was the fastest once. What it takes now nobody sees, as another answers each time."""
    fastest = Route("r", ("cheap",), tactic("hedge"), order="fastest")
    catalog = structs.replace(CATALOG, routes={"r": fastest})
    seen, hung, quick = LatencyTracker(), replace(slow, took_s=0.0), replace(well, took_s=0.4)
    for name, seconds in (("a@p", 0.3), ("b@p", 0.4)) * 20:
        seen.call_started(name)
        seen.call_ended(name, seconds)
    firsts: list[str] = []
    for _ in range(40):
        scene = stage("r", {"a": [hung], "b": [quick]}, stream=stream, catalog=catalog)
        scene.life.world = replace(scene.life.world, pace=seen, sleep=partial(when_asked, scene))
        _, text = await hear(scene.life)
        assert text == "GOOD one"
        firsts.append(scene.upstream.asked[0])
        await whole(scene)
    assert (firsts[0], firsts[-1]) == ("a", "b")


async def test_two_that_begin_to_flow_at_once() -> None:
    scene = stage("hedge", {"a": [well], "b": [well]}, stream=True, far="send")
    task = asyncio.create_task(hear(scene.life))
    while len(scene.upstream.asked) < 2:
        await asyncio.sleep(0)
    scene.far.gate.set()
    reply, text = await task
    assert (text, reply.candidate.model.name) == ("GOOD one", "a")
    assert len(told(scene, Settled)) == 2
    assert len(told(scene, Replied)) == 1
    await whole(scene)


async def test_one_that_begins_to_flow_when_another_is_whole() -> None:
    """At once, too: only one is given, and the other is closed and paid."""
    extras, whole_at_once = Extras(checks=("not_refused",)), says("I am GOOD")
    turns = {"a": [whole_at_once], "b": [well]}
    scene = stage("hedge", turns, stream=True, far="delta 0", extras=extras)
    task = asyncio.create_task(hear(scene.life))
    while scene.upstream.open < 2:
        await asyncio.sleep(0)
    await scene.far.reached.wait()
    await asyncio.sleep(0)
    scene.far.gate.set()
    reply, text = await task
    assert (text, reply.candidate.model.name) == ("I am GOOD", "a")
    outcomes = {event.record.model: event.record.outcome for event in told(scene, Settled)}
    assert outcomes == {"a": "ok", "b": "outrun"}
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_during_a_round(stream: bool) -> None:
    scene = stage("vote", {"a": [slow], "b": [slow]}, stream=stream)
    task = asyncio.create_task(hear(scene.life))
    while len(told(scene, Reserved)) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [event.record.purpose for event in told(scene, Settled)] == ["abandoned", "abandoned"]
    assert isinstance(scene.events[-1], Dropped)
    await whole(scene)


@pytest.mark.parametrize("why", [(), ("shutting_down",)], ids=["left", "stopped"])
async def test_each_call_of_a_round_is_told_why_it_is_cancelled(why: tuple[str, ...]) -> None:
    heard: list[tuple[object, ...]] = []
    both = asyncio.Barrier(3)

    async def attempt(_: Round, candidate: Candidate) -> Outcome:
        try:
            await both.wait()
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            heard.append(error.args)
            raise
        return Stopped(candidate, "never")

    (rung,) = stage("vote", {}).life._plan_request().rungs[:1]
    wanted = Round(rung.candidates[:2], rung.checks, Cause("vote"))
    task = asyncio.create_task(run_round(attempt, wanted, asyncio.sleep))
    await both.wait()
    task.cancel(*why)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == [why, why]


async def test_a_voter_that_the_ledger_cannot_hold() -> None:
    scene = stage("vote", {"a": [well], "b": [well]})
    scene.ledger.down_from = 2
    reply, _ = await hear(scene.life)
    assert (reply.candidate.model.name, reply.reason) == ("a", "ledger_unavailable")
    await whole(scene)


async def test_no_voter_that_the_ledger_can_hold() -> None:
    scene = stage("vote", {"a": [well], "b": [well]})
    scene.ledger.down_from = 1
    with pytest.raises(LedgerDown):
        await scene.life.answer()
    await whole(scene)


async def test_money_for_one_voter_only() -> None:
    scene = stage("vote", {"a": [well], "b": [well]}, budget=PROMPT * 13 // 10 + 100 + 20 + 10)
    reply, _ = await hear(scene.life)
    assert reply.reason == "budget"
    await whole(scene)


async def test_a_bug_in_one_call_ends_all() -> None:
    scene = stage("vote", {"a": [Turn(error=RuntimeError("a bug"))], "b": [well]})
    with pytest.raises(RuntimeError, match="a bug"):
        await scene.life.answer()
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repair_sends_the_finding_along_and_holds_for_it(stream: bool) -> None:
    scene = stage("repair", {"a": [poor, well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", "a")
    first, second = scene.upstream.requests
    assert second.json("messages")[: len(first.json("messages"))] == first.json("messages")
    assert [message["role"] for message in second.json("messages")[1:]] == ["assistant", "user"]
    holds = [event.amount for event in told(scene, Reserved)]
    assert holds[1] > holds[0], "what goes in is more, and so is the ceiling"
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "who", "reason", "spent"),
    [
        ("hedge", "b", "unjudged; a budget", ANSWER),
        ("judged-hedge", "b", "passed; a budget", ANSWER),
        ("vote", "c", "unjudged; a budget; b votes", 11 * ANSWER),
    ],
)
async def test_an_answer_is_given_when_the_first_call_of_its_round_was_refused(
    asked: str, who: str, reason: str, spent: int, stream: bool
) -> None:
    scene = stage(asked, {"b": [well], "c": [well]}, stream=stream)
    full = Account("model", "a", (Budget(1, "total"),), "t")
    scene.life.purse = structs.replace(scene.life.purse, per_call=(full,))
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", who)
    assert reply.reason == reason
    assert scene.life.tab.spent == spent
    await whole(scene)


@pytest.mark.parametrize("turns", [(well, slow), (slow, well), (well, well)])
async def test_a_client_that_leaves_a_race_at_any_moment(turns: tuple[Turn, Turn]) -> None:
    """Also when an answer has begun to flow that nobody has taken yet: it is closed, paid, and
    ends no life of its own.
    """
    ticks, task = 0, None
    while task is None or task.cancelled():
        ticks += 1
        scene = stage("hedge", {"a": [turns[0]], "b": [turns[1]]}, stream=True)
        task = asyncio.create_task(hear(scene.life))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await whole(scene)
    assert ticks > 5, "it was cancelled at many moments"


@pytest.mark.parametrize(("asked", "exact"), [("vote", None), ("hedge", None), ("gpt-5", 5)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_limit_of_requests_refuses_every_call_of_the_request(
    asked: str, exact: int | None, stream: bool
) -> None:
    """Not only the first: neither the other voters, nor the try with an exact count."""
    turns = {"a": [well], "b": [well], "gpt-5": [well]}
    scene = stage(asked, turns, stream=stream, exact=exact)
    full = Account("user", "u", (Budget(1, "minute", "requests"),), "t")
    purse = scene.life.purse
    scene.life.purse = structs.replace(purse, accounts=(*purse.accounts, full))
    await scene.ledger.reserve(scene.life.purse, "before", Amounts(Nanos(0), 0, 1))
    with pytest.raises(RateLimited):
        await scene.life.answer()
    assert scene.upstream.asked == []


@pytest.mark.parametrize(
    ("asked", "exact", "cap", "counted"),
    [("vote", None, 1, [1, 1, 0]), ("hedge", None, 1, [1, 1]), ("gpt-5", 5, 130, [1, 1])],
)
async def test_a_request_is_counted_with_the_first_call_that_is_held(
    asked: str, exact: int | None, cap: int, counted: list[int]
) -> None:
    turns = {"b": [well], "c": [well], "gpt-5": [well]}
    scene = stage(asked, turns, exact=exact)
    small = tuple(Account("model", name, (Budget(cap, "total"),), "t") for name in ("a", "gpt-5"))
    scene.life.purse = structs.replace(scene.life.purse, per_call=small)
    await hear(scene.life)
    assert scene.ledger.requests == counted
    await whole(scene)
