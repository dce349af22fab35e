"""What a strategy adds to the client's messages, in the life of a request."""

import pytest
from msgspec import structs

from gateway.core.catalog import Route
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
