"""What each quirk makes of the messages; everything else in them stays byte for byte."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.openai.messages import FOREIGN_FIELDS, adapt_messages, short_id
from tests.wire.chats import chat

JSON = dict[str, Any]

ASK: JSON = {"role": "user", "content": "Hi"}
DEVELOPER: JSON = {"role": "developer", "content": "Be brief"}
CALL: JSON = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SHORT: JSON = {**CALL, "id": "AbCdEf012"}
TOOL: JSON = {"type": "function", "function": {"name": "f"}}
CALLED: JSON = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT: JSON = {"role": "tool", "tool_call_id": "call_1", "content": "5"}
SAID: JSON = {"role": "assistant", "content": "Hello"}
ALOUD: JSON = {"role": "assistant", "content": "<think>hm</think>Hello"}
UNSET: JSON = {"refusal": None, "annotations": [], "audio": None, "function_call": None}
SET: JSON = {"refusal": "No", "annotations": [{}], "audio": {"id": "a"}, "function_call": {}}
BETWEEN: JSON = {"role": "assistant", "content": "OK."}
SIGNED: JSON = CALL | {"id": "call_1__thought__c2ln", "extra_content": {"google": {}}}
THOUGHT: JSON = {"reasoning_content": "hm"}
NEW = short_id("call_1")

PREPARED: list[tuple[str, tuple[str, ...], list[JSON], list[JSON]]] = [
    # title, quirks, messages, what is sent
    ("nothing to do", (), [DEVELOPER, ASK, CALLED, RESULT, ASK], [DEVELOPER, ASK, CALLED, RESULT,
                                                                  ASK]),
    ("thoughts stay here", (), [ASK, SAID | THOUGHT, ASK], [ASK, SAID, ASK]),
    ("all kinds of them", (), [SAID | dict.fromkeys(FOREIGN_FIELDS, "x"), ASK], [SAID, ASK]),
    ("thoughts of a user are words", (), [ASK | THOUGHT, SAID], [ASK | THOUGHT, SAID]),
    ("thoughts go back", ("echo_reasoning",), [SAID | THOUGHT, ASK], [SAID | THOUGHT, ASK]),
    ("none with a call", ("echo_reasoning",), [CALLED, RESULT],
     [CALLED | {"reasoning_content": ""}, RESULT]),
    ("none without", ("echo_reasoning",), [SAID, ASK], [SAID, ASK]),
    ("none after a result", ("echo_reasoning",), [CALLED | THOUGHT, RESULT, SAID, ASK],
     [CALLED | THOUGHT, RESULT, SAID | {"reasoning_content": ""}, ASK]),
    ("none, but in its text", ("echo_reasoning",), [CALLED | THOUGHT, RESULT, ALOUD],
     [CALLED | THOUGHT, RESULT, ALOUD]),
    ("under another name", ("echo_reasoning",), [CALLED | {"reasoning": "hm"}],
     [CALLED | {"reasoning": "hm", "reasoning_content": "hm"}]),
    ("null with a call", ("echo_reasoning",), [CALLED | {"reasoning_content": None}],
     [CALLED | {"reasoning_content": ""}]),
    ("null, and another name", ("echo_reasoning",),
     [CALLED | {"reasoning_content": None, "reasoning": "hm"}],
     [CALLED | {"reasoning_content": "hm", "reasoning": "hm"}]),
    ("null twice", ("echo_reasoning",), [CALLED | {"reasoning_content": None, "reasoning": None}],
     [CALLED | {"reasoning_content": "", "reasoning": None}]),
    ("both", ("echo_reasoning",), [CALLED | THOUGHT | {"reasoning": "x"}],
     [CALLED | THOUGHT | {"reasoning": "x"}]),
    ("each by its name", ("takes_reasoning",), [SAID | THOUGHT | {"reasoning": "x"}],
     [SAID | {"reasoning": "x"}]),
    ("content of them", ("takes_reasoning_content",), [CALLED | THOUGHT | {"reasoning": "x"}],
     [CALLED | THOUGHT]),
    ("signed ones", ("takes_reasoning", "takes_reasoning_details"),
     [CALLED | dict.fromkeys(FOREIGN_FIELDS, "x"), RESULT],
     [CALLED | {"reasoning": "x", "reasoning_details": "x"}, RESULT]),
    ("taken, but none there", ("takes_reasoning_content",), [CALLED, RESULT], [CALLED, RESULT]),
    ("signed by Google", (), [CALLED | {"tool_calls": [SIGNED, CALL]},
                              RESULT | {"tool_call_id": SIGNED["id"]}],
     [CALLED | {"tool_calls": [CALL, CALL]}, RESULT]),
    ("what an answer has unset", ("no_developer_role",), [SAID | UNSET, ASK | UNSET],
     [SAID, ASK | UNSET]),
    ("unset at OpenAI", (), [SAID | UNSET], [SAID | UNSET]),
    ("set", ("no_developer_role",), [SAID | SET], [SAID | SET]),
    ("developer", ("no_developer_role",), [DEVELOPER, ASK], [DEVELOPER | {"role": "system"}, ASK]),
    ("user after tool", ("no_user_after_tool",), [CALLED, RESULT, RESULT, ASK, ASK],
     [CALLED, RESULT, RESULT, BETWEEN, ASK, ASK]),
    ("answer after tool", ("no_user_after_tool",), [CALLED, RESULT, SAID, ASK],
     [CALLED, RESULT, SAID, ASK]),
    ("long ids", ("short_tool_ids",), [CALLED, RESULT],
     [CALLED | {"tool_calls": [CALL | {"id": NEW}]}, RESULT | {"tool_call_id": NEW}]),
    ("short ids", ("short_tool_ids",), [CALLED | {"tool_calls": [SHORT]}],
     [CALLED | {"tool_calls": [SHORT]}]),
    ("no ids", ("short_tool_ids",), [SAID | {"tool_calls": None}, RESULT | {"tool_call_id": None}],
     [SAID | {"tool_calls": None}, RESULT | {"tool_call_id": None}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "quirks", "messages", "sent"), PREPARED, ids=[case[0] for case in PREPARED]
)
def test_what_is_sent(
    title: str, quirks: tuple[str, ...], messages: list[JSON], sent: list[JSON]
) -> None:
    given = Raw(msgspec.json.encode(messages))
    told = adapt_messages(given, quirks)
    assert json.loads(bytes(told)) == sent, title
    assert (told is given) == (messages == sent), "what need not change is not written anew"


def test_where_tools_are_offered_each_answer_has_thoughts() -> None:
    quirks = frozenset({"echo_reasoning"})
    target = Target("deepseek-v4-pro", 500, quirks)
    for tools, sent in (([TOOL], SAID | {"reasoning_content": ""}), ([], SAID), (None, SAID)):
        request = chat(messages=[ASK, SAID, ASK], tools=tools)
        call = openai.encode(request, target, stream=False)
        assert json.loads(call.body)["messages"] == [ASK, sent, ASK]


def test_what_is_not_changed_keeps_its_bytes() -> None:
    odd = b'{"role": "assistant", "content" : "caf\\u00e9", "x": 1.0e0, "reasoning": "y"}'
    told = bytes(adapt_messages(Raw(b"[" + odd + b"]"), ()))
    assert b'"caf\\u00e9"' in told
    assert b"1.0e0" in told
    assert b"reasoning" not in told


@pytest.mark.parametrize("messages", [b"7", b"[7]", b'[{"role":7}]', b'["assistant"]'])
def test_what_are_no_messages_is_said(messages: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        adapt_messages(Raw(messages), ("no_developer_role",))
    assert caught.value.param == "messages"


@given(st.text())
def test_short_ids_are_short_and_stay(given: str) -> None:
    made = short_id(given)
    assert len(made) == 9
    assert made.isascii()
    assert made.isalnum()
    assert short_id(made) == made == short_id(given)
