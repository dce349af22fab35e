"""Earlier answers sent back: calls, their ids and arguments, and the thoughts that led to them."""

import base64
import json
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import DIALECTS, bedrock
from gateway.wire.dialect import Target
from tests.wire.bedrock_messages import (
    TOOL,
    call,
    calls,
    result,
    used,
    user,
)
from tests.wire.bedrock_streams import CLAUDE, JSON, PROPERTY, add, body, end, kept, stop, turns
from tests.wire.bedrock_streams import call as streamed_call
from tests.wire.chats import assembled, chat

KIMI: Final = Target("moonshot.kimi-k2-thinking", 8_192)


@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_without_tools_to_call_earlier_calls_are_told_in_words(fields: JSON) -> None:
    """Neither toolUse nor toolResult may be in a request without toolConfig."""
    messages = [
        user("a"),
        calls(call(arguments='{"n":1e400}')),
        result(),
        result("c9", is_error=True),
    ]
    sent = body(CLAUDE, messages=messages, **fields)
    assert "toolConfig" not in sent
    assert [block["text"] for turn in sent["messages"] for block in turn["content"]] == [
        "a",
        'I called the tool weather with {"n":1e400}',
        "The tool weather answered:",
        "sunny",
        "The tool  failed:",
        "sunny",
    ]


THOUGHT: Final = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SEALED: Final = {"type": "redacted_thinking", "data": "EuoB"}
UNSIGNED: Final = {"type": "thinking", "thinking": "Hm."}


@pytest.mark.parametrize("upstream", ["us.amazon.nova-2-lite-v1:0", "us.meta.llama3-3-70b-v1:0"])
def test_thoughts_of_claude_do_not_go_to_other_models(upstream: str) -> None:
    said = {"role": "assistant", "content": "So.", "thinking_blocks": [THOUGHT, SEALED]}
    _, answer, _ = turns(user(), said, user(), target=Target(upstream, 8_192))
    assert answer["content"] == [{"text": "So."}]
    profile = Target("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", 8_192)
    _, answer, _ = turns(user(), said, user(), target=profile)
    assert len(answer["content"]) == 3


def test_a_cache_point_does_not_come_behind_thoughts_at_the_end() -> None:
    late = THOUGHT | {"after": {"characters": 3, "tool_calls": 0}}
    mark = {"type": "ephemeral"}
    said = {"role": "assistant", "content": "So.", "thinking_blocks": [late], "cache_control": mark}
    _, answer, _ = turns(user(), said, user())
    assert [*map(list, answer["content"])] == [["text"], ["cachePoint"]]


def test_thoughts_go_back_ahead_of_what_they_led_to() -> None:
    turn = calls(call(), content="So.", thinking_blocks=[THOUGHT, SEALED, UNSIGNED])
    _, answer, _ = turns(user(), turn, result(), tools=[TOOL])
    assert answer["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "RXVvQg=="}},
        {"text": "So."},
        used(),
    ]


GPT: Final = Target("us.openai.gpt-5.6-sol", 8_192)
BLOB: Final = base64.b64encode(b"rsn_\xff\x00").decode()
OPENAIS: Final = {"type": "redacted_content", "vendor": "openai", "data": BLOB}
REASONING: Final = {"reasoningContent": {"redactedContent": BLOB}}


def test_the_thoughts_of_openais_models_are_theirs_alone() -> None:
    """They are a blob. Claude answers 400 to it: a chat that began there could not climb."""
    use = {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {}}}
    whole = {"output": {"message": {"content": [REASONING, use]}}, "stopReason": "tool_use"}
    found = bedrock.decode(200, {}, json.dumps(whole).encode(), GPT).first
    assert kept(found.extra) == {"thinking_blocks": [OPENAIS]}
    halves = [base64.b64encode(each).decode() for each in (b"rsn_", b"\xff\x00")]
    pieces = [add(0, reasoningContent={"redactedContent": each}) for each in halves]
    decoder = bedrock.decoder(GPT)
    deltas = decoder.feed(b"".join([*pieces, end(0), streamed_call(1), stop("tool_use")]))
    assert kept(assembled(deltas).first.extra) == {"thinking_blocks": [OPENAIS]}


@pytest.mark.parametrize(
    ("upstream", "sent"),
    [
        ("us.openai.gpt-5.6-sol", True),
        ("openai.gpt-oss-120b-1:0", False),
        ("us.xai.grok-4-20", False),
        ("us.anthropic.claude-opus-4-8", False),
        ("us.amazon.nova-2-lite-v1:0", False),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", False),
    ],
)
def test_encrypted_thoughts_go_back_to_models_of_their_vendor(upstream: str, *, sent: bool) -> None:
    turn = calls(call(), thinking_blocks=[OPENAIS, THOUGHT, SEALED])
    _, answer, _ = turns(user(), turn, result(), tools=[TOOL], target=Target(upstream, 8_192))
    assert (REASONING in answer["content"]) is sent
    assert answer["content"][-1] == used()


def test_encrypted_thoughts_stay_with_the_call_that_they_led_to() -> None:
    """Text and calls have turns of their own for these models, and none may end in thoughts."""
    late = OPENAIS | {"after": {"characters": 3, "tool_calls": 0}}
    turn = calls(call(), content="So.", thinking_blocks=[OPENAIS, late])
    _, first, _, second, _ = turns(user(), turn, result(), tools=[TOOL], target=GPT)
    assert first["content"] == [REASONING, {"text": "So."}]
    assert second["content"] == [REASONING, used()]


def test_encrypted_thoughts_do_not_go_to_anthropic() -> None:
    turn = calls(call(), thinking_blocks=[OPENAIS])
    request = chat(messages=[user(), turn, result()], tools=[TOOL])
    for dialect in ("anthropic", "anthropic-vertex", "bedrock-invoke"):
        call_there = DIALECTS[dialect].encode(request, Target("claude-opus-4-8", 9), stream=False)
        assert b"redacted" not in call_there.body


@pytest.mark.parametrize(("thoughts", "thinks"), [([THOUGHT], True), ([], False)])
def test_thinking_goes_on_only_with_the_thoughts_of_the_last_call(
    thoughts: list[JSON], thinks: bool
) -> None:
    messages = [user(), calls(call(), thinking_blocks=thoughts), result()]
    sent = body(CLAUDE, messages=messages, tools=[TOOL], reasoning_effort="low")
    assert ("additionalModelRequestFields" in sent) is thinks


IDS: Final = [
    (CLAUDE, "call_abc-1", False),
    (KIMI, "functions.weather:0", False),
    (CLAUDE, "functions.weather:0", True),
    (KIMI, "a b", True),
    (CLAUDE, "x" * 65, True),
]


@pytest.mark.parametrize(("target", "given", "replaced"), IDS)
def test_an_id_that_the_model_refuses_is_replaced_in_call_and_result(
    target: Target, given: str, replaced: bool
) -> None:
    _, asked, told = turns(user(), calls(call(given)), result(given), target=target, tools=[TOOL])
    made = asked["content"][0]["toolUse"]["toolUseId"]
    assert made == told["content"][0]["toolResult"]["toolUseId"]
    assert re.fullmatch(r"tooluse_[0-9a-f]{22}" if replaced else re.escape(given), made)


NUMBERS: Final = ["1e400", "0.1000", "12345678901234567890123", "-0", "1E+2"]
ARGUMENTS: Final = st.dictionaries(
    st.text(max_size=4), st.sampled_from(NUMBERS) | st.text(max_size=4).map(json.dumps), max_size=4
).map(lambda fields: "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in fields.items()) + "}")


@PROPERTY
@given(ARGUMENTS)
def test_arguments_are_sent_as_they_were_written(arguments: str) -> None:
    messages = [user(), calls(call(arguments=arguments)), result()]
    sent = bedrock.encode(chat(messages=messages, tools=[TOOL]), CLAUDE, stream=False)
    assert f'"input":{arguments}'.encode() in sent.body


@pytest.mark.parametrize("nothing", ["", " ", "null", '""', None])
def test_no_arguments_are_an_empty_object(nothing: str | None) -> None:
    _, asked, _ = turns(user(), calls(call(arguments=nothing)), result(), tools=[TOOL])
    assert asked["content"] == [used()]
