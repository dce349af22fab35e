"""What holds for any answer: no check raises, and a fence changes nothing."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, Completion, ToolCall
from gateway.core.checks import CHECKS, SPARED, Finding
from tests.core.checked import ask, judge, mend, request, whys

ALL = tuple(Check(name) for name in CHECKS)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # those beyond are refused at the door
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SYNTAX = st.lists(
    st.sampled_from(
        ["```", "json", "sql", "\n", "{", "}", "[", "]", '"', "\\", ":", ",", "1", "NaN", "SELECT",
         "FROM", "(", ")", "--", "/*", "'", "I", "cannot", "help", "sorry", "CONFIDENCE:", "HIGH",
         "**", " ", "$$", "~~~", ";", "\ufeff", "\\u", "\ud800"]
    ),
    max_size=24,
).map("".join)  # fmt: skip
TEXT = st.text() | SYNTAX
FIELDS = st.fixed_dictionaries(
    {"messages": JSON},
    optional={
        "response_format": JSON
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(["json_object", "json_schema", "text"]),
                "json_schema": st.fixed_dictionaries({"schema": JSON}),
            }
        ),
        "tools": JSON
        | st.just([{"type": "function", "function": {"name": "f", "parameters": {"minItems": 1}}}]),
        "tool_choice": JSON | st.sampled_from(["none", "required"]),
        "functions": JSON,
    },
)
CHOICES = st.builds(
    Choice,
    text=st.none() | TEXT,
    tool_calls=st.lists(
        st.builds(ToolCall, st.just("1"), st.just("f") | st.text(), TEXT), max_size=2
    ).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call"]),
    refusal=st.none() | st.text(),
    extra=st.dictionaries(st.sampled_from(["function_call", "audio"]), JSON, max_size=2).map(
        lambda extra: {name: Raw(json.dumps(value).encode()) for name, value in extra.items()}
    ),
)


@settings(deadline=None)  # the first SQL waits for its parser to be loaded
@given(st.lists(CHOICES, max_size=2), FIELDS)
@example([Choice(text="SELECT " + "[" * 1_000 + "1")], {"messages": []})
@example([Choice(text="[" * 200_000)], {"messages": [], "response_format": {"type": "json_object"}})
@example([Choice(text="SELECT " + "(" * 10_000)], {"messages": []})
def test_judge_never_raises(choices: list[Choice], fields: dict[str, Any]) -> None:
    asked = ChatRequest(raw(fields), "auto")
    answer = Completion(tuple(choices))
    sent = ask(ALL, asked)
    assert sent.fields.keys() == asked.fields.keys()
    for finding in judge(ALL, answer, sent):
        assert isinstance(finding, Finding)
        assert "\n" not in finding.why
    assert len(mend(ALL, answer).choices) == len(answer.choices)


def raw(fields: dict[str, Any]) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}


@given(st.lists(CHOICES, min_size=1, max_size=2), FIELDS)
@example([Choice(text="Paris")], {"messages": []})
@example([Choice(text="I cannot help.")], {"messages": []})
@example([Choice(text="Paris")], {"messages": [], "tool_choice": "required"})
@example([Choice(text="Paris")], {"messages": [], "response_format": {"type": "json_object"}})
@example([Choice(text="Pa"), Choice(text="Pa", finish="length")], {"messages": []})
def test_what_a_text_is_spared_would_have_passed(
    choices: list[Choice], fields: dict[str, Any]
) -> None:
    asked = ChatRequest(raw(fields), "auto")
    names = (*sorted(SPARED), "not_refused")
    found = judge(tuple(map(Check, names)), Completion(tuple(choices)), asked)
    alone = {
        name: [why for choice in choices if (why := CHECKS[name](choice, asked, {}))]
        for name in names
    }
    assert found == tuple(Finding(name, whys[0]) for name, whys in alone.items() if whys)


def test_a_check_with_options_is_spared_nothing() -> None:
    assert whys("json_if_asked", "Paris", always=True)


@given(
    JSON, st.sampled_from(["```json\n%s\n```", "Here:\n```\n%s\n```\nThat is it.", "\ufeff%s\n"])
)
def test_a_fence_changes_nothing(value: Any, around: str) -> None:
    bare = json.dumps(value, indent=2)
    for kind in ("json_object", "json_schema"):
        asked = request(response_format={"type": kind})
        assert whys("json_if_asked", around.replace("%s", bare), asked) == whys(
            "json_if_asked", bare, asked
        )
