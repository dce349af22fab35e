"""Folders of recorded answers: every shape that is read, and what is said of the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.replay.formats import read
from gateway.replay.recorded_tools import as_tool, tool_calls
from gateway.replay.records import Unusable
from tests.replay.sets import Row, asked, write


def answer(
    folder: Path, row: dict[str, Any], price: tuple[float | None, float | None] = (1, 2)
) -> Any:
    write(folder, asked("q"), {"m": [{"id": "q", "correct": True, **row}]}, {"m": price})
    return read(folder).models["m"].answers["q"]


@pytest.mark.parametrize(
    ("row", "nanos"),
    [
        ({"tokens_in": 100, "tokens_out": 10}, 120_000),
        ({"tokens_in": 100, "tokens_out": 10, "cost_usd": 0.5}, 500_000_000),
        ({"cost_usd": 0.00023725000000000002}, 237_251),  # finer than a nano: rounded up
        ({}, 1_000_000),  # as replay_score.py has it: a thousand tokens in
        ({"tokens_out": 10}, 20_000),
    ],
)
def test_what_an_answer_costs(tmp_path: Path, row: dict[str, Any], nanos: int) -> None:
    assert answer(tmp_path, {"text": "x", **row}).cost == nanos


def test_a_model_without_a_price_is_free(tmp_path: Path) -> None:
    assert answer(tmp_path, {"text": "x"}, (None, None)).cost == 0


@pytest.mark.parametrize(
    ("row", "text", "blank"),
    [
        ({"text": "four"}, "four", False),
        ({"final": "4"}, "4", False),
        ({"final": 4}, "4", False),
        ({"text": "so 4", "final": "4"}, "so 4", False),
        ({}, None, True),
        ({"tool_calls": [{"name": "f", "arguments": {}}]}, None, False),
    ],
)
def test_what_was_said(tmp_path: Path, row: dict[str, Any], text: str | None, blank: bool) -> None:
    found = answer(tmp_path, row)
    assert (found.completion.first.text, found.blank) == (text, blank)


@pytest.mark.parametrize(
    ("row", "seconds"),
    [({"latency_s": 1.5}, 1.5), ({"latency_ms": 250}, 0.25), ({}, None)],
)
def test_how_long_it_took(tmp_path: Path, row: dict[str, Any], seconds: float | None) -> None:
    assert answer(tmp_path, row).seconds == seconds


@pytest.mark.parametrize(
    ("correct", "quality"), [(True, 1.0), (False, 0.0), (0.25, 0.25), (1, 1.0)]
)
def test_quality(tmp_path: Path, correct: Any, quality: float) -> None:
    assert answer(tmp_path, {"text": "x", "correct": correct}).quality == quality


def test_a_line_that_does_not_say_whether_it_is_right_is_left_out(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"id": "a", "text": "x", "correct": None},
        {"id": "b", "text": "x", "correct": True},
    ]
    write(tmp_path, asked("a", "b"), {"m": rows})
    model = read(tmp_path).models["m"]
    assert (set(model.answers), model.left_out) == ({"b"}, 1)
    assert [query.id for query in read(tmp_path).answered_by_all(("m",))] == ["b"]


@pytest.mark.parametrize(
    "recorded",
    [
        [{"name": "go", "arguments": {"to": "Rome"}}],
        [{"name": "go", "arguments": '{"to":"Rome"}'}],
        [{"name": "go", "parameters": {"to": "Rome"}}],
        [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "go", "arguments": '{"to":"Rome"}'},
            }
        ],
        [{"go": {"to": "Rome"}}],
        [{"go": '{"to":"Rome"}'}],
        {"name": "go", "arguments": {"to": "Rome"}},
    ],
)
def test_shapes_of_tool_calls(recorded: Any) -> None:
    (call,) = tool_calls(recorded)
    assert (call.name, json.loads(call.arguments)) == ("go", {"to": "Rome"})


@pytest.mark.parametrize(
    ("recorded", "names"),
    [
        (None, []),
        ([], []),
        ([{"math.gcd": {}}, {"name": "a b"}], ["math_gcd", "a_b"]),
        ([7], [""]),
        (["x"], [""]),
        ([{"one": 1, "two": 2}], [""]),
    ],
)
def test_calls_of_other_kinds(recorded: Any, names: list[str]) -> None:
    assert [call.name for call in tool_calls(recorded)] == names


def test_a_function_of_berkeleys_is_a_tool() -> None:
    function = {
        "name": "geo.find",
        "description": "Finds.",
        "parameters": {
            "type": "dict",
            "required": ["at"],
            "properties": {
                "at": {"type": "tuple", "items": {"type": "float"}},
                "type": {"type": "any"},
            },
        },
    }
    assert as_tool(function) == {
        "type": "function",
        "function": {
            "name": "geo_find",
            "description": "Finds.",
            "parameters": {
                "type": "object",
                "required": ["at"],
                "properties": {"at": {"type": "array", "items": {"type": "number"}}, "type": {}},
            },
        },
    }


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("meta.json", "{", "meta.json: "),
        ("meta.json", '{"models": {}}', "no model has answered"),
        ("meta.json", '{"models": {"m": {}}}', "missing required field `file`"),
        ("meta.json", '{"models": {"m": {"file": "none"}}}', "none: No such file"),
        ("queries.jsonl", "", "no queries"),
        ("queries.jsonl", '{"id": "q"}', "q has neither prompt nor messages"),
        ("queries.jsonl", '{"prompt": "x"}', "queries.jsonl:1: Object missing required field `id`"),
        ("answers.0.jsonl", '\n{"id": "q", "correct": "yes"}', "answers.0.jsonl:2: Expected"),
        ("answers.0.jsonl", '{"id": "q", ', "answers.0.jsonl:1: "),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, file: str, content: str, why: str) -> None:
    write(tmp_path, asked("q"), {"m": [{"id": "q", "text": "x", "correct": True}]})
    (tmp_path / file).write_text(content)
    with pytest.raises(Unusable) as raised:
        read(tmp_path)
    assert why in str(raised.value)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(
        Unusable, match=r"no recorded answers here \(there is no meta.json or lives.jsonl\)"
    ):
        read(tmp_path)
