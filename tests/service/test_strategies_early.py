"""Streamed answers that are judged while they come, through the running service: what fails is cut
and climbed, and its rest is neither generated nor billed; what passes flows before it is whole. The
same questions without streaming are decided alike, and paid whole.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.simulator.answers import REFUSAL, Answer, Call
from gateway.simulator.bill import tokens_in
from tests.service.played import Scene, Stage, Told, metrics, playing, risen

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAUSE_S: Final = 0.003
ENGLISH: Final = "This is what the answer of the model to the question would have been like. " * 12
GERMAN: Final = "Das ist eine Antwort, die nicht auf Englisch ist und mit der wir leben. " * 12


def called(name: str) -> Answer:
    arguments = json.dumps({"city": "Paris", "note": "x" * 900})
    return Answer(calls=(Call(name, arguments),), finish="tool_calls")


SAYS: Final = {
    "no": Answer(f"{REFUSAL} {ENGLISH}"),
    "english": Answer(ENGLISH),
    "german": Answer(GERMAN),
    "short": Answer("Six by seven is forty-two."),
    "json": Answer(json.dumps({"answer": ENGLISH})),
    "no-json": Answer('{"answer": 42, oops, "why": "' + ENGLISH),
    "wrong-json": Answer('{"answer": "many"}\n' + ENGLISH),
    "f": called("f"),
    "h": called("h"),
}
TOOLS: Final[dict[str, Any]] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "note": {"type": "string"}},
                },
            },
        }
    ]
}
JSON: Final[dict[str, Any]] = {"response_format": {"type": "json_object"}}
SCHEMA: Final = '{"type": "object", "properties": {"answer": {"type": "integer"}}}'

# Whose answer fails how: the checks, what the first and the second rung say, what is asked beside.
FAILS: Final[dict[str, tuple[str, str, str, dict[str, Any]]]] = {
    "not_refused": ("not_refused", "no", "english", {}),
    "language": ("{language: de}", "english", "german", {}),
    "tool_known": ("tool_known", "h", "f", TOOLS),
    "tools_valid": ("tools_valid", "h", "f", TOOLS),
    "json_if_asked": ("json_if_asked", "no-json", "json", JSON),
    "schema": (f"{{schema: {{schema: '{SCHEMA}'}}}}", "wrong-json", "json", {}),
    "length": ("{length: {max_words: 20}}", "english", "short", {}),
}
# Whose answer passes when: the checks, what is said, and how the metrics tell it.
PASSES: Final = {
    "unchecked": ("", "english", "no"),
    "refusals": ("checks: [not_refused, not_empty]", "english", "early"),
    "words": ("checks: [{length: {min_words: 5}}]", "english", "early"),
    "in-german": ("checks: [{language: de}]", "german", "early"),
    "its-end": ("checks: [not_refused, complete]", "english", "whole"),
    "compared": ("strategy: vote", "short", "whole"),
}


def failing(name: str) -> Scene:
    checks, first, second, ask = FAILS[name]
    # A schema that nothing of this fits: who is asked last is not held to it.
    tier = f"a={first} > m={second}"
    return Scene(f"cut-{name}", tier, f"checks: [{checks}]", ask, "Tell me six by seven as JSON.")


def passing(name: str) -> Scene:
    more, says, _ = PASSES[name]
    return Scene(f"flow-{name}", f"a={says} b={says} > m={says}", more)


ALONE: Final = Scene("alone", "a=no", "checks: [not_refused]")
SIDEWAYS: Final = Scene("sideways", "a=no b=english > m=english", "checks: [not_refused]")
DOWN: Final = Scene("down-above", "a=no > m=!error500", "checks: [not_refused]")
SCENES: Final = (*map(failing, FAILS), *map(passing, PASSES), ALONE, SIDEWAYS, DOWN)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with playing(SCENES, SAYS, pause_s=PAUSE_S) as played:
        yield played


async def cut_at(stage: Stage, told: Told, size: int) -> None:
    """The call that was cut is on the provider's bill with what it had sent by then."""
    service = stage.service
    await service.simulator.idle()
    bill = service.simulator.bill
    (theirs,) = [call for call in bill.calls if not call.whole]
    (ours,) = [record for record in told.records if record.outcome == "cut"]
    assert await service.audit_ours("acme") - ours.cost == bill.cost - theirs.cost
    assert ours.counted
    # What it sends until it hears that nobody listens is a matter of milliseconds.
    assert ours.usage.completion <= theirs.completion_tokens
    assert theirs.completion_tokens < tokens_in(size) / 2, "the rest was never generated"


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAM
@pytest.mark.parametrize("name", FAILS)
async def test_what_fails_early_is_cut_and_climbed(stage: Stage, name: str, stream: bool) -> None:
    scene, (_, first, second, _) = failing(name), FAILS[name]
    told = await stage.play(scene, stream=stream)
    assert told.status == 200, told.body
    kept = "best_effort" if name == "schema" else "passed"
    assert f"{told.model} {told.tier} {told.reason}" == f"m 1 {kept}; a {name}"
    assert told.escalations == 1
    assert told.calls == [f"a answer {'cut' if stream else 'ok'}", "m escalation ok"]
    assert told.text.strip() == SAYS[second].text.strip()
    if not stream:
        await stage.audit()
        return
    await cut_at(stage, told, SAYS[first].size)
    health = stage.service.gateway.world.health
    assert not health.down(stage.service.gateway.world.clock()), "its provider did nothing wrong"


async def test_a_refusal_is_cut_before_another_vendor_is_asked(stage: Stage) -> None:
    told = await stage.play(SIDEWAYS, stream=True)
    assert f"{told.model} {told.reason}" == "b passed; a not_refused"
    assert told.calls == ["a answer cut", "b fallback ok"]
    await cut_at(stage, told, SAYS["no"].size)


async def test_the_best_of_what_was_cut_is_given_as_not_whole(stage: Stage) -> None:
    told = await stage.play(DOWN, stream=True)
    assert f"{told.model} {told.reason}" == "a best_effort; a not_refused"
    assert SAYS["no"].text.startswith(told.text)
    assert len(told.text) < len(SAYS["no"].text) / 2
    assert '"finish_reason":"length"' in told.body


@STREAM
async def test_the_highest_rung_is_not_cut(stage: Stage, stream: bool) -> None:
    told = await stage.play(ALONE, stream=stream)
    assert f"{told.model} {told.reason} {told.calls}" == "a best_effort ['a answer ok']"
    assert told.text.strip() == SAYS["no"].text.strip()
    await stage.audit()


@STREAM
@pytest.mark.parametrize("name", PASSES)
async def test_when_the_first_token_comes(stage: Stage, name: str, stream: bool) -> None:
    """What is decided early flows early; the metrics tell how long each kind takes."""
    scene, (_, says, judged) = passing(name), PASSES[name]
    before = metrics(stage.service)
    told = await stage.play(scene, stream=stream)
    assert told.text.strip() == SAYS[says].text.strip()
    assert told.flows is (stream and judged != "whole")
    counted = risen(before, metrics(stage.service), "gateway_time_to_first_token_seconds_count")
    series = (judged, f"{scene.name}-a", "openai", scene.name)
    assert counted == ({series: 1} if stream else {})
    await stage.audit()
    if not stream:
        return
    assert told.replied is not None
    took, first = told.replied.seconds, told.replied.first_token_s
    assert (first is None) is (judged == "whole")
    if first is not None:  # of what is paced, more than half was still to come
        paced = PAUSE_S * told.body.count("data: ")
        assert took - first > paced / 2, f"its first token came after {first} of {took} s"
