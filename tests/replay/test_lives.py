"""The gateway's own log with its content, replayed, and what becomes of lines that lack a field."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.replay.formats import read
from gateway.replay.records import Unusable
from tests.replay.sets import told

Life = dict[str, Any]
COSTS = {"small": 10_000, "quick": 20_000, "large": 900_000}
"""Nano-dollars."""


def call(model: str, text: str | None, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "provider": "p",
        "tier": "cheap",
        "purpose": "vote",
        "outcome": "ok",
        "cost": COSTS[model],
        "usage": {"prompt": 90, "completion": 10},
        "seconds": 1.0,
        "failed": [],
        "answer": [{"text": text, "finish": "stop"}],
        **more,
    }


def life(name: str, answers: Mapping[str, str], **more: Any) -> Life:
    return {
        "request": name,
        "time": "2026-11-22T23:30:00.000Z",
        "tenant": "acme",
        "route": "auto",
        "tags": {"team": "red"},
        "asked": {"model": "auto", "messages": [{"role": "user", "content": f"{name}?"}]},
        "attempts": [call(model, text) for model, text in answers.items()],
        **more,
    }


LIVES = (
    life("a", {"small": "1", "quick": "1.0", "large": "1"}),
    life("b", {"small": "2", "quick": "3", "large": "3"}),
    life("c", {"small": "5", "quick": "5", "large": "4"}),
)


def log(folder: Path, *lives: Life, end: str = "\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lives.jsonl").write_text("\n".join(map(json.dumps, lives)) + end)
    return folder


def rights(folder: Path, smart: str | None = None) -> dict[str, dict[str, float]]:
    models = read(folder, smart).models
    return {
        name: {asked: answer.quality for asked, answer in model.answers.items()}
        for name, model in models.items()
    }


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_vote_over_what_was_logged(tmp_path: Path, place: str) -> None:
    """It agrees on a and, wrongly, on c; what is right is what large says, the dearest."""
    folder = log(tmp_path / "logs", *LIVES)
    found = told(folder if place == "folder" else folder / "lives.jsonl", "vote")
    policy = found["policy"]
    assert (found["queries"], found["smart"]) == (3, "large")
    assert policy["accuracy"]["value"] == pytest.approx(2 / 3)
    assert policy["usd_per_1000"]["value"] == pytest.approx((3 * 0.03 + 0.9) / 3)
    assert policy["p50_s"]["value"] == 1.0
    assert found["singles"][-1]["accuracy"]["value"] == 1.0
    assert found["notes"] == [
        "these answers are not marked: right is what means the same as large's"
    ]


def test_another_may_be_the_smart_one(tmp_path: Path) -> None:
    folder = log(tmp_path, *LIVES)
    assert rights(folder, "quick")["large"] == {"a": 1.0, "b": 1.0, "c": 0.0}


@pytest.mark.parametrize("first", ["seen", "behind"])
def test_what_went_on_behind_an_answer_belongs_to_it(tmp_path: Path, first: str) -> None:
    seen, behind = life("a", {"small": "1"}), life("a~guard", {"large": "2"}, asked=None)
    both = (seen, behind) if first == "seen" else (behind, seen)
    assert rights(log(tmp_path, *both)) == {"small": {"a": 0.0}, "large": {"a": 1.0}}


def test_marks_of_the_owner_count_instead(tmp_path: Path) -> None:
    marked = [call("small", "x", correct=True), call("large", "y", correct=0.25)]
    unmarked = [call("small", "z"), call("large", "z", correct=False)]
    folder = log(tmp_path, life("a", {}, attempts=marked), life("b", {}, attempts=unmarked))
    assert rights(folder) == {"small": {"a": 1.0}, "large": {"a": 0.25, "b": 0.0}}
    assert read(folder).notes == ()


def without(name: str, at: int = 0) -> Life:
    """The first life, whose call of that number lacks a field."""
    attempts = [dict(each) for each in LIVES[0]["attempts"]]
    del attempts[at][name]
    return {**LIVES[0], "attempts": attempts}


def test_a_model_that_was_asked_twice_counts_as_it_answered_first(tmp_path: Path) -> None:
    twice = [call("small", "1"), call("large", "2"), call("small", "2")]
    assert rights(log(tmp_path, life("a", {}, attempts=twice)))["small"] == {"a": 0.0}


@pytest.mark.parametrize(
    ("changed", "small"),
    [
        pytest.param(LIVES[0], {"a", "b"}, id="whole"),
        pytest.param(without("answer"), {"b"}, id="no answer: not one of its answers"),
        pytest.param(without("cost"), {"b"}, id="no cost: the same"),
        pytest.param({**LIVES[0], "asked": None}, {"b"}, id="not asked: no query"),
        pytest.param({**LIVES[0], "asked": {"model": "auto"}}, {"b"}, id="no messages: the same"),
        pytest.param({**LIVES[0], "attempts": []}, {"b"}, id="no calls"),
        pytest.param(without("answer", 2), {"b"}, id="the smart one is not there to compare"),
        pytest.param(
            life("a", {"small": "It is hard to say. " * 9, "large": "1"}),
            {"b"},
            id="a text that cannot be compared",
        ),
        pytest.param(
            {**LIVES[0], "attempts": [call("small", "1", outcome="timeout"), call("large", "1")]},
            {"b"},
            id="a call that failed",
        ),
    ],
)
def test_a_line_that_lacks_something(tmp_path: Path, changed: Life, small: set[str]) -> None:
    assert set(rights(log(tmp_path, changed, LIVES[1]))["small"]) == small


@pytest.mark.parametrize(
    ("lives", "note"),
    [
        (({**LIVES[0], "asked": None}, LIVES[1]), "their content was not kept: 1 lives"),
        (
            (life("a", {"small": "It is hard to say. " * 9, "large": "1"}), LIVES[1]),
            "they cannot be compared with it: 1 answers",
        ),
    ],
)
def test_what_is_left_out_is_told(tmp_path: Path, lives: tuple[Life, ...], note: str) -> None:
    assert any(note in each for each in read(log(tmp_path, *lives)).notes)


def test_times_that_are_not_there(tmp_path: Path) -> None:
    folder = log(tmp_path, without("seconds", 2), LIVES[1])
    found = told(folder, "cascade", "small", "large", smart="large")
    assert found["policy"]["p50_s"]["value"] == 1.0
    assert [single["p50_s"] is None for single in found["singles"]] == [False, True]


def test_tokens_that_are_not_there(tmp_path: Path) -> None:
    """They only say which model is dear: the order in which a pool is dealt."""
    folder = log(tmp_path, without("usage"))
    assert read(folder).models["small"].price.input == 0
    found = told(folder, "cascade", "small", "large", smart="large")
    assert found["policy"]["usd_per_1000"]["value"] == 0.01


def test_calls_and_schemas_come_as_they_were_asked(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "go", "parameters": {"type": "object"}}}
    went = [{"text": None, "tool_calls": [{"id": "1", "name": "go", "arguments": '{"to":"Rome"}'}]}]
    asked = {**LIVES[0]["asked"], "tools": [tool], "max_completion_tokens": 7, "user": "u"}
    attempts = [call(model, None, answer=went) for model in COSTS]
    folder = log(tmp_path, {**LIVES[0], "asked": asked, "attempts": attempts})
    (query,) = read(folder).queries
    assert set(query.request.fields) == {"messages", "tools"}
    assert query.request.max_tokens == 7
    assert told(folder, "arbitrate")["verdicts"] == {"agreed": 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('{"request"', '{"require"', 1), "lives.jsonl:1: "),
        (lambda text: text.replace("2026-11-22T23:30:00.000Z", "soon", 1), "lives.jsonl:1: "),
        (lambda text: "{\n" + text, "lives.jsonl:1: "),
        (lambda text: text.replace('"asked"', '"told"'), "no life with its content"),
        (lambda text: text.replace('"answer"', '"said"'), "no call has an answer and its cost"),
        (lambda text: "", "no life with its content"),
    ],
    ids=["no id", "no time", "torn amid", "no request", "no answer", "empty"],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, change: Callable[[str], str], why: str
) -> None:
    file = log(tmp_path, *LIVES) / "lives.jsonl"
    file.write_text(change(file.read_text()))
    with pytest.raises(Unusable) as raised:
        read(tmp_path)
    assert why in str(raised.value)


@pytest.mark.parametrize(("cut", "queries"), [(0, 3), (1, 3), (2, 2), (90, 2)])
def test_a_last_line_that_was_not_ended(tmp_path: Path, cut: int, queries: int) -> None:
    """It may be whole all the same."""
    file = log(tmp_path, *LIVES) / "lives.jsonl"
    text = file.read_text()
    file.write_text(text[: len(text) - cut])
    assert len(read(tmp_path).queries) == queries
