"""The life of a request to a route that keeps its answers, over fakes of the ports."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest
from msgspec import structs

from gateway.caching import CachingLife
from gateway.core.catalog import Cache, Catalog, Check, Route
from gateway.core.chat import Completion
from gateway.core.checks.external import NoVerdict
from gateway.core.checks.finding import Finding
from gateway.core.errors import CacheDown, LedgerDown, NoAnswer, ShuttingDown
from gateway.core.events import Began, CacheLookup, Denied, Dropped, Replied
from gateway.core.response_cache import CacheControl
from gateway.drivers.memory_responses import MemoryResponses
from tests.lives import (
    ANSWER,
    CATALOG,
    GOOD,
    Stage,
    Turn,
    fails,
    faulty,
    hear,
    poor,
    says,
    silent,
    stage,
    told,
    well,
    whole,
)

KEEPING: Final = structs.replace(
    CATALOG,
    routes={
        "open": Route("open", ("cheap", "mid"), cache=Cache()),
        "judged": Route("judged", ("cheap", "mid"), checks=(GOOD,), cache=Cache()),
        "best": Route("best", ("cheap",), checks=(GOOD,), cache=Cache()),
    },
)


class Kept(MemoryResponses):
    """`fails` to tell, or is waited for."""

    def __init__(self) -> None:
        super().__init__(1_000_000, lambda: 0.0)
        self.fails = False
        self.reached = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def find(self, tenant: str, key: str) -> tuple[bytes, float] | None:
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise CacheDown("away")
        return await super().find(tenant, key)


def scene(
    asked: str,
    turns: Mapping[str, Sequence[Turn]],
    kept: Kept | None,
    *,
    stream: bool,
    asks: CacheControl | None = None,
    far: str = "",
    catalog: Catalog = KEEPING,
) -> Stage:
    """A request to a route that keeps its answers."""
    made = stage(asked, turns, stream=stream, catalog=catalog, far=far)
    life = made.life
    world = replace(life.world, responses=kept)
    given = life.tenant, life.purse, life.request, life.about, life.ladder, life.began
    made.life = CachingLife(world, *given, cache_control=asks or CacheControl())
    return made


def outcomes(*scenes: Stage) -> list[str]:
    return [event.outcome for each in scenes for event in told(each, CacheLookup)]


STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAMED
@pytest.mark.parametrize("then", [False, True], ids=["then whole", "then stream"])
@pytest.mark.parametrize(
    ("route", "turns", "model", "saved"),
    [
        ("open", {"a": [well]}, "a", ANSWER),
        ("open", {"a": [silent]}, "a", 12),
        ("open", {"a": [faulty], "b": [well]}, "b", ANSWER),
        ("judged", {"a": [well]}, "a", ANSWER),
        ("judged", {"a": [poor], "c": [well]}, "c", 11 * ANSWER),
    ],
)
async def test_the_second_is_given_what_the_first_paid_for(
    route: str,
    turns: Mapping[str, Sequence[Turn]],
    model: str,
    saved: int,
    stream: bool,
    then: bool,
) -> None:
    kept = Kept()
    first, second = scene(route, turns, kept, stream=stream), scene(route, {}, kept, stream=then)
    _, text = await hear(first.life)
    reply, again = await hear(second.life)
    assert (again, reply.candidate.model.name) == (text, model)
    assert outcomes(first, second) == ["miss", "hit"]
    assert told(second, CacheLookup)[0].saved == saved == first.life.tab.spent
    assert second.life.tab.usage == first.life.tab.usage
    assert [type(event) for event in second.events] == [Began, CacheLookup, Replied]
    assert (second.ledger.requests, second.ledger.settles, second.upstream.asked) == ([], [], [])
    for each in (first, second):
        await whole_beside(each)


async def whole_beside(each: Stage) -> None:
    """What must hold after any life, beside which is told what was asked of the cache."""
    each.events[:] = [event for event in each.events if not isinstance(event, CacheLookup)]
    await whole(each)


NOT_KEPT = {
    "the best of poor ones": ("best", {"a": [poor], "b": [poor]}),
    "an answer of nothing": ("open", {"a": [says("")]}),
    "a refusal": ("open", {"a": [says("I'm sorry, but ", "I can't help with that.")]}),
}


@STREAMED
@pytest.mark.parametrize(("route", "turns"), NOT_KEPT.values(), ids=NOT_KEPT)
async def test_it_is_not_kept(
    route: str, turns: Mapping[str, Sequence[Turn]], stream: bool
) -> None:
    kept = Kept()
    first = scene(route, turns, kept, stream=stream)
    await hear(first.life)
    assert kept.size("t") == 0
    await whole_beside(first)


@STREAMED
@pytest.mark.parametrize("on_failure", ["skip", "pass"])
@pytest.mark.parametrize("route", ["asked", "asked too"])
async def test_what_nobody_judged_who_was_to_is_not_kept(
    route: str, on_failure: str, stream: bool
) -> None:
    """For as long as it is kept, its judge, who may be back in a minute, would not be asked."""
    kept = Kept()
    verdicts: list[NoVerdict | None] = [NoVerdict("timed_out"), None]

    async def runner(
        check: Check, answer: Completion, request_id: str, *, timeout_s: float
    ) -> Finding | None:
        await asyncio.sleep(0)
        if (failure := verdicts.pop(0)) is not None:
            raise failure
        return None

    hook = Check("webhook", {"url": "http://h", "on_failure": on_failure})
    checks = (hook,) if route == "asked" else (GOOD, hook)
    catalog = structs.replace(
        KEEPING, routes={route: Route(route, ("cheap",), checks=checks, cache=Cache())}
    )
    for turns in ({"a": [well]}, {"a": [well]}, {}):
        each = scene(route, turns, kept, stream=stream, catalog=catalog)
        each.life.world = replace(each.life.world, runner=runner)
        _, text = await hear(each.life)
        assert text == "GOOD one"
        await whole_beside(each)
    assert not verdicts, "the second was asked of its model and its judge, and kept"


@STREAMED
async def test_no_answer_is_no_answer_to_keep(stream: bool) -> None:
    kept = Kept()
    first = scene("best", {"a": [faulty], "b": [faulty]}, kept, stream=stream)
    with pytest.raises(NoAnswer):
        await hear(first.life)
    assert kept.size("t") == 0
    await whole_beside(first)


async def test_a_stream_that_breaks_is_not_kept() -> None:
    kept = Kept()
    first = scene("open", {"a": [fails(faulty.error or Exception(), "GO")]}, kept, stream=True)
    with pytest.raises(Exception, match="500"):
        await hear(first.life)
    assert kept.size("t") == 0
    await whole_beside(first)


@pytest.mark.parametrize("heard", [0, 1], ids=["before a word", "after a word"])
async def test_a_client_that_leaves_closes_the_call_and_nothing_is_kept(heard: int) -> None:
    kept = Kept()
    first = scene("open", {"a": [well]}, kept, stream=True)
    reply = await first.life.answer()
    assert reply.deltas is not None
    for _ in range(heard):
        await anext(reply.deltas)
    await reply.deltas.aclose()
    assert kept.size("t") == 0
    assert len(told(first, Dropped)) == 1
    await whole_beside(first)


async def test_a_stream_that_our_stop_cuts_while_its_client_is_slow_is_told_as_that() -> None:
    first = scene("open", {"a": [well]}, Kept(), stream=True)
    reply = await first.life.answer()
    assert reply.deltas is not None
    with pytest.raises(asyncio.CancelledError):
        await reply.deltas.athrow(asyncio.CancelledError(ShuttingDown.code))
    assert [event.code for event in told(first, Denied)] == [ShuttingDown.code]
    assert not told(first, Dropped)
    await whole_beside(first)


@STREAMED
async def test_a_client_that_leaves_while_it_is_looked_for(stream: bool) -> None:
    kept = Kept()
    kept.gate = asyncio.Event()
    first = scene("open", {"a": [well]}, kept, stream=stream)
    asking = asyncio.create_task(first.life.answer())
    await kept.reached.wait()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    assert [type(event) for event in first.events] == [Began, Dropped]
    await whole_beside(first)


@STREAMED
@pytest.mark.parametrize(
    ("fails", "there", "outcome"),
    [(True, True, "error"), (False, False, "bypass")],
    ids=["it is away", "there is none"],
)
async def test_without_the_cache_it_is_a_request_as_any(
    fails: bool, there: bool, outcome: str, stream: bool
) -> None:
    kept = Kept()
    kept.fails = fails
    first = scene("open", {"a": [well]}, kept if there else None, stream=stream)
    reply, text = await hear(first.life)
    assert text == "GOOD one"
    status = "miss" if outcome == "error" else outcome
    assert reply.headers == ((b"x-gateway-cache", status.encode()),)
    assert outcomes(first) == [outcome]
    await whole_beside(first)


@STREAMED
async def test_a_ledger_that_is_away_stops_no_answer_that_is_kept(stream: bool) -> None:
    kept = Kept()
    await hear(scene("open", {"a": [well]}, kept, stream=stream).life)
    second, third = (scene("open", {}, kept, stream=stream) for _ in range(2))
    third.life.tenant = structs.replace(third.life.tenant, models=("open", "x"))
    for each in (second, third):
        each.ledger.down_from = 0
    _, text = await hear(second.life)
    assert text == "GOOD one"
    with pytest.raises(LedgerDown):
        await hear(third.life)
    assert outcomes(second, third) == ["hit", "miss"], "a key that may ask for less"
