"""What the Messages API cannot say is refused by name, and arguments are never altered."""

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.wire import anthropic
from tests.wire.anthropic_messages import (
    JSON,
    WEATHER,
    call,
    calls,
    result,
    used,
    user,
)
from tests.wire.anthropic_streams import PROPERTY, TARGET, WORDS, body, turns
from tests.wire.chats import chat

REFUSED: Final[dict[str, tuple[JSON, str]]] = {
    "two answers": ({"n": 2}, "n"),
    "log probabilities": ({"logprobs": True}, "logprobs"),
    "sound": ({"modalities": ["text", "audio"], "audio": {}}, "audio"),
    "functions": ({"functions": [{"name": "f"}]}, "functions"),
    "web search": ({"web_search_options": {}}, "web_search_options"),
    "a place with a price of its own": ({"inference_geo": "us"}, "inference_geo"),
    "no messages": ({"messages": []}, "messages"),
    "no content": ({"messages": [user("  ")]}, "messages"),
    "messages of another kind": ({"messages": "Hi"}, "messages"),
    "an unknown role": ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
    "content of another kind": ({"messages": [user(7)]}, "messages[0].content"),
    "an unknown part": (
        {"messages": [user([{"type": "input_audio", "input_audio": {}}])]},
        "messages[0].content[0]",
    ),
    "a plain address": (
        {"messages": [user([{"type": "image_url", "image_url": {"url": "http://a/b.png"}}])]},
        "messages[0].content[0].image_url.url",
    ),
    "an image nobody reads": (
        {"messages": [
            user([{"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,AA=="}}])
        ]},
        "messages[0].content[0].image_url.url",
    ),
    "a file elsewhere": (
        {"messages": [user([{"type": "file", "file": {"file_id": "file-abc"}}])]},
        "messages[0].content[0].file.file_id",
    ),
    "broken arguments": (
        {"messages": [user(), calls(call(arguments='{"a":')), result()]},
        "messages[1].tool_calls[0].function.arguments",
    ),
    "arguments that are no object": (
        {"messages": [user(), calls(call(arguments="[1]")), result()]},
        "messages[1].tool_calls[0].function.arguments",
    ),
    "a result of nothing": (
        {"messages": [user(), {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id",
    ),
    "a tool of another kind": ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type"),
    "another model as an adviser": (
        {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8"}]},
        "tools[0].model",
    ),
    "a choice of another kind": ({"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
    "a choice among nothing": ({"tool_choice": "required"}, "tool_choice"),
    "an unknown form": ({"response_format": {"type": "xml"}}, "response_format"),
    "an unknown effort": ({"reasoning_effort": "heroic"}, "reasoning_effort"),
    "a stop of another kind": ({"stop": [1]}, "stop"),
    "a stop at white space": ({"stop": ["END", "\n"]}, "stop"),
    "a temperature of another kind": ({"temperature": "hot"}, "temperature"),
    "a beta that is no name": ({"betas": ["a\r\nx-api-key: b"]}, "betas"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_said_is_refused_by_name(case: str) -> None:
    fields, param = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        body(**fields)
    assert caught.value.param == param
    assert param.split("[")[0] in str(caught.value)


DROPPED: Final[dict[str, tuple[JSON, tuple[str, ...]]]] = {
    "all is said": ({"temperature": 0.5, "user": "u", "stop": ["x"], "stream": True}, ()),
    "what asks for nothing": (
        {"n": 1, "logprobs": False, "seed": None, "frequency_penalty": 0, "logit_bias": {},
         "store": False, "service_tier": "auto", "temperature": 1, "top_p": 1.0},
        (),
    ),
    "hints": (
        {"seed": 7, "logit_bias": {"5": 1}, "presence_penalty": 0.5, "min_p": 0.1},
        ("logit_bias", "min_p", "presence_penalty", "seed"),
    ),
    "one of two": ({"temperature": 0.5, "top_p": 0.5}, ("top_p",)),
    "no sampling while thinking": (
        {"temperature": 0.5, "reasoning_effort": "high", "max_tokens": 8_000}, ("temperature",),
    ),
    "no room to think": (
        {"reasoning_effort": "high", "max_tokens": 100}, ("reasoning_effort",),
    ),
    "no thinking in an answer that is to be continued": (
        {"reasoning_effort": "high", "max_tokens": 8_000,
         "messages": [user(), {"role": "assistant", "content": "It is"}]}, ("reasoning_effort",),
    ),
    "no thinking beside a forced tool": (
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "tools": [WEATHER],
         "tool_choice": "required"}, ("thinking",),
    ),
    "no effort beside a forced tool": (
        {"reasoning_effort": "high", "tools": [WEATHER], "tool_choice": "required"},
        ("reasoning_effort",),
    ),
    "not asked to think": ({"reasoning_effort": "none"}, ()),
    "metadata": ({"metadata": {"user_id": "u", "team": "red"}}, ("metadata",)),
    "metadata of theirs": ({"metadata": {"user_id": "u"}}, ()),
    "the usual speed": ({"speed": "standard"}, ()),
    "a speed that costs more": ({"speed": "fast"}, ("speed",)),
    "a temperature above theirs": ({"temperature": 1.3}, ("temperature",)),
}  # fmt: skip


@pytest.mark.parametrize("case", DROPPED)
def test_what_is_dropped_is_told(case: str) -> None:
    fields, dropped = DROPPED[case]
    call = anthropic.encode(chat(**fields), TARGET, stream=False)
    assert call.dropped == dropped
    assert b'"speed"' not in call.body


def test_streams_and_betas() -> None:
    assert body(stream=True)["stream"] is True
    call = anthropic.encode(chat(betas=["files-api-2025-04-14", "b"]), TARGET, stream=False)
    assert call.headers["anthropic-beta"] == "files-api-2025-04-14,b"
    assert b"betas" not in call.body


NOTHING: Final = ["", " ", "null", '""', None, "{}"]


@pytest.mark.parametrize("arguments", NOTHING)
def test_a_call_without_arguments_has_an_empty_input(arguments: str | None) -> None:
    content = turns(user(), calls(call(arguments=arguments)), result())[1]["content"]
    assert content == [used()]


def test_ids_of_other_providers_are_replaced_alike_in_call_and_result() -> None:
    strange = ["functions.get:0", "functions.get:1"]
    made = turns(user(), calls(*map(call, strange)), *map(result, strange))
    uses = [block["id"] for block in made[1]["content"]]
    results = [block["tool_use_id"] for block in made[2]["content"]]
    assert uses == results
    assert len(set(uses)) == 2
    assert all(id_.replace("_", "").isalnum() for id_ in uses)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(WORDS, values, max_size=4)


@PROPERTY
@given(objects, st.sampled_from([None, 1]), st.booleans())
def test_no_argument_is_ever_altered(given_: JSON, indent: int | None, ascii_: bool) -> None:
    written = json.dumps(given_, indent=indent, ensure_ascii=ascii_)
    request = chat(messages=[user(), calls(call(arguments=written)), result()])
    sent = json.loads(anthropic.encode(request, TARGET, stream=False).body, parse_float=Decimal)
    assert sent["messages"][1]["content"][0]["input"] == json.loads(written, parse_float=Decimal)


def test_numbers_beyond_any_machine_are_not_altered() -> None:
    written = '{"a":1e400,"b":0.10000000000000000001,"c":12345678901234567890123,"d":1.0}'
    request = chat(messages=[user(), calls(call(arguments=written)), result()])
    assert written.encode() in anthropic.encode(request, TARGET, stream=False).body


parts = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "image_url", "file", "refusal", "document"]) | values,
        "text": values,
        "image_url": values,
        "file": values,
        "refusal": values,
        "cache_control": values,
    },
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | values},
    optional={
        "content": values | st.lists(parts, max_size=2),
        "tool_calls": values | st.lists(objects, max_size=2),
        "tool_call_id": values,
        "thinking_blocks": values,
    },
)
FIELD_NAMES: Final = [
    "audio", "betas", "functions", "mcp_servers", "metadata", "modalities", "output_config",
    "parallel_tool_calls", "reasoning_effort", "response_format", "stop", "system", "temperature",
    "thinking", "tool_choice", "tools", "top_k", "top_p", "user",
]  # fmt: skip


@PROPERTY
@given(
    st.lists(messages, max_size=3) | values,
    st.dictionaries(st.sampled_from(FIELD_NAMES), values, max_size=3),
)
def test_any_json_is_said_or_refused(given_: Any, fields: JSON) -> None:
    """Nothing but InvalidRequest comes of a wrong shape, and it names a field."""
    try:
        body(messages=given_, **fields)
    except InvalidRequest as refused:
        named = refused.param
    else:
        named = "nothing to name"
    assert named
