"""Signatures that travel in the ids of tool calls, and come off again."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from gateway.wire.signed_ids import MAX_SIGNATURE, sign_id, split_id, strip_signatures
from tests.wire.chats import chat
from tests.wire.gemini_answers import call, calls, result, user

NAMES = st.text("abcXYZ019_-.:", min_size=1, max_size=12)
BYTES = st.binary(min_size=1, max_size=90)


@given(NAMES, BYTES, st.booleans())
def test_a_signature_comes_back_as_the_bytes_it_was(name: str, sign: bytes, safe: bool) -> None:
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    id_ = sign_id(name, encode(sign).decode())
    back, signature = split_id(id_)
    assert back == name
    assert base64.b64decode(signature or "") == sign
    text = json.dumps([{"tool_call_id": id_, "content": f'of "{id_}"'}]).encode()
    assert json.loads(bytes(strip_signatures(Raw(text))))[0] == {
        "tool_call_id": name, "content": f'of "{id_}"',
    }  # fmt: skip


@pytest.mark.parametrize(
    "signature",
    ["", "not base64!", "A" * (MAX_SIGNATURE + 1), "=", "ab=c"],
    ids=lambda text: text[:12],
)
def test_what_is_too_long_or_no_base64_does_not_travel(signature: str) -> None:
    assert sign_id("call_1", signature) == "call_1"


@pytest.mark.parametrize(
    "id_", ["call_1", "__thought__c2ln", "call_1__thought__", "a__thought__b c"]
)
def test_other_ids_are_as_they_were(id_: str) -> None:
    assert split_id(id_) == (id_, None)
    raw = Raw(json.dumps([{"id": id_}]).encode())
    assert bytes(strip_signatures(raw)) == bytes(raw)


def test_messages_without_one_are_the_very_same() -> None:
    raw = Raw(b'[{"role": "user", "content": "what is a thought__?"}]')
    assert strip_signatures(raw) is raw


def test_names_and_texts_that_look_so_stay() -> None:
    """As a tool `save` of an MCP server `thought` is called."""
    function = {"name": "mcp__thought__save", "arguments": '{"id":"a__thought__b"}'}
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "call_1", "function": function}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "saved__thought__7"},
    ]
    raw = Raw(json.dumps(messages).encode())
    assert bytes(strip_signatures(raw)) == bytes(raw)
    signed = Raw(bytes(raw).replace(b'"call_1"', b'"call_1__thought__c2ln"'))
    assert bytes(strip_signatures(signed)) == bytes(raw)


@pytest.mark.parametrize(
    ("dialect", "upstream"),
    [("anthropic", "claude"), ("anthropic-vertex", "claude"), ("bedrock-invoke", "claude"),
     ("bedrock", "us.anthropic.claude-sonnet-4-5-v1:0"), ("bedrock", "meta.llama3-3-70b"),
     ("ollama", "llama3"), ("openai", "gpt-5")],
)  # fmt: skip
def test_no_other_provider_is_sent_one(dialect: str, upstream: str) -> None:
    id_ = sign_id("call_1", "c2lnbmVk")
    offered = [{"type": "function", "function": {"name": "weather"}}]
    request = chat(messages=[user(), calls(call(id_)), result(id_)], tools=offered)
    sent = DIALECTS[dialect].encode(request, Target(upstream, 100), stream=False).body
    assert sent.count(b'"call_1"') == 2
    assert b"thought" not in sent


def test_a_long_id_without_its_signature_is_not_replaced() -> None:
    id_ = sign_id("call_1", "c2lnbmVk" * 40)
    request = chat(
        messages=[user(), calls(call(id_)), result(id_)],
        tools=[{"type": "function", "function": {"name": "weather"}}],
    )
    sent = DIALECTS["bedrock"].encode(request, Target("amazon.nova-pro", 100), stream=False).body
    assert sent.count(b'"toolUseId":"call_1"') == 2
