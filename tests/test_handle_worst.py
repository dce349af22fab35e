"""No life spends more than was told to be the worst; some spend as much."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.core import tokens
from gateway.core.catalog import Catalog, Check, Deployment, Route, Tactic
from gateway.core.chat import ChatRequest, Choice, ChoiceDelta, Completion, Delta, Extras, Usage
from gateway.core.errors import Broken, Faulty, GatewayError, Reset, Throttled, TimedOut
from gateway.core.explain import explain
from gateway.core.features import read_features
from gateway.core.flow import Deltas
from gateway.core.money import PER_USD, nanos
from gateway.core.plan import Candidate, PlanContext, in_its_tokens, make_plan
from gateway.core.shape import marks_cache
from gateway.core.strategies import tactic
from tests.lives import CATALOG, GOOD, Stage, hear, stage, whole

JUDGE: Final = Check("judge", {"model": "gpt-5", "rubric": "It is right."})
NO: Final = Check("not_refused")
SAYS: Final = {
    "good": "GOOD one",
    "other": "GOOD as well",
    "poor": "x" * 80,
    "refused": "I'm sorry, but I can't help with that.",
}
"""Of 20 tokens at most."""
FAILS: Final = {
    "late": TimedOut("late"),
    "faulty": Faulty("500"),
    "reset": Reset("closed"),
    "busy": Throttled("429", retry_after=2),
}
KINDS: Final = (*SAYS, *FAILS, "broken", "spent")
"""One that is broken, or spent, has been billed. The latter says when to come back, as Gemini."""


def routes() -> Mapping[str, Route]:
    last = tactic("retry_cheap", {"tries": 2})
    chosen: dict[str, Tactic] = {
        "cascade": tactic("cascade"),
        "hedge": tactic("hedge", then=last),
        "repair": tactic("repair", {"times": 2}),
        "retry": tactic("retry_cheap"),
        "plain": tactic("vote"),
        "vote": tactic("vote", {"show_votes": True}, last),
        "join": tactic("vote", {"join": True, "show_votes": True}),
        "race": tactic("vote", then=tactic("hedge", then=tactic("repair"))),
    }
    checks = {"open": (), "no": (NO,), "good": (GOOD,), "all": (NO, GOOD), "judged": (NO, JUDGE)}
    return {
        f"{name}-{what}": Route(f"{name}-{what}", ("cheap", "mid", "smart"), each, those)
        for name, each in chosen.items()
        for what, those in checks.items()
    }


def catalog(vendors: str) -> Catalog:
    """A model's vendor is the letter at its place."""
    names = (*CATALOG.models,)
    models = {
        name: structs.replace(
            CATALOG.models[name], deployments=(Deployment(f"{name}@p", vendor, name),)
        )
        for name, vendor in zip(names, vendors, strict=True)
    }
    tiers = {
        **CATALOG.tiers,
        "cheap": structs.replace(
            CATALOG.tiers["cheap"],
            models=(*CATALOG.tiers["cheap"].models, *CATALOG.tiers["mid"].models),
        ),
    }
    return Catalog(models, tiers, ROUTES)


ROUTES: Final = routes()


class Dear:
    """Bills each answer at its ceiling. `ends` says how a call ends."""

    def __init__(self, ends: Callable[[], str]) -> None:
        self.ends = ends

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        end = self._ends()
        if end == "spent":
            raise _spent(_billed(candidate, request))
        text = SAYS["poor"] if end == "broken" else SAYS[end]
        if candidate.model.name == "gpt-5":
            text = '{"pass": false}' if end in ("broken", "poor") else '{"pass": true}'
        return Completion((Choice(text=text),), usage=_billed(candidate, request))

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        end = self._ends()
        yield (Delta((ChoiceDelta(text=SAYS.get(end, "x")),)),)
        yield (Delta(usage=_billed(candidate, request)),)
        if end == "broken":
            raise Broken("it broke off")
        if end == "spent":
            raise _spent()

    def _ends(self) -> str:
        end = self.ends()
        if end in FAILS:
            raise FAILS[end]
        return end


def _spent(usage: Usage | None = None) -> Throttled:
    error = Throttled("429", retry_after=2)
    error.usage = usage and structs.replace(usage, completion=0)
    return error


def _billed(candidate: Candidate, request: ChatRequest) -> Usage:
    """All that may go in, and come out."""
    if candidate.model.name == "gpt-5":
        return Usage(read_features(request).prompt, candidate.max_output)
    first, *said = request.json("messages")
    alone = {**request.fields, "messages": msgspec.Raw(msgspec.json.encode([first]))}
    prompt = read_features(structs.replace(request, fields=alone)).prompt
    more = in_its_tokens(candidate.model, tokens.bound_of(said)) if said else 0
    written = prompt if marks_cache(bytes(request.fields["messages"])) else 0
    return Usage(prompt + more, candidate.max_output, cache_write=written)


def told(scene: Stage) -> int:
    """In nano-dollars, as it is told without a gateway."""
    life = scene.life
    features, context = read_features(life.request), PlanContext(life.tenant)
    plan = make_plan(life.ladder, features, context, lambda: 0.0)
    ladders = life.world.ladders
    values: Any = explain(life.request, features, plan, life.ladder, "", context, ladders)
    return nanos(Decimal(bytes(values["cost_usd"]["worst"]).decode()))


async def spent(scene: Stage, ends: Callable[[], str]) -> int:
    scene.life.world = replace(scene.life.world, upstream=Dear(ends))
    with suppress(GatewayError):
        await hear(scene.life)
    await whole(scene)
    return scene.life.tab.spent


@settings(max_examples=300, deadline=None)
@given(
    route=st.sampled_from([*ROUTES]),
    vendors=st.text("pq", min_size=5, max_size=5),
    stream=st.booleans(),
    most=st.none() | st.integers(2_000, 40_000),
    data=st.data(),
)
def test_no_life_spends_more_than_the_worst_that_was_told(
    route: str, vendors: str, stream: bool, most: int | None, data: st.DataObject
) -> None:
    extras = Extras(max_cost_usd=None if most is None else str(Decimal(most) / PER_USD))
    scene = stage(route, {}, stream=stream, catalog=catalog(vendors), extras=extras)
    worst = told(scene)
    assert asyncio.run(spent(scene, lambda: data.draw(st.sampled_from(KINDS)))) <= worst


@pytest.mark.parametrize(
    ("route", "stream", "ends"),
    [
        ("cascade-good", True, ("broken",) * 5),
        ("cascade-good", True, ("spent",) * 5),
        ("cascade-all", False, ("refused",) * 3 + ("poor",) * 2),
        ("retry-good", True, (("poor", "poor", "broken") * 3 + ("poor", "poor"))),
        ("hedge-good", True, ("broken",) * 2 + ("poor",) * 4),
        ("hedge-no", False, ("refused",) * 6),
        ("plain-good", True, ("broken", "good", "other", "poor", "poor")),
    ],
)
async def test_it_is_spent_when_each_call_fails_in_the_dearest_way(
    route: str, stream: bool, ends: Sequence[str]
) -> None:
    scene = stage(route, {}, stream=stream, catalog=catalog("pqrst"))
    worst, left = told(scene), list(ends)
    assert await spent(scene, lambda: left.pop(0)) == worst
    assert left == []


async def test_a_failure_may_have_written_a_cache() -> None:
    """As Claude's has whose first event an error follows. It costs more than to read its prompt."""
    own = catalog("pqrst")
    dear = {
        name: structs.replace(each, price=structs.replace(each.price, cache_write=10**9))
        for name, each in own.models.items()
    }
    scene = stage("cascade-open", {}, catalog=structs.replace(own, models=dear), budget=10**9)
    part = {"type": "text", "text": "x" * 40, "cache_control": {"type": "ephemeral"}}
    said = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": [part]}]))
    scene.life.request = structs.replace(scene.life.request, fields={"messages": said})
    worst, left = told(scene), ["spent"] * 4 + ["good"]
    assert await spent(scene, lambda: left.pop(0)) == worst
    assert left == []
