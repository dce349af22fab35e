"""What goes on behind answers: audits, probes, shadows and canaries in the life of a request."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Final

import pytest
from msgspec.structs import replace as replaced

from gateway.background.background_life import without_places
from gateway.background.guards import Guards
from gateway.background.runner import AuditRunner
from gateway.caching import CachingLife
from gateway.core import events
from gateway.core.accounts import EACH, Account, Purse
from gateway.core.catalog import Budget, Cache, Route, Rule
from gateway.core.chat import Extras
from gateway.core.guard import Growth, Guard
from gateway.core.ladder import ladders
from gateway.core.learned import Learned
from gateway.core.records.record import COMPARED
from gateway.core.rules import When
from gateway.core.strategies import tactic
from gateway.core.trials import Canary, Compares, GuardSettings, Shadow, chosen
from gateway.drivers.memory_guard import MemoryGuard
from gateway.drivers.memory_responses import MemoryResponses
from gateway.handle import Reply
from tests.lives import (
    ANSWER,
    CATALOG,
    GOOD,
    Stage,
    Turn,
    faulty,
    hear,
    poor,
    says,
    stage,
    told,
    well,
)
from tests.weights import weights

ALWAYS: Final = GuardSettings(share=1.0, probe=1.0, cap=1.0)
NEVER: Final = GuardSettings(share=0.0, probe=0.0)
GOOD_PAIR: Final = Growth(same=(True,) * 40, spent=10**9)
BAD_PAIR: Final = Growth(same=(True, False) * 20, spent=10**9)
NEW: Final = Growth()
other = says("BAD")
LABEL: Final = Compares("label")


def route(settings: GuardSettings | None = ALWAYS, **more: object) -> Route:
    known = {"tiers": ("cheap", "mid"), "strategy": tactic("vote"), "compares": LABEL}
    return Route("r", guard=settings, **(known | more))  # type: ignore[arg-type]


async def scene(
    of: Route,
    turns: Mapping[str, Sequence[Turn]],
    seen: Growth = NEW,
    *,
    others: Sequence[Route] = (),
    at_once: int = 32,
    **more: object,
) -> tuple[Stage, AuditRunner]:
    """`seen` is what the guard has seen of texts so far."""
    routes = {each.name: each for each in (of, *others)}
    catalog = type(CATALOG)(CATALOG.models, CATALOG.tiers, {**CATALOG.routes, **routes})
    made = stage(of.name, turns, catalog=catalog, **more)  # type: ignore[arg-type]
    store = MemoryGuard()
    named = ladders(catalog)
    policy = named[of.name].audit_policy
    if policy is not None and seen != NEW:
        await store.grow(0, {f"{policy.key}:text": seen})
    guards = Guards(store, made.events.append)
    guards.know(named.values())
    await guards.refresh()
    made.events.clear()
    runner = AuditRunner(guards, made.ledger.charge, made.events.append, at_once)
    made.life.world = replace(made.life.world, audits=runner)
    return made, runner


async def given(made: Stage, runner: AuditRunner) -> tuple[Reply, str]:
    """The answer; then all that went on behind it has ended."""
    reply, text = await hear(made.life)
    await runner.idle()
    return reply, text


async def sound(made: Stage) -> None:
    """Each life is lawful, nothing is held, and all bills are one."""
    lives: dict[str, list[events.Event]] = defaultdict(list)
    for event in made.events:
        if isinstance(event, events.LifeEvent):
            lives[event.about.request_id].append(event)
    for name, life in lives.items():
        assert events.lawful(life) is None, f"{name}: {events.lawful(life)}: {life}"
    spent, held, open_holds = await made.books()
    assert (held, open_holds) == (0, 0)
    settled = told(made, events.Settled)
    assert spent == sum(event.record.cost for event in settled)
    for event in settled:
        if event.record.purpose != "abandoned":
            assert (event.record.purpose == "audit") == ("~" in event.about.request_id)
    assert made.upstream.open == 0


def outcomes(made: Stage) -> list[tuple[str, str]]:
    return [(event.kind, event.outcome) for event in told(made, events.AuditEnded)]


def state(runner: AuditRunner) -> Guard:
    (found,) = [each for each in runner.guards._known.values() if each != Guard()]
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("seen", "settings", "turns", "who", "text", "reason", "audits", "same", "missed"),
    [
        pytest.param(
            NEW, NEVER, {"a": [well], "b": [well], "c": [well]},
            "c", "GOOD one", "unjudged; guard", [("guard", "agreed")], (True,), 0,
            id="it learns: the smart one answers, the vote agrees with it",
        ),
        pytest.param(
            NEW, NEVER, {"a": [other], "b": [other], "c": [well]},
            "c", "GOOD one", "unjudged; guard", [("guard", "differed")], (False,), 0,
            id="it learns: the vote says something else",
        ),
        pytest.param(
            NEW, NEVER, {"a": [well], "b": [other], "c": [well]},
            "c", "GOOD one", "unjudged; guard", [("guard", "undecided")], (), 1,
            id="it learns: a vote without a result tells nothing",
        ),
        pytest.param(
            NEW, NEVER, {"a": [faulty], "b": [faulty], "c": [well]},
            "c", "GOOD one", "unjudged; guard", [("guard", "failed")], (), 0,
            id="it learns: the vote fails",
        ),
        pytest.param(
            GOOD_PAIR, NEVER, {"a": [well], "b": [well]},
            "a", "GOOD one", "agreed", [], (), 0,
            id="on",
        ),
        pytest.param(
            GOOD_PAIR, ALWAYS, {"a": [well], "b": [well], "c": [well]},
            "a", "GOOD one", "agreed", [("guard", "agreed")], (True,), 0,
            id="on, and audited",
        ),
        pytest.param(
            GOOD_PAIR, ALWAYS, {"a": [well], "b": [well], "c": [says("x" * 99)]},
            "a", "GOOD one", "agreed", [("guard", "incomparable")], (), 1,
            id="on, and audited: what is no label cannot be compared",
        ),
        pytest.param(
            GOOD_PAIR, ALWAYS, {"a": [well], "b": [other], "c": [well]},
            "c", "GOOD one", "unjudged; a disagreed", [], (), 0,
            id="on, and the smart one was asked anyway: nothing to audit",
        ),
        pytest.param(
            BAD_PAIR, NEVER, {"c": [well]},
            "c", "GOOD one", "unjudged; guard", [], (), 0,
            id="off",
        ),
        pytest.param(
            BAD_PAIR, ALWAYS, {"a": [well], "b": [well], "c": [well]},
            "c", "GOOD one", "unjudged; guard", [("guard", "agreed")], (True,), 0,
            id="off, and probed",
        ),
        pytest.param(
            BAD_PAIR, ALWAYS, {"a": [well], "c": [faulty]},
            "a", "GOOD one", "unjudged; guard; c faulty", [], (), 0,
            id="off, and the smart one fails: the cheap one is better than nothing",
        ),
    ],
)  # fmt: skip
async def test_a_guarded_vote(  # noqa: PLR0917 - a row of the table
    seen: Growth, settings: GuardSettings, turns: dict[str, list[Turn]], who: str, text: str,
    reason: str, audits: list[tuple[str, str]], same: tuple[bool, ...], missed: int, stream: bool,
) -> None:  # fmt: skip
    made, runner = await scene(route(settings), turns, seen, stream=stream)
    reply, heard = await given(made, runner)
    assert (reply.candidate.model.name, heard, reply.reason) == (who, text, reason)
    assert outcomes(made) == audits
    before = seen.onto(Guard())
    after = Growth(same, missed, memory=settings.memory).onto(before)
    found = state(runner)
    assert (found.seen, found.agreed, found.tried) == (after.seen, after.agreed, after.tried)
    audited = sum(
        each.record.cost for each in told(made, events.Settled) if each.record.purpose == "audit"
    )
    assert (found.spent, found.audit) == (seen.spent + made.life.tab.spent + audited, audited)
    assert sum(made.ledger.requests) == 1, "an audit is no request of the client's"
    await sound(made)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_audit_is_in_nobodys_way(stream: bool) -> None:
    stalled = Turn(stalls=True)
    turns = {"a": [well], "b": [well], "c": [stalled]}
    made, runner = await scene(route(), turns, GOOD_PAIR, stream=stream)
    _, text = await hear(made.life)
    assert text == "GOOD one"
    assert (
        events.lawful([e for e in made.events if getattr(e, "about", None) == made.life.about])
        is None
    )
    await asyncio.sleep(0)
    await runner.aclose(drain_s=0.0)
    assert outcomes(made) == [("guard", "cancelled")]
    await sound(made)
    assert not runner.has_room("r", "guard"), "what is closed begins nothing"


async def test_so_many_at_once() -> None:
    made, runner = await scene(route(), {"a": [well], "b": [well]}, GOOD_PAIR, at_once=0)
    await given(made, runner)
    assert told(made, events.AuditLeft) == [events.AuditLeft("r", "guard")]
    assert outcomes(made) == []
    await sound(made)


async def test_what_the_purse_refuses_is_not_audited() -> None:
    made, runner = await scene(route(), {"a": [well], "b": [well]}, GOOD_PAIR, budget=300)
    reply, _ = await given(made, runner)
    assert reply.reason == "agreed"
    assert outcomes(made) == [("guard", "refused")]
    assert state(runner).tried == 40
    await sound(made)


async def test_a_client_that_leaves_gets_no_audit() -> None:
    made, runner = await scene(route(NEVER), {"c": [well]}, BAD_PAIR, stream=True)
    reply = await made.life.answer()
    assert reply.deltas is not None
    await anext(reply.deltas)
    await reply.deltas.aclose()
    await runner.idle()
    assert outcomes(made) == []
    await sound(made)


async def test_a_listened_stream_that_nobody_reads_is_closed() -> None:
    made, runner = await scene(
        route(), {"a": [well], "b": [well], "c": [well]}, BAD_PAIR, stream=True
    )
    reply = await made.life.answer()
    assert reply.deltas is not None
    await reply.deltas.aclose()
    await runner.idle()
    assert outcomes(made) == []
    await sound(made)


@pytest.mark.parametrize("extras", [Extras(strategy="cascade"), Extras(checks=("not_empty",))])
async def test_who_says_how_is_not_guarded(extras: Extras) -> None:
    made, runner = await scene(route(), {"a": [well], "b": [well]}, BAD_PAIR, extras=extras)
    reply, _ = await given(made, runner)
    assert reply.candidate.model.name == "a"
    assert "guard" not in reply.reason
    assert outcomes(made) == []


async def test_a_rule_has_a_guard_of_its_own() -> None:
    ruled = route(NEVER, rules=(Rule("always", When(), ("cheap", "smart"), tactic("vote")),))
    made, runner = await scene(ruled, {"a": [well], "b": [well], "d": [well]}, GOOD_PAIR)
    reply, _ = await given(made, runner)
    assert reply.reason == "unjudged; rule always; guard"
    names = {name.rpartition(":")[0].rpartition(":")[0] for name in runner.guards._known}
    assert names == {"r", "r/always"}


async def test_a_checked_cascade_is_guarded_too() -> None:
    judged = route(ALWAYS, strategy=tactic("cascade"), checks=(GOOD,))
    turns = {"a": [well], "c": [says("GOOD", " three")]}
    made, runner = await scene(judged, turns, GOOD_PAIR)
    reply, _ = await given(made, runner)
    assert reply.reason == "passed"
    assert outcomes(made) == [("guard", "differed")]
    await sound(made)


def laddered(**more: object) -> Route:
    """Three tiers, each answer held against a check."""
    known = {"tiers": ("cheap", "mid", "smart"), "strategy": tactic("cascade"), "checks": (GOOD,)}
    return route(ALWAYS, **(known | more))


MID_FIRST: Final = Learned(
    weights(
        {tier: log(p / (1 - p)) for tier, p in (("cheap", 0.1), ("mid", 0.95), ("smart", 0.99))}
    )
)
three = says("GOOD", " three")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("more", "seen", "turns", "reason", "audits", "asked"),
    [
        pytest.param(
            {}, GOOD_PAIR, {"a": [poor], "c": [well], "d": [well]},
            "passed; a regex", [("guard", "agreed")], "a c d",
            id="on: what a middle tier was believed is audited",
        ),
        pytest.param(
            {}, GOOD_PAIR, {"a": [poor], "c": [poor], "d": [well]},
            "passed; a regex; c regex", [], "a c d",
            id="on: what the last tier said is not",
        ),
        pytest.param(
            {"learned": MID_FIRST}, GOOD_PAIR, {"c": [well], "d": [three]},
            "passed; learned mid", [("guard", "differed")], "c d",
            id="on: one that begins above the first tier is audited",
        ),
        pytest.param(
            {"learned": MID_FIRST}, BAD_PAIR, {"d": [well], "c": [well]},
            "passed; learned mid; guard", [("guard", "agreed")], "d c",
            id="off: one that would begin above the first tier is not begun there, and probed",
        ),
        pytest.param(
            {}, NEW, {"d": [well], "a": [poor], "c": [well]},
            "passed; guard", [("guard", "agreed")], "d a c",
            id="it learns: all below the last tier is climbed",
        ),
        pytest.param(
            {}, NEW, {"d": [well], "a": [poor], "c": [poor]},
            "passed; guard", [("guard", "undecided")], "d a c",
            id="it learns: the last tier is not asked once more",
        ),
        pytest.param(
            {"strategy": tactic("vote", {"join": True}), "checks": ()}, NEW,
            {"d": [well], "a": [well], "b": [other], "c": [well]},
            "unjudged; guard", [("guard", "agreed")], "d a b c",
            id="it learns: a tier that joins the vote joins the probe",
        ),
        pytest.param(
            {"strategy": tactic("vote", {"join": True}), "checks": ()}, NEW,
            {"d": [well], "a": [well], "b": [other], "c": [three]},
            "unjudged; guard", [("guard", "undecided")], "d a b c",
            id="it learns: a tier that joins the vote is not believed by itself",
        ),
    ],
)  # fmt: skip
async def test_what_is_answered_below_the_last_tier_is_guarded(
    more: dict[str, object], seen: Growth, turns: dict[str, list[Turn]], reason: str,
    audits: list[tuple[str, str]], asked: str, *, stream: bool,
) -> None:  # fmt: skip
    made, runner = await scene(laddered(**more), turns, seen, stream=stream)
    reply, _ = await given(made, runner)
    assert (reply.reason, outcomes(made)) == (reason, audits)
    assert made.upstream.asked == asked.split()
    await sound(made)


def test_other_weights_are_another_policy() -> None:
    """What was seen of one says nothing of the other; signals that are only kept change nothing."""
    routes = [laddered(learned=each) for each in (None, Learned(), MID_FIRST)]
    keys = [
        ladders(type(CATALOG)(CATALOG.models, CATALOG.tiers, {"r": each}))["r"].audit_policy
        for each in routes
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("turn", "outcome"),
    [(well, "agreed"), (other, "differed"), (says("x" * 99), "incomparable"), (faulty, "failed")],
)
async def test_a_shadow(turn: Turn, outcome: str, stream: bool) -> None:
    shadowed = route(None, tiers=("mid",), shadow=Shadow("s", 1.0), strategy=tactic("cascade"))
    made, runner = await scene(
        shadowed, {"c": [well], "d": [turn]}, stream=stream, others=[Route("s", ("smart",))]
    )
    reply, text = await given(made, runner)
    assert (text, reply.reason) == ("GOOD one", "unjudged")
    assert outcomes(made) == [("shadow", outcome)]
    assert [attempt.model for attempt in made.life.tab.attempts] == ["c"]
    entries = await made.ledger.records("t")
    kept = [entry.record for entry in entries if entry.record is not None]
    hidden = [each for each in kept if each.request == "r~shadow"]
    assert {(each.route, each.purpose) for each in hidden} - {("s", COMPARED)} == {("s", "audit")}
    compared = [each.outcome for each in hidden if each.purpose == COMPARED]
    assert compared == ([] if outcome == "failed" else [outcome])
    await sound(made)


@pytest.mark.parametrize(("draw", "asked"), [(0.4, 0), (0.6, 1)])
async def test_a_share_of_requests_has_a_shadow(draw: float, asked: int) -> None:
    shadowed = route(None, tiers=("mid",), shadow=Shadow("s", draw), strategy=tactic("cascade"))
    made, runner = await scene(
        shadowed, {"c": [well], "d": [well]}, others=[Route("s", ("smart",))]
    )
    await given(made, runner)
    assert len(outcomes(made)) == asked, "the world draws 0.5"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("share", "who", "name"), [(1.0, "d", "s"), (1e-9, "c", "r")])
async def test_a_canary(share: float, who: str, name: str, stream: bool) -> None:
    moved = route(None, tiers=("mid",), canary=Canary("s", share), strategy=tactic("cascade"))
    made, runner = await scene(
        moved, {"c": [well], "d": [well]}, stream=stream, others=[Route("s", ("smart",))]
    )
    reply, _ = await given(made, runner)
    assert reply.candidate.model.name == who
    assert reply.reason == ("unjudged; canary s" if name == "s" else "unjudged")
    (ended,) = told(made, events.Replied)
    assert ended.about.route == name
    (entry,) = await made.ledger.records("t")
    assert entry.record is not None
    assert entry.record.route == name
    assert made.life.tab.spent == (100 if who == "d" else 10) * ANSWER
    await sound(made)


def test_an_audit_takes_no_place_among_requests_at_once() -> None:
    places, day = Budget(1, "total", "at_once"), Budget(5, "day")
    whole = Account("tenant", "t", (places, day), "t")
    model = Account("model", EACH, (places,), "t")
    purse = without_places(Purse("t", (whole,), "org", (model,)))
    kept = (replaced(whole, budgets=(day,)),), (replaced(model, budgets=()),)
    assert (purse.accounts, purse.per_call, purse.home) == (*kept, "org")


def test_a_larger_share_has_the_tenants_of_a_smaller() -> None:
    tenants = [f"t{number}" for number in range(2_000)]
    few = {name for name in tenants if chosen(0.1, "auto", name)}
    more = {name for name in tenants if chosen(0.3, "auto", name)}
    assert few < more
    assert len(few) == pytest.approx(200, rel=0.2)
    assert len(more) == pytest.approx(600, rel=0.1)
    assert few != {name for name in tenants if chosen(0.1, "code", name)}, "of each route others"
    assert all(chosen(1.0, "auto", name) for name in tenants)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("turn", "who", "is_kept"), [(well, "c", True), (faulty, "a", False)])
async def test_a_stand_in_for_who_failed_is_not_given_again(
    turn: Turn, who: str, is_kept: bool, stream: bool
) -> None:
    """While the cheap ones are off their answer is better than none, but no answer for later."""
    turns = {"a": [well], "c": [turn]}
    made, runner = await scene(route(NEVER, cache=Cache()), turns, BAD_PAIR, stream=stream)
    life, responses = made.life, MemoryResponses(10**6, lambda: 0.0)
    given_to = life.tenant, life.purse, life.request, life.about, life.ladder, life.began
    made.life = CachingLife(replace(life.world, responses=responses), *given_to)
    reply, text = await given(made, runner)
    assert (text, reply.candidate.model.name) == ("GOOD one", who)
    assert (responses.size("t") > 0) == is_kept
    await sound(made)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("then", ["cascade", "repair", "retry_cheap", "hedge"])
async def test_who_is_off_stands_in_for_the_last_tier_whatever_takes_that(
    then: str, stream: bool
) -> None:
    chosen = tactic("vote", None, tactic(then))
    made, runner = await scene(
        route(NEVER, strategy=chosen, checks=(GOOD,)),
        {"a": [well], "c": [faulty]},
        BAD_PAIR,
        stream=stream,
    )
    reply, text = await given(made, runner)
    assert (text, reply.candidate.model.name) == ("GOOD one", "a")
    assert made.upstream.asked == ["c", "a"]
    assert reply.reason == "passed; guard; c faulty"
    await sound(made)
