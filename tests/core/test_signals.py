"""What is counted in a request."""

from math import isfinite, log1p
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.chat import ChatRequest
from gateway.core.learned.signals import LAYOUT, NAMES, kept, of_record, read_signals
from tests.core.asked import request, user


def signals(text: str, **more: Any) -> dict[str, float]:
    return named(request(user(text), **more))


def named(asked: ChatRequest) -> dict[str, float]:
    return {
        name.removesuffix(".1"): value
        for name, value in zip(NAMES, read_signals(asked), strict=True)
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", dict.fromkeys(("words", "lines", "digits", "context", "longest_line"), 0.0)),
        ("one two\nthree", {"words": log1p(3), "lines": log1p(1), "longest_line": log1p(7)}),
        ("What? Which? abc", {"questions": log1p(2), "after_question": log1p(4)}),
        ("no question", {"questions": 0.0, "after_question": log1p(11)}),
        ("12 of 1.5", {"digits": 4 / 9, "decimals": log1p(1)}),
        ("a Big\nDog ran", {"capitals": 2 / 4, "word_length": 10 / 4}),
        ("to be or not to be", {"distinct": 4 / 6, "negations": 1 / 6, "function_words": 5 / 6}),
        ("Is it NOT false?", {"negations": 2 / 4}),
        ("twice more than half, each", {"quantities": 1.0}),
        ("I don't know my way", {"first_person": 2 / 5, "negations": 1 / 5}),
        ("\u8bf7\u603b", {"foreign": 1.0, "words": log1p(1)}),
        ("```\nx\n```", {"code": 1.0}),
        ("a = 1;\nb = 2;\n", {"code": 1.0}),
        ("a;\n", {"code": 0.0}),
        ("hi", {"messages": log1p(1), "tools": 0.0, "schema": 0.0}),
    ],
)
def test_of_a_text(text: str, wanted: dict[str, float]) -> None:
    found = signals(text)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_only_the_end_of_the_last_user_message_is_read_and_the_rest_is_counted() -> None:
    system = {"role": "system", "content": "s" * 500}
    answer = {"role": "assistant", "content": "a" * 30}
    asked = request([system, *user("x" * 70), answer, *user("? " * 2_000 + "y" * 1_000)])
    found = named(asked)
    assert found["words"] == log1p(1)
    assert found["messages"] == log1p(4)
    assert found["context"] == log1p(500 + 70 + 30)
    assert (found["questions"], found["longest_line"]) == (0.0, log1p(1_000))
    assert named(request(user("one two")))["context"] == 0.0


def test_parts_that_are_text() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url"}, {"text": "two?"}, 7]
    assert named(request(user(parts)))["words"] == log1p(2)


def test_tools_and_schemas() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    found = signals("hi", tools=[tool, tool], response_format={"type": "json_object"})
    assert (found["tools"], found["schema"]) == (log1p(2), 1.0)


@given(st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(), lambda inner: (
    st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["role", "content", "text", "type"]), inner)
)))  # fmt: skip
def test_whatever_is_asked_the_numbers_are_finite(content: Any) -> None:
    messages = [{"role": "user", "content": content}, content]
    asked = ChatRequest({"messages": Raw(msgspec.json.encode(messages))}, "m")
    found = read_signals(asked)
    assert len(found) == len(NAMES)
    assert all(map(isfinite, found))


def test_of_a_record() -> None:
    found = read_signals(request(user("Is 1.5 half of 3?")))
    short = kept(found)
    assert short[0] == LAYOUT
    assert all(type(each) is int for each in short), "short as JSON"
    assert of_record(short) == pytest.approx(found, abs=1.001e-4)


@pytest.mark.parametrize("other", [(), (1,), (2,) + (0,) * len(NAMES), (1, 5)])
def test_records_of_another_layout(other: tuple[int, ...]) -> None:
    assert of_record(other) is None
