"""How a life ends early: a flow breaks, the client leaves, or a bug of ours strikes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.accounts import Purse
from gateway.core.chat import Extras, Usage
from gateway.core.errors import (
    Broken,
    NoAnswer,
    Overloaded,
    Reset,
    ShuttingDown,
    TimedOut,
    UpstreamError,
)
from gateway.core.events import Denied, Dropped, Event, FellBack, Replied, Reserved, Settled
from gateway.core.health import FEWEST
from tests.lives import (
    ANSWER,
    COUNTED,
    PROMPT,
    FarLedger,
    Stage,
    Turn,
    fails,
    faulty,
    hear,
    late,
    long_busy,
    poor,
    stage,
    told,
    well,
    whole,
    wrong,
)

# A flow that breaks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "heard_of_it", "spent"),
    [
        (fails(Broken("cut"), "GOOD ", "one"), Broken, COUNTED),
        (fails(TimedOut("idle"), "GOOD "), TimedOut, PROMPT + 2),
        (fails(Reset("closed"), "GOOD "), Reset, PROMPT + 2),
        (fails(RuntimeError("a bug"), "GOOD "), RuntimeError, PROMPT + 2),
    ],
    ids=["cut", "idle", "reset", "bug"],
)
async def test_once_it_flows_it_is_the_answer(
    turn: Turn, heard_of_it: type[Exception], spent: int
) -> None:
    scene = stage("open", {"a": [turn]}, stream=True)
    with pytest.raises(heard_of_it):
        await hear(scene.life)
    assert scene.upstream.asked == ["a"]
    assert len(told(scene, Denied)) == 1
    assert scene.life.tab.spent == spent
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [Broken, Overloaded])
async def test_a_failed_call_costs_what_its_provider_says(
    kind: type[UpstreamError], stream: bool
) -> None:
    error = kind("no answer")
    error.usage = Usage(PROMPT + 1, 900, reasoning=900)
    scene = stage("open", {"a": [fails(error)], "b": [well]}, stream=stream)
    await hear(scene.life)
    first, _ = told(scene, Settled)
    assert (first.record.usage, first.record.cost) == (error.usage, PROMPT + 901)
    assert scene.life.tab.spent == PROMPT + 901 + ANSWER
    await whole(scene)


async def test_an_empty_stream_is_no_answer() -> None:
    scene = stage("open", {"a": [Turn()], "b": [well]}, stream=True)
    reply, _ = await hear(scene.life)
    assert reply.reason == "unjudged; a broken"
    await whole(scene)


# The client leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "asked", "stream", "spent"),
    [
        ("reserve", "open", False, 0),
        ("reserve", "open", True, 0),
        ("send", "open", False, PROMPT),
        ("send", "judged", True, PROMPT),
        ("send", "open", True, PROMPT),
        ("delta 0", "open", True, PROMPT),
        ("delta 1", "open", True, PROMPT + 2),
        ("end", "open", True, COUNTED),
    ],
)
async def test_a_client_that_leaves(where: str, asked: str, stream: bool, spent: int) -> None:
    scene = stage(asked, {"a": [well]}, stream=stream, far=where)
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(told(scene, Dropped)) == 1
    assert scene.life.tab.spent == spent
    await whole(scene)


@pytest.mark.parametrize(
    ("where", "asked", "stream"),
    [
        ("send", "open", False),
        ("send", "judged", True),
        ("send", "vote", False),
        ("delta 0", "open", True),
        ("delta 1", "open", True),
    ],
)
async def test_a_call_that_our_stop_cuts_is_recorded_as_that(
    where: str, asked: str, stream: bool
) -> None:
    scene = stage(asked, {"a": [well], "b": [well]}, stream=stream, far=where)
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    task.cancel(ShuttingDown.code)
    with pytest.raises(asyncio.CancelledError):
        await task
    ends = [(event.record.outcome, event.record.purpose) for event in told(scene, Settled)]
    assert set(ends) == {("shutting_down", "vote" if asked == "vote" else "answer")}
    assert [event.code for event in told(scene, Denied)] == ["shutting_down"]
    await whole(scene)


@pytest.mark.parametrize(("asked", "stream"), [("open", False), ("judged", False), ("open", True)])
async def test_no_answer_waits_for_what_it_costs_to_be_settled(asked: str, stream: bool) -> None:
    class Hangs(FarLedger):
        def settle(self, *given: Any) -> Awaitable[None]:
            super().settle(*given)
            return asyncio.get_running_loop().create_future()

    scene = stage(asked, {"a": [well]}, stream=stream)
    scene.life.world = replace(scene.life.world, ledger=(ledger := Hangs(scene.clock, scene.far)))
    _, text = await asyncio.wait_for(hear(scene.life), 5)
    assert (text, len(ledger.settles)) == ("GOOD one", 1)


async def test_a_client_that_leaves_before_it_reads() -> None:
    scene = stage("open", {"a": [well]}, stream=True)
    reply = await scene.life.answer()
    assert reply.deltas is not None
    await reply.deltas.aclose()
    assert [type(event) for event in scene.events[-2:]] == [Settled, Dropped]
    assert [event.record.purpose for event in told(scene, Settled)] == ["abandoned"]
    assert scene.life.tab.spent == PROMPT + 2
    await whole(scene)


async def test_a_client_that_stops_reading_in_the_middle() -> None:
    scene = stage("open", {"a": [well]}, stream=True)
    reply = await scene.life.answer()
    assert reply.deltas is not None
    await anext(reply.deltas)
    await reply.deltas.aclose()
    assert isinstance(scene.events[-1], Dropped)
    await whole(scene)


# Bugs of ours --------------------------------------------------------------------------------


def breaks_at(kind: type[Event]) -> Callable[[Event], None]:
    def observe(event: Event) -> None:
        if type(event) is kind:
            raise RuntimeError("a bug")

    return observe


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_upstream_with_a_bug(stream: bool) -> None:
    scene = stage("open", {"a": [fails(RuntimeError("a bug"))]}, stream=stream)
    with pytest.raises(RuntimeError):
        await hear(scene.life)
    assert [(event.code, event.status) for event in told(scene, Denied)] == [
        ("internal_error", 500)
    ]
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", [Reserved, Settled, FellBack], ids=lambda kind: kind.__name__)
async def test_an_observer_with_a_bug(kind: type[Event], stream: bool) -> None:
    turns = {"a": [faulty if kind is FellBack else well], "b": [well]}
    scene = stage("open", turns, stream=stream, observer=breaks_at(kind))
    with pytest.raises(RuntimeError):
        await hear(scene.life)
    assert len(told(scene, Denied)) == 1
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", [Replied, Denied, Dropped], ids=lambda kind: kind.__name__)
async def test_an_observer_with_a_bug_costs_no_place(kind: type[Event], stream: bool) -> None:
    left: list[str] = []

    class Places(FarLedger):
        def leave(self, purse: Purse, life: str) -> None:
            left.append(life)

    turn = wrong if kind is Denied else well
    scene = stage(
        "open", {"a": [turn]}, stream=stream, observer=breaks_at(kind),
        far="send" if kind is Dropped else "",
    )  # fmt: skip
    scene.life.world = replace(scene.life.world, ledger=Places(scene.clock, scene.far))
    task = asyncio.create_task(hear(scene.life))
    if kind is Dropped:
        await scene.far.reached.wait()
        task.cancel()
    with pytest.raises(RuntimeError):
        await task
    assert left == ["r"]


# Health --------------------------------------------------------------------------------------


def nearly_open(scene: Stage, deployment: str, seen_s: list[float]) -> None:
    """One more failure opens its circuit."""
    world = scene.life.world
    for seconds in seen_s:
        world.pace.call_started(deployment)
        world.pace.call_ended(deployment, seconds)
    for _ in range(FEWEST - 1):
        world.health.failed(deployment, scene.clock.now)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("seen_s", "extras", "counts"),
    [
        ([0.3] * 12 + [3.0] * 8, Extras(max_latency_ms=1_000), False),
        ([0.3] * 20, Extras(max_latency_ms=1_000), True),
        ([], Extras(max_latency_ms=1_000), True),
        ([0.3] * 12 + [3.0] * 8, Extras(), True),
    ],
)
async def test_who_is_given_less_time_than_it_often_takes_has_not_failed(
    seen_s: list[float], extras: Extras, counts: bool, stream: bool
) -> None:
    """Else any client could close a deployment to all others."""
    scene = stage("open", {"a": [late], "b": [well]}, extras=extras, stream=stream)
    nearly_open(scene, "a@p", seen_s)
    with suppress(NoAnswer):
        await hear(scene.life)
    assert scene.upstream.asked[0] == "a"
    assert (scene.health == [("a@p", "open")]) == counts
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("seen_s", "counts"), [([3.0] * 20, False), ([0.3] * 20, True)])
async def test_who_is_asked_last_has_what_the_others_left_and_no_more(
    seen_s: list[float], counts: bool, stream: bool
) -> None:
    """Else one provider that hangs closes those that are asked instead of it."""
    hangs = Turn(error=TimedOut("late"), took_s=99.0)
    scene = stage("open", {"a": [hangs], "b": [late]}, stream=stream)
    nearly_open(scene, "b@p", seen_s)
    with suppress(NoAnswer):
        await hear(scene.life)
    assert scene.upstream.asked == ["a", "b"]
    assert (scene.health == [("b@p", "open")]) == counts
    await whole(scene)


async def test_an_answer_that_drips_and_has_too_little_time_has_not_failed() -> None:
    """A stream is as slow as its answer is long; what is known of its pace is how it begins."""
    extras = Extras(max_latency_ms=5_000, checks=("not_refused",))
    drips = Turn(("I ",) * 40, each_s=1.0)
    scene = stage("open", {"a": [drips]}, stream=True, extras=extras)
    nearly_open(scene, "a@p", [0.3] * 20)
    with pytest.raises(NoAnswer):
        await hear(scene.life)
    assert scene.health == []
    await whole(scene)


async def test_an_answer_that_stops_half_way_has_failed() -> None:
    extras = Extras(max_latency_ms=2_000, checks=("not_refused",))
    stops = fails(TimedOut("idle"), "I ")
    scene = stage("open", {"a": [stops]}, stream=True, extras=extras, far="end")
    nearly_open(scene, "a@p", [0.3] * 20)
    asking = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    scene.clock.now += 3.0
    scene.far.gate.set()
    with pytest.raises(NoAnswer):
        await asking
    assert scene.health == [("a@p", "open")]
    await whole(scene)


async def test_a_failure_counts_against_a_deployment_and_a_poor_answer_does_not() -> None:
    scene = stage("judged", {"a": [long_busy], "b": [poor], "c": [well]})
    await hear(scene.life)
    assert scene.health == [("a@p", "open")]
    assert scene.life.world.health.down(scene.clock.now) == {"a@p"}
