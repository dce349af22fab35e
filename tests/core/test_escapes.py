"""A prompt is as long however its client writes letters that are not ASCII."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.chat import ChatRequest, look
from gateway.core.features import Features, read_features
from gateway.core.plain_messages import read_talk
from gateway.core.shape import unescaped_size
from tests.core.asked import user

TEXT = '\\u0041 \\\\ \\\\u \u0416 \u4e2d \U0001f600 \n / "'


def written(value: Any, *, escaped: bool, slashes: bool = False) -> bytes:
    text = json.dumps(value, ensure_ascii=escaped)
    return (text.replace("/", "\\/") if slashes else text).encode()


@given(st.text() | st.lists(st.sampled_from(TEXT)).map("".join), st.booleans())
@example(TEXT, False)
@example("\\" * 9 + "u4e2d", True)
def test_it_is_never_less_than_the_text_takes(text: str, slashes: bool) -> None:
    least = len(text.encode())
    for escaped in (True, False):
        raw = written(text, escaped=escaped, slashes=slashes)
        assert least <= unescaped_size(raw) <= len(raw)


def features(messages: Any, *, escaped: bool, **more: Any) -> list[Features]:
    """Whoever has looked at the messages."""
    raw = written(messages, escaped=escaped, slashes=escaped)
    fields = {"messages": Raw(raw)}
    fields |= {name: Raw(written(value, escaped=escaped)) for name, value in more.items()}
    seen = (None, look(messages), read_talk(raw))
    return [read_features(ChatRequest(fields, "auto", seen=each)) for each in seen]


@pytest.mark.parametrize(
    ("messages", "most"),
    [
        (user("\u98de\u673a\u4e3a\u4ec0\u4e48\u98de\u5f97\u9ad8" * 99), 1.0),
        (user([{"type": "text", "text": "\u98de\u673a" * 99}]), 1.0),
        ([{"role": "system", "content": "\u98de\u673a" * 99}, *user("ok")], 1.0),
        (user("\u0441\u0430\u043c\u043e\u043b\u0451\u0442 " * 99), 1.5),
        (user("\U0001f600" * 99), 1.5),
    ],
)
def test_a_prompt_counts_as_much_with_escapes(messages: Any, most: float) -> None:
    """Python's requests write them, most other clients do not: it was two to three times as much,
    more than was spent, and than many a model's context.
    """
    for one, other in zip(
        features(messages, escaped=True), features(messages, escaped=False), strict=True
    ):
        assert other.bound.counted <= one.bound.counted <= most * other.bound.counted + 1


def test_so_do_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "\u98de\u673a" * 99}}]
    one, *_ = features(user("hi"), escaped=True, tools=tools)
    other, *_ = features(user("hi"), escaped=False, tools=tools)
    assert one.bound == other.bound


def test_slashes_of_an_image_are_no_text() -> None:
    url = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 500).decode()
    messages = user([{"type": "image_url", "image_url": {"url": url}}])
    one, *_ = features(messages, escaped=True)
    other, *_ = features(messages, escaped=False)
    assert one.bound == other.bound
