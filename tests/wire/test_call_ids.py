"""Calls that share an id: some hosts count the calls of each answer anew."""

import json
from typing import Any

import pytest

from gateway.wire import DIALECTS
from gateway.wire.calls import CallIds
from gateway.wire.dialect import Target
from tests.wire.anthropic_messages import WEATHER, call, calls, result, user
from tests.wire.chats import chat

TARGETS = {
    "anthropic": Target("claude-opus-4-8", 90),
    "bedrock": Target("us.anthropic.claude-opus-4-8", 90),
    "gemini": Target("gemini-3.1-pro", 90),
}


def pairs(dialect: str, *messages: Any) -> list[tuple[str, str, Any]]:
    """(kind, id, name or content) of each call and each result that is sent, in order."""
    request = chat(messages=messages, tools=[WEATHER])
    sent = json.loads(DIALECTS[dialect].encode(request, TARGETS[dialect], stream=False).body)
    if dialect == "gemini":
        parts = [part for turn in sent["contents"] for part in turn["parts"]]
        return [
            ("call", part["functionCall"]["id"], part["functionCall"]["name"])
            if "functionCall" in part
            else ("result", part["functionResponse"]["id"], part["functionResponse"]["name"])
            for part in parts
            if "text" not in part
        ]
    blocks = [block for message in sent["messages"] for block in message["content"]]
    if dialect == "anthropic":
        return [
            ("call", block["id"], block["name"])
            if block["type"] == "tool_use"
            else ("result", block["tool_use_id"], block["content"])
            for block in blocks
            if block["type"] != "text"
        ]
    return [
        ("call", block["toolUse"]["toolUseId"], block["toolUse"]["name"])
        if "toolUse" in block
        else (
            "result",
            block["toolResult"]["toolUseId"],
            block["toolResult"]["content"][0]["text"],
        )
        for block in blocks
        if "text" not in block
    ]


@pytest.mark.parametrize("dialect", TARGETS)
def test_an_id_that_an_earlier_answer_had_is_made_another(dialect: str) -> None:
    """Claude answers 400 to it: a route could not climb there from TGI."""
    named = dialect == "gemini"
    first, second = calls(call("0")), calls(call("0"))
    assert pairs(dialect, user(), first, result("0", "a"), second, result("0", "b")) == [
        ("call", "0", "weather"),
        ("result", "0", "weather" if named else "a"),
        ("call", "0_2", "weather"),
        ("result", "0_2", "weather" if named else "b"),
    ]


@pytest.mark.parametrize("dialect", TARGETS)
def test_calls_of_one_answer_that_share_an_id_are_told_apart(dialect: str) -> None:
    named = dialect == "gemini"
    both = calls(call("0", "f"), call("0", "g"))
    assert pairs(dialect, user(), both, result("0", "a"), result("0", "b")) == [
        ("call", "0", "f"),
        ("call", "0_2", "g"),
        ("result", "0", "f" if named else "a"),
        ("result", "0_2", "g" if named else "b"),
    ]


def test_results_follow_their_calls() -> None:
    ids = CallIds()
    assert ids.of_result("a") == "a"  # of no call
    assert [ids.of_call("a"), ids.of_call("b"), ids.of_call("a")] == ["a", "b", "a_2"]
    assert [ids.of_result(each) for each in "bab"] == ["b", "a", "b"]
    assert [ids.of_result("a"), ids.of_result("a")] == ["a_2", "a_2"]  # one told twice


def test_many_calls_of_one_id_take_no_time_by_their_square() -> None:
    ids = CallIds()
    given = [ids.of_call("0") for _ in range(50_000)]
    assert [ids.of_result("0") for _ in given] == given
    assert len(set(given)) == len(given)
