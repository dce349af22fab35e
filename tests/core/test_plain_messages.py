"""What is read of messages by their form is what is found where they are looked through."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.chat import ROLES, ChatRequest, look
from gateway.core.features import read_features
from gateway.core.plain_messages import BYTES_EACH, LEVELS, read_talk
from gateway.wire.openai.messages import adapt_messages
from gateway.wire.signed_ids import strip_signatures

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "hi"}

TALK: list[Any] = [
    [USER],
    [{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "a"}],
    [USER, {"role": "assistant", "content": None, "tool_calls": [CALL, CALL], "refusal": None}],
    [USER, {"role": "tool", "tool_call_id": "c", "content": "r"}],
    [{"role": "user", "content": [TEXT, TEXT], "name": "n"}],
    [{"role": "user"}],
    [{"role": "assistant", "content": "a", "audio": None, "function_call": None}],
]


@pytest.mark.parametrize("messages", TALK, ids=str)
def test_what_most_messages_are(messages: Any) -> None:
    seen = read_talk(msgspec.json.encode(messages))
    assert seen is not None
    assert seen.plain
    assert seen.said == look(messages).said
    assert seen.calls is any(each.keys() & {"tool_calls", "tool_call_id"} for each in messages)


@pytest.mark.parametrize(
    "odd",
    [
        5,
        {},
        {"role": "bogus"},
        {"role": "user", "content": 5},
        {"role": "user", "content": ["hi"]},
        {"role": "user", "content": [TEXT | {"cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "user", "content": [{"type": "file", "text": "u"}]},
        {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}},
        {"role": "assistant", "content": "a", "reasoning": "r"},
        {"role": "assistant", "content": "a", "audio": {"id": "a"}},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "tool_calls": [CALL | {"extra_content": {}}]},
        {"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]},
    ],
    ids=str,
)
def test_what_is_looked_through(odd: Any) -> None:
    assert read_talk(msgspec.json.encode([USER, odd, USER])) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[",
        b'[{"role":"user"}],',
        b'[{"role":"user","content":"\xff"}]',
        b'[{"role":"user","content":"\\ud800"}]',
        b'[{"role":"user","content":[[[[]]]],"content":"hi"}]',
    ],
)
def test_what_is_no_talk_at_all(text: bytes) -> None:
    assert read_talk(text) is None


NAMES = st.sampled_from(["n", "é", "call_1__thought__abc", "\u2028", ""])
FIELDS: dict[str, Any] = {
    "role": st.sampled_from(ROLES),
    "content": st.none() | NAMES | st.lists(st.just(TEXT) | st.just({"type": "text", "text": "é"})),
}
MORE: dict[str, Any] = {
    "name": NAMES | st.none(),
    "tool_call_id": NAMES,
    "tool_calls": st.lists(NAMES.map(lambda name: CALL | {"id": name}), max_size=2),
    "refusal": st.none(),
    "reasoning_content": st.just("thought"),
    "extra_content": st.just({"google": {}}),
    "image_url": st.just("u"),
    "cache_control": st.just({"type": "ephemeral", "ttl": "1h"}),
}


@given(st.lists(st.fixed_dictionaries(FIELDS, optional=MORE), min_size=1, max_size=3))
def test_nobody_would_find_more(messages: list[dict[str, Any]]) -> None:
    text = msgspec.json.encode(messages)
    seen = read_talk(text)
    odd = any(each.keys() & {*list(MORE)[4:]} for each in messages)
    assert (seen is None) is odd
    if seen is None:
        return
    raw = Raw(text)
    assert bytes(adapt_messages(raw, ())) == bytes(strip_signatures(raw))
    assert seen.calls is any(
        bool(each.get("tool_calls") or each.get("tool_call_id")) for each in messages
    )
    assert (seen.said, seen.sound) == (look(messages).said, True)
    fields = {"messages": raw, "tools": Raw(b"[]")}
    whole, known = (read_features(ChatRequest(fields, "m", seen=each)) for each in (None, seen))
    assert known == whole


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict | list) + max(map(depth, inner), default=0)


def test_how_deep_it_nests_and_how_much_of_it_there_is() -> None:
    assert max(map(depth, TALK)) == LEVELS
    for text in (
        b"[" + b",".join([b'{"role":"user"}'] * 100) + b"]",
        b'[{"role":"user"' + b',"content":[]' * 100 + b"}]",
        b'[{"role":"user","content":[' + b",".join([b'{"type":"text","text":""}'] * 100) + b"]}]",
        b'[{"role":"user"' + b',"tool_calls":[]' * 100 + b"}]",
    ):
        assert read_talk(text) is not None
        assert text.count(b"[") + text.count(b"{") < len(text) / BYTES_EACH
