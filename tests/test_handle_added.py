"""What a strategy adds to the client's messages, in the life of a request."""

import pytest
from msgspec import structs

from gateway.core.catalog import Catalog, Route
from gateway.core.strategies import tactic
from tests.lives import CATALOG, hear, poor, says, stage, well, whole, wrong

VOTE = Route("shown", ("cheap", "mid", "smart"), tactic("vote", {"show_votes": True}))
SHOWN = structs.replace(CATALOG, routes={"shown": VOTE})
votes = {"a": [well], "b": [says("BAD")]}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_votes_are_shown_in_the_message_of_the_user(stream: bool) -> None:
    scene = stage("shown", {**votes, "c": [well]}, stream=stream, catalog=SHOWN)
    await hear(scene.life)
    (asked,) = scene.upstream.requests[-1].json("messages")
    assert asked["content"].startswith("x" * 40 + "\n\nOther models drafted")
    assert "BAD" in asked["content"]
    await whole(scene)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_with_more_that_is_rejected_is_asked_of_others(stream: bool) -> None:
    """That is not its client's fault: without it, it was answered."""
    scene = stage("repair", {"a": [poor, wrong], "b": [poor, wrong], "c": [well]}, stream=stream)
    reply, text = await hear(scene.life)
    assert scene.upstream.asked == ["a", "a", "b", "b", "c"]
    assert (text, reply.candidate.model.name) == ("GOOD one", "c")
    await whole(scene)
    scene = stage("shown", {**votes, "c": [wrong], "d": [well]}, stream=stream, catalog=SHOWN)
    reply, _ = await hear(scene.life)
    assert reply.reason == "unjudged; a disagreed; c rejected"
    await whole(scene)


async def sizes(catalog: Catalog, *, stream: bool) -> list[tuple[int, int]]:
    """Of each call, the most tokens of its prompt and of its answer, as its provider is told."""
    scene = stage("repair", {"a": [poor, well]}, stream=stream, catalog=catalog)
    scene.life.request = structs.replace(scene.life.request, max_tokens=None)
    await hear(scene.life)
    await whole(scene)
    return [(each.prompt, each.max_output) for each in scene.upstream.candidates]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_added_counts_for_the_window_of_who_is_asked(stream: bool) -> None:
    """Ollama is told of a window of that size, and cuts off what is beyond it without a word; in
    vLLM prompt and answer must fit into the context together.
    """
    (first, answer), (second, same) = await sizes(CATALOG, stream=stream)
    assert second - first > 30, "the poor answer, and what was wrong with it"
    assert same == answer == 100
    full = structs.replace(CATALOG.models["a"], usable_context=first + 90)
    near = structs.replace(CATALOG, models={**CATALOG.models, "a": full})
    (_, whole_room), (prompt, room) = await sizes(near, stream=stream)
    assert (whole_room, prompt, room) == (90, second, 90 - (second - first))
