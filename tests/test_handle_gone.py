"""A client that leaves a route which reads on to the usage of the call that is being made."""

import asyncio

import pytest

from gateway.core.errors import Faulty
from gateway.core.events import Dropped, Settled
from tests.lives import (
    ANSWER,
    PROMPT,
    Stage,
    Turn,
    busy,
    hear,
    poor,
    says,
    stage,
    told,
    well,
    whole,
)


@pytest.mark.parametrize(
    ("asked", "for_s"), [("open", 0.0), ("judged", 0.0), ("drained", 7.0), ("drained-open", 7.0)]
)
def test_the_route_says_how_long_is_read_on(asked: str, for_s: float) -> None:
    life = stage(asked, {}).life
    assert (life.abandon(), life.abandon()) == (for_s, 0.0), "the second time there is no more"


async def abandoned_there(scene: Stage) -> None:
    """Its client leaves where it is held up, and it goes on to its end."""
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    scene.life.abandon()
    scene.far.gate.set()
    await asyncio.wait((task,))


@pytest.mark.parametrize(
    ("where", "asked", "stream", "first", "spent"),
    [
        ("send", "drained", False, well, ANSWER),
        ("send", "drained", True, well, ANSWER),
        ("send", "drained", False, poor, ANSWER),
        ("send", "drained-open", False, Turn(error=Faulty("500")), 0),
        ("delta 0", "drained-open", True, well, ANSWER),
        ("delta 1", "drained-open", True, well, ANSWER),
        ("end", "drained-open", True, well, ANSWER),
    ],
)
async def test_what_is_being_made_is_paid_by_its_usage_and_nothing_more_is_asked(
    where: str, asked: str, stream: bool, first: Turn, spent: int
) -> None:
    scene = stage(asked, {"a": [first], "b": [well], "c": [well]}, stream=stream, far=where)
    await abandoned_there(scene)
    assert isinstance(scene.events[-1], Dropped)
    assert scene.upstream.asked == ["a"]
    assert scene.life.tab.spent == spent
    assert [event.record.purpose for event in told(scene, Settled)] == ["abandoned"]
    await whole(scene)


async def test_a_client_that_leaves_before_anything_is_asked() -> None:
    scene = stage("drained", {"a": [well]}, far="reserve")
    scene.life.abandon()
    with pytest.raises(Exception, match="No model answered"):
        await scene.life.answer()
    assert scene.upstream.asked == []
    await whole(scene)


async def test_who_leaves_while_a_busy_provider_is_waited_for_has_nothing_more_asked() -> None:
    turns = {"a": [Turn(error=Faulty("500"))], "b": [Turn(error=Faulty("500"))], "c": [busy, well]}
    scene = stage("drained-open", turns, far="sleep")
    await abandoned_there(scene)
    assert isinstance(scene.events[-1], Dropped)
    assert (scene.upstream.asked, scene.life.tab.spent) == (["a", "b", "c"], 0)
    await whole(scene)


async def test_a_drain_ends_when_its_time_is_over() -> None:
    scene = stage("drained-open", {"a": [well]}, stream=True, far="delta 1")
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    scene.life.abandon()
    task.cancel()  # as the door does after so many seconds
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.life.tab.spent == PROMPT + 2
    assert len(told(scene, Dropped)) == 1
    await whole(scene)


@pytest.mark.parametrize("asked", ["open", "judged"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("connects", "spent"), [(True, PROMPT), (False, 0)])
async def test_what_was_never_sent_costs_nothing(
    asked: str, stream: bool, connects: bool, spent: int
) -> None:
    """As who leaves while the provider is still connected to."""
    scene = stage(asked, {"a": [Turn(stalls=True, connects=connects)]}, stream=stream)
    task = asyncio.create_task(hear(scene.life))
    for _ in range(20):  # it stalls by then
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.life.tab.spent == spent
    assert [event.record.outcome for event in told(scene, Settled)] == ["dropped"]
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_which_nothing_is_told_costs_no_more_than_its_limit(
    stream: bool,
) -> None:
    """Of a host that tells no usage: the answer ends at its limit, 20 tokens of long words."""
    turns = {"a": [says("international " * 20, told=False)]}
    scene = stage("open", turns, stream=stream)
    await hear(scene.life)
    [settled] = told(scene, Settled)
    assert settled.record.cost == PROMPT + 20 <= settled.record.held
    await whole(scene)
