"""Streamed answers that are judged while they come: they flow early, or are cut and climbed."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from msgspec import structs

from gateway.core.chat import Extras, Usage
from gateway.core.errors import Broken, Faulty
from gateway.core.events import Dropped, Event, Judged, Replied, Reserved, Settled
from tests.lives import ANSWER, PROMPT, Turn, fails, hear, says, stage, told, well, whole

NO = "I'm sorry, but I can't help with that request at all, "
BREAKS = "it breaks before anything flows: sideways"
JUDGED = Extras(checks=("not_refused",))
refuses = Turn((NO, "and ", "so on."), Usage(PROMPT, 40))
CUT = PROMPT + -(-len(NO) // 4)
"""Tokens of a refusal that was cut at its first piece, as we count them."""
breaks = fails(Broken("it broke"), "I ")


@dataclass(frozen=True)
class Script:
    """Who says what, and what comes of it; `flows` when it was given before it was whole."""

    turns: Mapping[str, Sequence[Turn]]
    kept: str
    reason: str
    spent: int
    flows: bool
    checks: tuple[str, ...] = ("not_refused",)
    asked: str = "open"


SCRIPTS = {
    "decided at its first word": Script({"a": [well]}, "a: GOOD one", "passed", ANSWER, flows=True),
    "cut and climbed": Script(
        {"a": [refuses], "c": [well]},
        "c: GOOD one",
        "passed; a not_refused",
        CUT + 10 * ANSWER,
        flows=True,
    ),
    "cut, and nobody above answers": Script(
        {"a": [refuses], "c": [Turn(error=Faulty("500"))]},
        f"a: {NO}",
        "best_effort; a not_refused",
        CUT,
        flows=False,
    ),
    "the last is not cut": Script(
        {"a": [refuses], "c": [refuses]},
        f"c: {NO}and so on.",
        "best_effort; a not_refused",
        CUT + 10 * (PROMPT + 40),
        flows=False,
    ),
    "not decided before the end": Script(
        {"a": [says("I am", " GOOD")]}, "a: I am GOOD", "passed", ANSWER, flows=False
    ),
    "one of two is decided at the end": Script(
        {"a": [well]},
        "a: GOOD one",
        "passed",
        ANSWER,
        flows=False,
        checks=("not_refused", "complete"),
    ),
    BREAKS: Script(
        {"a": [breaks], "b": [well]},
        "b: GOOD one",
        "passed; a broken",
        PROMPT + 1 + ANSWER,
        flows=True,
    ),
    "a vote is not shown": Script(
        {"a": [well], "b": [well]}, "a: GOOD one", "agreed", 2 * ANSWER, flows=False, asked="vote"
    ),
    "a vote is cut": Script(
        {"a": [refuses], "b": [well], "c": [well]},
        "c: GOOD one",
        "passed; b votes",
        CUT + 11 * ANSWER,
        flows=True,
        asked="vote",
    ),
}


@pytest.mark.parametrize("piled", [False, True])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_what_comes_of_a_stream(script: Script, piled: bool) -> None:
    extras = Extras(checks=script.checks)
    turns = {
        name: [replace(turn, piled=piled) for turn in some] for name, some in script.turns.items()
    }
    scene = stage(script.asked, turns, stream=True, extras=extras)
    reply, text = await hear(scene.life)
    assert f"{reply.candidate.model.name}: {text}" == script.kept
    assert reply.reason == script.reason
    assert (reply.deltas is not None) is script.flows
    assert scene.life.tab.spent == script.spent
    (replied,) = told(scene, Replied)
    assert (replied.first_token_s is not None) is script.flows
    await whole(scene)


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {BREAKS}))
async def test_what_is_not_streamed_is_kept_alike_and_is_whole(name: str) -> None:
    """But for a break, which only a stream can have."""
    script = SCRIPTS[name]
    scene = stage(script.asked, script.turns, extras=Extras(checks=script.checks))
    reply, text = await hear(scene.life)
    assert f"{reply.candidate.model.name}: {text}".startswith(script.kept)
    assert reply.reason == script.reason
    await whole(scene)


async def test_a_cut_answer_is_told_as_cut_and_its_provider_is_well() -> None:
    scene = stage("open", {"a": [refuses], "c": [well]}, stream=True, extras=JUDGED)
    await hear(scene.life)
    first, second = told(scene, Settled)
    assert (first.record.outcome, second.record.outcome) == ("cut", "ok")
    assert [event.failed for event in told(scene, Judged)] == [("not_refused",), ()]
    assert [event.record.counted for event in (first, second)] == [True, False]
    assert scene.health == []
    await whole(scene)


async def test_an_answer_that_was_cut_says_that_it_is_not_whole() -> None:
    scene = stage(
        "open", {"a": [refuses], "c": [Turn(error=Faulty("500"))]}, stream=True, extras=JUDGED
    )
    reply, _ = await hear(scene.life)
    assert reply.completion is not None
    assert reply.completion.first.finish == "length"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (("I ", "x" * 300, "y", "z"), "I " + "x" * 300 + "yz"),
        (("I'm ", NO[4:], "and ", "so on."), NO),
    ],
    ids=["flows", "cut"],
)
async def test_what_comes_together_with_what_decides(said: tuple[str, ...], shown: str) -> None:
    """It flows with it; of an answer that is cut it is dropped."""
    turns = {"a": [Turn(said, piled=True)], "c": [Turn(error=Faulty("500"))]}
    scene = stage("open", turns, stream=True, extras=JUDGED)
    _, text = await hear(scene.life)
    assert text == shown
    limit = 20  # of whose tokens some are long words
    assert scene.life.tab.spent == PROMPT + min(-(-len(shown) // 4), limit)
    await whole(scene)


async def test_what_waited_flows_first_and_the_rest_as_it_comes() -> None:
    pieces = ("I ", *("x" * 150, "y" * 150), "and ", "so on")
    scene = stage("open", {"a": [says(*pieces)]}, stream=True, extras=JUDGED, far="delta 3")
    reply = await scene.life.answer()
    assert reply.deltas is not None
    heard = ""
    waiting = asyncio.create_task(anext(reply.deltas))
    while not scene.far.reached.is_set():
        heard += "".join(c.text for delta in await waiting for c in delta.choices)
        waiting = asyncio.create_task(anext(reply.deltas))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert heard == "".join(pieces[:3])
    scene.far.gate.set()
    heard += "".join(c.text for delta in await waiting for c in delta.choices)
    async for some in reply.deltas:
        heard += "".join(c.text for delta in some for c in delta.choices)
    assert heard == "".join(pieces)
    await whole(scene)


async def test_a_break_once_it_flows_is_the_clients_to_hear() -> None:
    scene = stage("open", {"a": [fails(Broken("it broke"), "GOOD ")]}, stream=True, extras=JUDGED)
    with pytest.raises(Broken):
        await hear(scene.life)
    assert scene.upstream.asked == ["a"]
    await whole(scene)


async def test_a_break_that_comes_together_with_what_decides_is_sideways() -> None:
    """It would have flowed, but nobody has seen any of it."""
    together = replace(fails(Broken("it broke"), "I ", "x" * 300), piled=True)
    scene = stage("open", {"a": [together], "b": [well]}, stream=True, extras=JUDGED)
    reply, text = await hear(scene.life)
    assert (text, reply.reason) == ("GOOD one", "passed; a broken")
    await whole(scene)


@pytest.mark.parametrize("said", [("I ", "am"), ("I ", "x" * 300)], ids=["held", "decided"])
@pytest.mark.parametrize("where", ["send", "delta 0", "delta 1", "end"])
async def test_a_client_that_leaves_while_it_is_held(where: str, said: tuple[str, str]) -> None:
    turn = replace(says(*said), piled=True)
    scene = stage("open", {"a": [turn]}, stream=True, extras=JUDGED, far=where)
    task = asyncio.create_task(hear(scene.life))
    await scene.far.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(scene.events[-1], Dropped)
    await whole(scene)


async def test_a_client_that_leaves_while_it_flows() -> None:
    scene = stage("open", {"a": [well]}, stream=True, extras=JUDGED)
    reply = await scene.life.answer()
    assert reply.deltas is not None
    await anext(reply.deltas)
    await reply.deltas.aclose()
    assert isinstance(scene.events[-1], Dropped)
    assert scene.life.tab.spent == PROMPT + 2
    await whole(scene)


async def test_a_held_stream_that_drips_is_left_in_time() -> None:
    """The time for a whole answer is that of one which does not stream."""
    drips = Turn(("I ",) * 40, Usage(PROMPT, 5), each_s=2.0)
    scene = stage("open", {"a": [drips], "b": [well]}, stream=True, extras=JUDGED)
    reply, text = await hear(scene.life)
    assert (reply.candidate.model.name, text) == ("b", "GOOD one")
    assert [event.record.outcome for event in told(scene, Settled)] == ["timed_out", "ok"]
    await whole(scene)


async def test_a_held_stream_that_says_no_more_is_left_in_time() -> None:
    """It was waited for until its connection had been idle for too long."""
    extras = structs.replace(JUDGED, max_latency_ms=1_050)
    stalls = Turn(("I ", "am", "so"), Usage(PROMPT, 5))
    scene = stage("open", {"a": [stalls], "b": [well]}, stream=True, extras=extras, far="delta 1")
    async with asyncio.timeout(10):
        asking = asyncio.create_task(hear(scene.life))
        await scene.far.reached.wait()
        scene.far.where = ""  # the second is not made to wait
        reply, text = await asking
    assert (reply.candidate.model.name, text) == ("b", "GOOD one")
    assert [event.record.outcome for event in told(scene, Settled)] == ["timed_out", "ok"]
    await whole(scene)


class Breaking(dict[str, object]):
    """Fields that a bug of ours meets, once what they cost is set aside."""

    broken = False

    def __iter__(self) -> Iterator[str]:
        if self.broken:
            raise RuntimeError("a bug")
        return super().__iter__()


async def test_a_bug_before_a_stream_is_watched_settles_its_hold() -> None:
    def observe(event: Event) -> None:
        fields.broken = fields.broken or isinstance(event, Reserved)

    scene = stage("open", {"a": [well]}, stream=True, extras=JUDGED, observer=observe)
    fields = Breaking(scene.life.request.fields)
    scene.life.request = structs.replace(scene.life.request, fields=fields)
    with pytest.raises(RuntimeError, match="a bug"):
        await hear(scene.life)
    (settled,) = told(scene, Settled)
    assert settled.record.outcome == "internal_error"
    await whole(scene)
