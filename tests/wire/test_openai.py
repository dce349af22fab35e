"""The openai dialect at its edges: what no recording shows."""

import json
import sys
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw, structs

from gateway.core.chat import ChatRequest, Choice, Completion, Look, ToolCall, Usage
from gateway.core.errors import Broken, InvalidRequest
from gateway.core.shape import Shape, read_shape
from gateway.wire import openai
from gateway.wire.dialect import COPY_BELOW, Target

TARGET = Target("gpt-x", 500)


def asked(body: bytes, **known: Any) -> ChatRequest:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return ChatRequest(fields, "auto", **known)


def sent(body: bytes, *quirks: str, stream: bool = False, **known: Any) -> dict[str, Any]:
    call = openai.encode(
        asked(body, **known), Target("gpt-x", 500, frozenset(quirks)), stream=stream
    )
    decoded: dict[str, Any] = json.loads(call.body)
    return decoded


@pytest.mark.parametrize(
    ("tier", "told", "dropped"),
    [
        (b'"flex"', "flex", ()),
        (b'"auto"', "auto", ()),
        (b'"priority"', None, ("service_tier",)),
        (b' "\\u0070riority" ', None, ("service_tier",)),
        (b'"fast"', None, ("service_tier",)),
        (b'"performance"', None, ("service_tier",)),
        (b'"ultrafast"', None, ("service_tier",)),
        (b'["priority"]', None, ("service_tier",)),
        (b'"on_demand"', "on_demand", ()),
        (b"null", None, ()),
    ],
)
def test_a_dearer_tier_of_service_is_not_asked_for(
    tier: bytes, told: str | None, dropped: tuple[str, ...]
) -> None:
    """Its price is not known: what is held and charged would be half of the bill."""
    body = b'{%b,"service_tier":%b}' % (MESSAGES, tier)
    call = openai.encode(asked(body), TARGET, stream=False)
    assert json.loads(call.body).get("service_tier") == told
    assert call.dropped == dropped


FUNCTION: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"properties": {"model": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    ("speed", "told", "dropped"),
    [(b'"fast"', None, ("speed",)), (b'"standard"', "standard", ()), (b"null", None, ())],
)
def test_claudes_fast_mode_is_not_asked_for(
    speed: bytes, told: str | None, dropped: tuple[str, ...]
) -> None:
    """LiteLLM sends on what it does not know."""
    body = b'{%b,"speed":%b}' % (MESSAGES, speed)
    call = openai.encode(asked(body), TARGET, stream=False)
    assert json.loads(call.body).get("speed") == told
    assert call.dropped == dropped


OTHERS: dict[str, Any] = {
    "models": ["dear/one"],
    "fallbacks": [{"model": "dear"}],
    "preset": "dear-and-clever",
    "context_window_fallbacks": [{"a": ["b"]}],
    "content_policy_fallbacks": ["b"],
    "route": "fallback",
}


def test_other_models_are_not_asked_for_at_the_provider() -> None:
    """OpenRouter and LiteLLM would ask them at their own price, whatever a tenant may use."""
    others = msgspec.json.encode(OTHERS)[1:]
    shape = Shape(9, tools=False, needs=frozenset(), caches=False, caches_1h=False)
    request = asked(b"{%b,%b" % (MESSAGES, others), shape=shape)
    for _ in range(2):
        call = openai.encode(request, TARGET, stream=True)
        assert not OTHERS.keys() & json.loads(call.body).keys()
        assert call.dropped == tuple(sorted(OTHERS))
    unset = asked(b'{%b,"models":null,"fallbacks":[]}' % MESSAGES)
    call = openai.encode(unset, TARGET, stream=False)
    assert not OTHERS.keys() & json.loads(call.body).keys()
    assert not call.dropped, "nothing is lost"


@pytest.mark.parametrize(
    ("extra_body", "is_sent"),
    [
        ({"google": {"thinking_config": {"thinking_budget": 9}}}, True),
        (None, True),
        ({}, True),
        ({"model": "dear"}, False),
        ({"google": {}, "max_completion_tokens": 100_000}, False),
        ({"service_tier": "priority"}, False),
        ([], False),
    ],
)
def test_no_body_is_laid_over_the_one_that_is_sent(extra_body: Any, is_sent: bool) -> None:
    """LiteLLM would: by it, another model could be asked, and the limit be another."""
    request = asked(b'{%b,"extra_body":%b}' % (MESSAGES, msgspec.json.encode(extra_body)))
    call = openai.encode(request, TARGET, stream=False)
    assert ("extra_body" in json.loads(call.body)) is is_sent
    assert call.dropped == (() if is_sent else ("extra_body",))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "openrouter:subagent"}]}, "tools[0]"),
        ({"tools": [{"type": "openrouter:fusion"}]}, "tools[0]"),
        ({"tools": [{"type": "openrouter:advisor", "parameters": {"model": "a/dear"}}]},
         "tools[0]"),
        ({"tools": [FUNCTION, {"type": "advisor_20260301", "model": "dear"}]}, "tools[1]"),
        ({"plugins": [{"id": "web"}, {"id": "fusion"}]}, "plugins[1]"),
        ({"plugins": [{"id": "new", "analysis_models": ["a/dear"]}]}, "plugins[0]"),
    ],
)  # fmt: skip
def test_tools_that_ask_other_models_are_refused(fields: dict[str, Any], param: str) -> None:
    """At their own price, which is neither held nor charged, whatever a tenant may use."""
    request = asked(b"{%b,%b" % (MESSAGES, msgspec.json.encode(fields)[1:]))
    for each in (request, structs.replace(request, shape=read_shape(request.fields))):
        with pytest.raises(InvalidRequest) as refused:
            openai.encode(each, TARGET, stream=False)
        assert refused.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{**FUNCTION, "model": "x"}]},
        {"tools": [{"type": "openrouter:web_search", "parameters": {"max_results": 3}}]},
        {"tools": "fusion", "plugins": {"id": "fusion"}},
        {"tools": ["fusion"], "plugins": None},
        {"plugins": [{"id": "file-parser", "pdf": {"engine": "native"}}]},
    ],
)
def test_other_tools_and_plugins_are_sent(fields: dict[str, Any]) -> None:
    request = asked(b"{%b,%b" % (MESSAGES, msgspec.json.encode(fields)[1:]))
    sent = json.loads(openai.encode(request, TARGET, stream=False).body)
    assert {name: sent[name] for name in fields} == fields


@pytest.mark.parametrize("stream", [False, True])
def test_large_messages_go_out_uncopied(stream: bool) -> None:
    """A small request is one piece, a large one is in parts; both say the same."""
    seen = Look(plain=True, said="x")
    for size, parts in ((10, 1), (COPY_BELOW - 100, 1), (COPY_BELOW, 3), (2**20, 3)):
        body = b'{"seed":1,"messages":[{"role":"user","content":"%b"}],"top_p":1}' % (b"x" * size)
        request = asked(body, seen=seen)
        call = openai.encode(request, TARGET, stream=stream)
        content = (call.content,) if isinstance(call.content, bytes) else call.content
        assert len(content) == parts, f"{size} bytes"
        assert (request.fields["messages"] in content) is (parts > 1)
        sent = json.loads(call.body)
        assert sent["messages"] == json.loads(body)["messages"]
        assert [*sent][:3] == ["seed", "messages", "top_p"]


MESSAGES = b'"messages":[{"role":"user","content":"caf\\u00e9  "}]'
ENCODED = [
    # request, what is known of it, stream, quirks, what is sent beside model and messages
    (b"{%b}", {}, False, (), {"max_completion_tokens": 500}),
    (b'{%b,"stream":true,"stream_options":{}}', {}, False, (), {"max_completion_tokens": 500}),
    # The client's own name for its limit stays, unless the host is known to know only one.
    (b'{%b,"max_tokens":7}', {"max_tokens": 7}, False, (), {"max_tokens": 7}),
    (
        b'{%b,"max_tokens":7}',
        {"max_tokens": 7},
        False,
        ("max_completion_tokens",),
        {"max_completion_tokens": 7},
    ),
    (
        b'{%b,"max_tokens":9,"max_completion_tokens":7}',
        {"max_tokens": 7},
        False,
        (),
        {"max_completion_tokens": 7},
    ),
    (b'{%b,"max_tokens":null}', {}, False, (), {"max_completion_tokens": 500}),
    (b"{%b}", {}, False, ("max_tokens",), {"max_tokens": 500}),
    (
        b'{%b,"seed":5}',
        {},
        False,
        ("random_seed",),
        {"max_completion_tokens": 500, "random_seed": 5},
    ),
    (b'{%b,"seed":5}', {}, False, (), {"max_completion_tokens": 500, "seed": 5}),
    (
        b'{%b,"max_completion_tokens":7}',
        {"max_tokens": 7},
        False,
        ("max_tokens",),
        {"max_tokens": 7},
    ),
    (
        b"{%b}",
        {},
        True,
        (),
        {"max_completion_tokens": 500, "stream": True, "stream_options": {"include_usage": True}},
    ),
    (
        b'{%b,"stream_options":{"include_usage":false,"include_obfuscation":false}}',
        {},
        True,
        (),
        {
            "max_completion_tokens": 500,
            "stream": True,
            "stream_options": {"include_usage": True, "include_obfuscation": False},
        },
    ),
    (
        b'{%b,"stream_options":null}',
        {},
        True,
        (),
        {"max_completion_tokens": 500, "stream": True, "stream_options": {"include_usage": True}},
    ),
    (
        b'{%b,"stream_options":{}}',
        {},
        True,
        ("no_stream_usage",),
        {"max_completion_tokens": 500, "stream": True},
    ),
    (
        b'{%b,"new_field":{"a":[1]},"api_base":"http://evil","api_key":"k","headers":{}}',
        {},
        False,
        (),
        {"max_completion_tokens": 500, "new_field": {"a": [1]}},
    ),
    (
        b'{%b,"input_cost_per_token":9,"output_cost_per_second":0,"cost_per_month":1}',
        {},
        False,
        (),
        {"max_completion_tokens": 500, "cost_per_month": 1},
    ),
]


@pytest.mark.parametrize(("body", "known", "stream", "quirks", "expected"), ENCODED)
def test_what_is_sent(
    body: bytes,
    known: dict[str, Any],
    stream: bool,
    quirks: tuple[str, ...],
    expected: dict[str, Any],
) -> None:
    fields = sent(body % MESSAGES, *quirks, stream=stream, **known)
    messages = [{"role": "user", "content": "café  "}]
    assert fields == {"model": "gpt-x", "messages": messages, **expected}


def test_fields_go_out_byte_for_byte() -> None:
    call = openai.encode(asked(b'{%b,"seed":1.0}' % MESSAGES), TARGET, stream=False)
    assert MESSAGES in call.body
    assert b'"seed":1.0' in call.body


def test_stream_options_must_be_an_object() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(b'{%b,"stream_options":[1]}' % MESSAGES, stream=True)
    assert caught.value.param == "stream_options"


def test_the_key_is_a_bearer_token() -> None:
    assert openai.auth("k") == {"authorization": "Bearer k"}


# Whole answers ------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
MESSAGE = {"role": "assistant", "content": "hi", "refusal": None}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": None}
ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 5, "model": "m", "choices": [CHOICE],
    "usage": USAGE,
}  # fmt: skip
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def answer(**fields: Any) -> Completion:
    body = json.dumps({**ANSWER, **fields}).encode()
    return openai.decode(200, {}, body, TARGET)


def told(message: Any = None, **fields: Any) -> Completion:
    choice = {**CHOICE, **fields}
    return answer(choices=[choice if message is None else {**choice, "message": message}])


def test_a_strict_answer_is_kept_for_relaying() -> None:
    completion = answer(service_tier="default", new_field={"a": 1})
    body = json.dumps({**ANSWER, "service_tier": "default", "new_field": {"a": 1}}).encode()
    assert (completion.raw, completion.mends) == (Raw(body), ())
    assert completion.first == Choice(0, "hi")
    assert (completion.id, completion.created, completion.usage) == ("c1", 5, Usage(10, 4))


@pytest.mark.parametrize(
    ("fields", "mends"),
    [
        ({"choices": [{k: v for k, v in CHOICE.items() if k != "logprobs"}]}, ("choices",)),
        (
            {"choices": [{**CHOICE, "message": {"role": "assistant", "content": "hi"}}]},
            ("choices",),
        ),
        ({"usage": None}, ("usage",)),
        ({"usage": {**USAGE, "total_tokens": 20}}, ("usage",)),
    ],
)
def test_what_cannot_be_given_as_it_is_of_an_answer_is_named(
    fields: Any, mends: tuple[str, ...]
) -> None:
    completion = answer(**fields)
    assert completion.raw is not UNSET
    assert completion.mends == mends


@pytest.mark.parametrize("lacks", [{}, {"usage": None}], ids=["whole", "without usage"])
@pytest.mark.parametrize("inside", [b"message", b"choices"])
def test_an_answer_of_any_depth_is_read_or_none(lacks: Any, inside: bytes) -> None:
    """How deep can be read depends on how deep it is asked for, and is not the same everywhere."""
    choice = {key: value for key, value in CHOICE.items() if key != "logprobs"}
    body = json.dumps({**ANSWER, "choices": [choice], **lacks}).encode()
    read = []
    for depth in range(1, sys.getrecursionlimit()):
        deep = b'"x": %b%b, "%b"' % (b"[" * depth, b"]" * depth, inside)
        with suppress(Broken):
            openai.decode(200, {}, body.replace(b'"%b"' % inside, deep, 1), TARGET)
            read.append(depth)
    assert read == [*range(1, len(read) + 1)]
    assert len(read) > sys.getrecursionlimit() / 2


@pytest.mark.parametrize(
    "fields",
    [{"id": None}, {"object": ""}, {"created": -1}, {"created": 10**30}, {"service_tier": "odd"},
     {"choices": [{**CHOICE, "index": None}]}, {"choices": [{**CHOICE, "finish_reason": ""}]},
     {"choices": [CHOICE, CHOICE]}, {"usage": {**USAGE, "prompt_tokens_details": None}}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_not_strict_is_understood_but_not_relayed(fields: Any) -> None:
    completion = answer(**fields)
    assert completion.raw is UNSET
    assert completion.first == Choice(0, "hi")
    assert completion.usage == Usage(10, 4)


MESSAGES_READ: list[tuple[Any, Choice]] = [
    ({"content": None}, Choice(0, None)),
    ({"content": [{"type": "text", "text": "a"}, "b", {"type": "odd"}, 7]}, Choice(0, "ab")),
    ({"content": {"x": 1}}, Choice(0, '{"x":1}')),
    (
        {"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": "a"}]},
        Choice(0, "a", reasoning="hm"),
    ),
    ({"content": "a", "reasoning_content": "hm"}, Choice(0, "a", reasoning="hm")),
    ({"content": "a", "reasoning": "hm"}, Choice(0, "a", reasoning="hm")),
    ({"content": None, "refusal": "no"}, Choice(0, None, refusal="no")),
    ({**MESSAGE, "content": "a", "reasoning": "hm"}, Choice(0, "a", reasoning="hm")),
    (
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]},
        Choice(0, None, (ToolCall("a", "f", '{"x":1}'),)),
    ),
    (
        {"tool_calls": [{"id": "a", "name": "f", "arguments": None}, 7]},
        Choice(0, None, (ToolCall("a", "f", "{}"),)),
    ),
    ({**MESSAGE, "tool_calls": [CALL]}, Choice(0, "hi", (ToolCall("a", "f", "{}"),))),
]


@pytest.mark.parametrize(("message", "choice"), MESSAGES_READ, ids=str)
def test_messages(message: Any, choice: Choice) -> None:
    assert told(message).first == choice


def test_a_call_without_an_id_gets_the_same_one_each_time() -> None:
    message = {"tool_calls": [{**CALL, "id": None}, {**CALL, "id": None}]}
    first, second = told(message).first.tool_calls
    assert (first, second) == told(message).first.tool_calls
    assert first.id != second.id
    assert len(first.id) <= 40


@pytest.mark.parametrize(
    ("reason", "message", "finish"),
    [
        (None, MESSAGE, "stop"),
        ("", {"tool_calls": [CALL]}, "tool_calls"),
        (None, {"function_call": {"name": "f", "arguments": {"x": 1}}}, "function_call"),
        ("", {"content": "a", "function_call": {"name": "", "arguments": ""}}, "stop"),
        ("eos", MESSAGE, "stop"),
        ("max_tokens", MESSAGE, "length"),
        ("SAFETY", MESSAGE, "content_filter"),
        ("unheard_of", MESSAGE, "stop"),
    ],
)
def test_finish_reasons(reason: Any, message: Any, finish: str) -> None:
    assert told(message, finish_reason=reason).first.finish == finish


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, None),
        ({**USAGE, "prompt_tokens": -1}, None),
        ({**USAGE, "prompt_tokens": 2**41}, None),
        ({**USAGE, "prompt_tokens": 10**400}, None),
        ({**USAGE, "prompt_tokens": 10.0}, Usage(10, 4)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 8}}, Usage(10, 4, 8)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 80}}, Usage(10, 4, 10)),
        (
            {**USAGE, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8}},
            Usage(10, 4, 8, 2),
        ),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}, Usage(10, 4, 0, 0, 3)),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": -3}}, Usage(10, 4)),
        ({**USAGE, "total_tokens": 20}, Usage(10, 10, 0, 0, 6)),
    ],
    ids=str,
)
def test_usage(usage: Any, read: Usage | None) -> None:
    assert answer(usage=usage).usage == read


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[1]}', b"<html>",
     b"\xff", b"[" * 100_000, b'{"choices":[{"finish_reason":"error"}]}'],
    ids=lambda body: str(body[:40]),
)  # fmt: skip
def test_a_200_without_an_answer_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        openai.decode(200, {}, body, TARGET)
