"""What is explained is what is done: through the running service, of every strategy."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.commands.explain import explain_request
from gateway.core.chat import ChatRequest
from gateway.core.money import nanos
from gateway.simulator.answers import REFUSAL, Answer
from tests.service.played import Scene, Stage, playing

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAYS: Final = {
    "no": Answer(REFUSAL),
    "42": Answer("42"),
    "43": Answer("43"),
    "long": Answer("It is forty-two, if I am not mistaken. " * 100),
    "GOOD": Answer("GOOD: 42"),
    "false": Answer('{"pass": false, "why": "it is wrong"}'),
}
GOOD: Final = "checks: [{regex: {pattern: GOOD}}]"
NO: Final = "checks: [not_refused]"
LONG: Final = "What is 6 by 7? " * 200
"""A prompt whose plan is kept, for all of about its size."""
SCENES: Final = tuple(
    Scene(name, rungs, more, question=LONG)
    for name, rungs, more in (
        ("flows", "a=42 b=43 > m=42", ""),
        ("falls", "a=!error500 b=42 > m=42", ""),
        ("climbs", "a=no b=no c=no > m=no > s=42", NO),
        ("votes", "a=42 b=43 c=long > m=42", "strategy: {vote: {show_votes: true}}"),
        ("agree", "a=42 b=42 > m=42", "strategy: vote"),
        ("joins", "a=42 b=43 > m=long > s=42", "strategy: {vote: {join: true}}"),
        ("refusing", "a=no b=42 c=43 > m=42", f"strategy: vote, {NO}"),
        ("races", "a=no b=no c=long > m=GOOD", f"strategy: {{hedge: {{after_ms: 1}}}}, {GOOD}"),
        ("repairs", "a=long > m=42 > s=GOOD", f"strategy: {{repair: {{times: 3}}}}, {GOOD}"),
        ("retries", "a=long > m=long > s=42", f"strategy: retry_cheap, {GOOD}"),
        ("judged", "a=42 > s=false", "checks: [{judge: {model: judged-s, rubric: right}}]"),
    )
)
ALONE: Final = Scene("alone", "a=42")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with playing((*SCENES, ALONE), SAYS) as played:
        yield played


def asked(scene: Scene, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": scene.question}]
    return {"model": scene.name, "messages": messages, "stream": stream}


async def explained(stage: Stage, body: dict[str, Any]) -> Any:
    got = await stage.client.post("/v1/route/explain", json=body)
    return json.loads(got.text, parse_float=Decimal)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_who_is_asked_what_is_held_and_what_it_costs(
    stage: Stage, scene: Scene, stream: bool
) -> None:
    body = asked(scene, stream=stream)
    told = await explained(stage, body)
    done = await stage.play(scene, stream=stream)
    assert done.status == 200, done.body
    assert done.cost <= nanos(told["cost_usd"]["worst"])
    rungs = {rung["tier"].removeprefix(f"{scene.name}-"): rung for rung in told["rungs"]}
    rung = rungs[done.tier]
    assert done.flows is rung["flows"] or rung["checks"]  # what is decided early flows from there
    ceilings = {
        (each["model"], each["provider"]): nanos(each["worst_usd"])
        for rung in told["rungs"]
        for each in rung["candidates"]
    }
    first = done.records[0]
    assert first.held == ceilings[first.model, first.provider]
    here = stage.service.snapshot
    sent = json.dumps(body, separators=(",", ":")).encode()
    alone = explain_request(here, sent, here.tenants["acme"])
    assert json.loads(json.dumps(alone)) == json.loads(json.dumps(told, default=float))


async def test_where_nothing_seems_to_fit_it_is_counted_as_for_an_answer(stage: Stage) -> None:
    door = stage.service.gateway.front.door
    before = door.now

    async def exactly(request: ChatRequest) -> int:
        return 9

    body = asked(replace(ALONE, question="x" * 400_000), stream=False)
    assert (await explained(stage, body))["rungs"] == []
    door.reconfigure(replace(before, world=replace(before.world, exact_tokens=exactly)))
    try:
        told = await explained(stage, body)
    finally:
        door.reconfigure(before)
    assert told["features"]["bound"]["exact"] == 9
