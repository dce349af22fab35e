"""A life that begins where it was learned: streamed and not, and what its record keeps."""

import pytest
from msgspec import structs

from gateway.core.catalog import Check, Route, Tier, TierModel
from gateway.core.chat import Extras
from gateway.core.events import Escalated, FellBack, Settled
from gateway.core.learned import Learned
from gateway.core.learned.signals import kept, read_signals
from gateway.core.strategies import tactic
from tests.core.test_first_rung import odds
from tests.lives import (
    CATALOG,
    Stage,
    Turn,
    faulty,
    hear,
    poor,
    says,
    stage,
    told,
    well,
    whole,
)
from tests.weights import weights

SURE = Learned(weights(odds(cheap=0.2, mid=0.95, smart=0.97)), 0.9, 0.0)
SHORT = Route("short", ("cheap", "mid"), checks=(Check("not_refused"),), learned=SURE)


def begun(
    turns: dict[str, list[Turn]],
    *,
    learned: Learned | None = SURE,
    stream: bool = False,
    asked: str = "judged",
    extras: Extras | None = None,
) -> Stage:
    route = structs.replace(CATALOG.routes[asked], learned=learned)
    catalog = structs.replace(CATALOG, routes={**CATALOG.routes, asked: route})
    return stage(asked, turns, stream=stream, catalog=catalog, extras=extras)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_rung_is_left_out(stream: bool) -> None:
    scene = begun({"c": [well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", "c")
    assert reply.reason == "passed; learned mid"
    assert [event.record.purpose for event in told(scene, Settled)] == ["answer"]
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_where_it_begins_is_told_once_when_its_tokens_are_counted_again(
    stream: bool,
) -> None:
    tiers = {**CATALOG.tiers, "mid": Tier("mid", (TierModel("gpt-5"),))}
    route = structs.replace(CATALOG.routes["judged"], learned=SURE)
    catalog = structs.replace(CATALOG, tiers=tiers, routes={"judged": route})
    turns = {"gpt-5": [well]}
    scene = stage("judged", turns, stream=stream, catalog=catalog, budget=125, exact=5)
    reply, _ = await hear(scene.life)
    assert (reply.candidate.model.name, reply.reason) == ("gpt-5", "passed; learned mid")
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_poor_answer_climbs_from_there(stream: bool) -> None:
    scene = begun({"c": [poor], "d": [well]}, stream=stream)
    reply, _ = await hear(scene.life)
    assert reply.candidate.model.name == "d"
    (climbed,) = told(scene, Escalated)
    assert (climbed.from_tier, climbed.to_tier) == ("mid", "smart")
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_was_left_out_answers_when_the_others_fail(stream: bool) -> None:
    scene = begun({"c": [faulty], "a": [well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("GOOD one", "a")
    (fell,) = told(scene, FellBack)
    assert (fell.from_model, fell.to_model) == ("c", "a")
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_was_left_out_is_not_cut_when_nobody_else_is_left(stream: bool) -> None:
    """What goes on is worth more than its beginning."""
    refused = says("I'm sorry, but I can't help with that request at all, ", "as it is.")
    catalog = structs.replace(CATALOG, routes={"short": SHORT})
    scene = stage("short", {"c": [faulty], "a": [refused]}, stream=stream, catalog=catalog)
    reply, text = await hear(scene.life)
    assert (text, reply.candidate.model.name) == ("".join(refused.said), "a")
    assert reply.completion is not None
    assert reply.completion.first.finish == "stop"
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_was_left_out_is_not_asked_when_the_first_declines(stream: bool) -> None:
    """It is asked when those above fail; a refusal leads up, to another vendor or not."""
    refused = says("I'm sorry, but I can't help with that request at all.")
    models = {
        name: structs.replace(model, deployments=(structs.replace(one, provider=name),))
        for name, model in CATALOG.models.items()
        for one in model.deployments
    }
    routes = {"short": structs.replace(SHORT, tiers=("cheap", "mid", "smart"))}
    catalog = structs.replace(CATALOG, models=models, routes=routes)
    turns = {"c": [refused], "a": [well], "d": [well]}
    scene = stage("short", turns, stream=stream, catalog=catalog)
    reply, _ = await hear(scene.life)
    assert scene.upstream.asked == ["c", "d"]
    assert reply.reason == "passed; learned mid; c not_refused"
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_route_without_checks_flows_from_there(stream: bool) -> None:
    scene = begun({"c": [well]}, stream=stream, asked="open")
    reply, text = await hear(scene.life)
    assert (text, reply.deltas is not None) == ("GOOD one", stream)
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_vote_that_is_left_out_is_no_vote_of_others(stream: bool) -> None:
    scene = begun({"c": [well]}, stream=stream, asked="vote")
    assert CATALOG.routes["vote"].strategy == tactic("vote")
    reply, _ = await hear(scene.life)
    assert (reply.candidate.model.name, reply.reason) == ("c", "unjudged; learned mid")
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("learned", "extras", "keeps"),
    [
        (None, None, False),
        (Learned(), None, True),
        (Learned(weights(odds(cheap=0.95, mid=0.9, smart=0.9))), None, True),
        (SURE, Extras(checks=("not_refused",)), False),
        (SURE, Extras(strategy="cascade"), False),
    ],
    ids=["nothing", "only kept", "the first", "own checks", "own strategy"],
)
async def test_the_first_record_keeps_what_can_be_learned(
    learned: Learned | None, extras: Extras | None, keeps: bool, stream: bool
) -> None:
    scene = begun({"a": [poor], "c": [well]}, learned=learned, stream=stream, extras=extras)
    await hear(scene.life)
    assert scene.upstream.asked[0] == "a"
    records = [entry.record for entry in await scene.ledger.records("t")]
    found = [record.signals for record in records if record is not None]
    wanted = kept(read_signals(scene.life.request)) if keeps else ()
    assert found == [wanted, *[()] * (len(found) - 1)]
    await whole(scene)
