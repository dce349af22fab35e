"""Policies over small recorded sets whose outcome can be told by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.faults import ConfigError
from gateway.replay.records import Unusable
from tests.replay.sets import Row, asked, said, told, write

RIGHT = {"a": "1", "b": "2", "c": "3", "d": "4"}
CHEAP = {"a": "1", "b": "2", "c": "9", "d": "8"}
OTHER = {"a": "1.0", "b": "5", "c": "9", "d": "7"}
MIDDLE = {"a": "0", "b": "5", "c": "0", "d": "8"}
PRICES = {"cheap": (1.0, 1.0), "other": (1.0, 1.0), "middle": (3.0, 3.0), "smart": (10.0, 10.0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answers = {
        "cheap": said(CHEAP, RIGHT, latency_s=1.0),
        "other": said(OTHER, {**RIGHT, "a": "1.0"}, latency_s=2.0),
        "middle": said(MIDDLE, RIGHT, latency_s=3.0),
        "smart": said(RIGHT, RIGHT, latency_s=4.0),
    }
    return write(tmp_path / "set", asked(*RIGHT), answers, PRICES)


def route(tmp_path: Path, text: str) -> str:
    file = tmp_path / "route.yaml"
    file.write_text(text)
    return str(file)


def values(told: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    return tuple(round(told["policy"][name]["value"], 6) for name in names)


@pytest.mark.parametrize(
    ("text", "pool", "wanted", "verdicts"),
    [
        pytest.param(
            "vote",
            ("cheap", "other", "smart"),
            (0.75, 0.7, 2.5, 6.0),
            {"agreed": 2, "unjudged": 2},
            id="agreed on a and, wrongly, on c",
        ),
        pytest.param(
            "strategy: vote",
            ("cheap", "other", "middle", "smart"),
            (0.25, 0.35, 2.5, 5.0),
            {"agreed": 2, "unjudged": 2},
            id="three tiers: the middle one decides",
        ),
        pytest.param(
            "strategy: {vote: {join: true}}",
            ("cheap", "other", "middle", "smart"),
            (0.25, 0.35, 2.5, 5.0),
            {"agreed": 4},
            id="it joins: it agrees with other on b, with cheap on d",
        ),
        pytest.param(
            "cascade",
            ("cheap", "smart"),
            (0.5, 0.1, 1.0, 1.0),
            {"unjudged": 4},
            id="cascade",
        ),
        pytest.param(
            "{tiers: [cheap, smart], checks: [{regex: '[1-8]'}]}",
            ("cheap", "smart"),
            (0.75, 0.35, 1.25, 1.0),
            {"passed": 4},
            id="a check climbs",
        ),
        pytest.param(
            "{tiers: [a, b], strategy: {retry_cheap: {tries: 3}}, checks: [{regex: '[1-8]'}]}",
            ("cheap", "smart"),
            (0.75, 0.4, 1.75, 1.0),
            {"passed": 4},
            id="the same answer each time",
        ),
        pytest.param(
            "strategy: {hedge: {after_ms: 1500}}",
            ("other", "cheap", "smart"),
            (0.25, 0.1, 1.0, 2.0),
            {"unjudged": 4},
            id="alone on its rung: no race",
        ),
    ],
)
def test_policies(
    tmp_path: Path,
    folder: Path,
    text: str,
    pool: tuple[str, ...],
    wanted: tuple[float, ...],
    verdicts: dict[str, int],
) -> None:
    name = text if text.isalpha() else route(tmp_path, text)
    found = told(folder, name, *pool)
    assert values(found, "accuracy", "cost_of_smart", "calls", "p50_s") == wanted
    assert found["verdicts"] == verdicts


@pytest.mark.parametrize(
    ("after_ms", "calls", "p50"),
    [
        (2_500, 1.0, 2.0),  # the first has answered before the second would begin
        (500, 2.0, 1.5),  # the second begins at 0.5 and ends at 1.5
        (1_500, 2.0, 2.0),  # it begins, and is outrun: both are paid
    ],
)
def test_a_race(tmp_path: Path, folder: Path, after_ms: int, calls: float, p50: float) -> None:
    text = f"""
tiers: {{low: {{models: [other, cheap]}}, high: {{models: [smart]}}}}
routes: {{r: {{tiers: [low, high], strategy: {{hedge: {{after_ms: {after_ms}}}}}}}}}
"""
    assert values(told(folder, route(tmp_path, text)), "calls", "p50_s") == (calls, p50)


def test_a_race_without_recorded_times(tmp_path: Path) -> None:
    answers = {
        "cheap": said(CHEAP, RIGHT),
        "other": said(OTHER, RIGHT),
        "smart": said(RIGHT, RIGHT),
    }
    write(tmp_path / "set", asked(*RIGHT), answers, PRICES)
    text = "{tiers: {low: {models: [cheap, other]}, high: {models: [smart]}}, "
    file = route(tmp_path, text + "routes: {r: {tiers: [low, high], strategy: hedge}}}")
    found = told(tmp_path / "set", file)
    assert values(found, "calls") == (1.0,)
    assert found["policy"]["p50_s"] is None


def test_how_often_answers_could_not_be_compared(tmp_path: Path) -> None:
    long = "It is hard to say, and depends on many things that nobody knows. " * 2
    texts = {"a": long, "b": "2", "c": "3", "d": long}
    answers = {
        "x": said(texts, RIGHT),
        "y": said({**RIGHT, "d": long}, RIGHT),
        "s": said(RIGHT, RIGHT),
    }
    folder = write(tmp_path / "set", asked(*RIGHT), answers)
    found = told(folder, "vote", "x", "y", "s")
    assert found["not_comparable"] == {"votes": 8, "without_a_key": 3, "share": 3 / 8}
    assert found["verdicts"] == {"agreed": 2, "unjudged": 2}


def test_answers_without_any_text_are_neither_judged_nor_compared(tmp_path: Path) -> None:
    bare: dict[str, list[Row]] = {
        name: [{"id": each, "correct": name == "s"} for each in RIGHT] for name in ("x", "y", "s")
    }
    folder = write(tmp_path / "set", asked(*RIGHT), bare)
    found = told(folder, route(tmp_path, "{strategy: vote, checks: [not_empty]}"), "x", "y", "s")
    assert found["not_comparable"]["share"] == 1.0
    assert (found["checks"], values(found, "accuracy")) == ({}, (1.0,))


def test_right_answers_that_a_check_fails_are_counted(tmp_path: Path, folder: Path) -> None:
    file = route(tmp_path, "{tiers: [a, b], checks: [{regex: '[2-9]'}]}")
    found = told(folder, file, "cheap", "smart")
    assert found["checks"] == {"regex": {"failed": 2, "of_them_right": 2}}
    assert found["verdicts"] == {"passed": 3, "best_effort": 1}


def test_messages_that_no_recorded_answer_has_seen(tmp_path: Path, folder: Path) -> None:
    file = route(tmp_path, "strategy: {vote: {show_votes: true}}")
    found = told(folder, file, "cheap", "other", "smart")
    assert found["calls_with_added_messages"] == 2
    assert found["notes"][-1].startswith("2 calls were made with added messages")


def test_only_what_all_have_answered(tmp_path: Path) -> None:
    rows = said(CHEAP, RIGHT)
    folder = write(tmp_path / "set", asked(*RIGHT), {"x": rows[:3], "s": said(RIGHT, RIGHT)[1:]})
    assert told(folder, "cascade")["queries"] == 2
    folder = write(tmp_path / "none", asked(*RIGHT), {"x": rows[:1], "s": said(RIGHT, RIGHT)[1:]})
    with pytest.raises(Unusable, match="no query was answered by all of x, s"):
        told(folder, "cascade")


# ---- tool calls


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


CALLS: dict[str, tuple[Row, Row, Row, Row]] = {
    # what is right, and what one, two and the smart one call
    "same": (tool("go", to="Rome", n=2),) * 4,
    "meant": (
        tool("go", to="Rome", n=2),
        tool("go", n=2.0, to="rome."),
        tool("go", to="Rome", n=2, note=""),
        tool("go", to="Rome", n=2),
    ),
    "argument": (
        tool("go", to="Rome", n=2),
        tool("go", to="Rome", n=3),
        tool("go", to="Rome", n=2),
        tool("go", to="Rome", n=2),
    ),
    "name": (tool("go", to="Rome"), tool("stay"), tool("go", to="Rome"), tool("go", to="Rome")),
    "none": (
        {"text": "No need."},
        {"text": "No need.", "tool_calls": None},
        {"text": "Nothing to do here."},
        tool("stay"),
    ),
    "one calls": (tool("stay"), tool("stay"), {"text": "Hm."}, tool("stay")),
    "unknown": (tool("go", to="Rome"), tool("fly"), tool("fly"), tool("go", to="Rome")),
}
TOOLS = [
    {
        "name": "go",
        "description": "Goes.",
        "parameters": {
            "type": "dict",
            "required": ["to"],
            "properties": {"to": {"type": "string"}, "n": {"type": "float"}},
        },
    },
    {"name": "stay", "parameters": {"type": "dict", "properties": {}}},
]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    queries = [
        {"id": each, "messages": [{"role": "user", "content": "Move?"}], "functions": TOOLS}
        for each in CALLS
    ]
    correct = {
        "one": ("same", "meant", "none"),
        "two": ("same", "meant", "argument", "name", "none"),
        "smart": ("same", "meant", "argument", "name", "one calls", "unknown"),
    }
    rows = {
        model: [
            {
                **answers[place],
                "id": each,
                "correct": each in correct[model],
                "tokens_in": 500,
                "tokens_out": 20,
            }
            for each, answers in CALLS.items()
        ]
        for place, model in enumerate(("one", "two", "smart"), 1)
    }
    prices = {"one": (1.0, 1.0), "two": (1.0, 1.0), "smart": (10.0, 10.0)}
    return write(tmp_path / "calls", queries, rows, prices)


def test_tool_calls_are_arbitrated(tmp_path: Path, calls: Path) -> None:
    file = route(
        tmp_path, "{strategy: arbitrate, tiers: [cheap, smart], checks: [not_empty, tools_valid]}"
    )
    found = told(calls, file, "one", "two", "smart", decisions=tmp_path / "d.jsonl")
    lines = (tmp_path / "d.jsonl").read_text().splitlines()
    served = dict(zip(CALLS, ('"one"' in each.split("called")[0] for each in lines), strict=True))
    assert [name for name, by_one in served.items() if by_one] == ["same", "meant", "none"]
    assert found["checks"]["tools_valid"] == {"failed": 2, "of_them_right": 0}
    assert values(found, "accuracy") == (1.0,)
    assert found["not_comparable"]["without_a_key"] == 0


def test_the_same_calls_in_a_vote(calls: Path) -> None:
    """Without the check two wrong calls agree; two texts of different words do not."""
    found = told(calls, "vote", "one", "two", "smart")
    assert found["verdicts"] == {"unjudged": 4, "agreed": 3}


# ---- rules


@pytest.mark.parametrize(
    ("when", "beside", "climbs"),
    [
        ("{tags: {team: [red]}}", {"tags": {"team": "red"}}, True),
        ("{tags: {team: [red]}}", {"tags": {"team": "blue"}}, False),
        ("{tags: {team: [red]}}", {}, False),
        ("{hours: {from: '22:00', to: '06:00'}}", {"time": "2026-11-22T23:30:00Z"}, True),
        ("{hours: {from: '22:00', to: '06:00'}}", {"time": "2026-11-22T23:30:00-08:00"}, False),
        ("{hours: {from: '22:00', to: '06:00'}}", {}, True),  # not recorded: at midnight, UTC
        ("{region: [eu]}", {"region": "eu"}, True),
        ("{max_latency_ms: 500}", {"max_latency_ms": 400}, True),
        ("{max_cost_usd: 0.02}", {"max_cost_usd": 0.01}, True),
        ("{output_tokens: {at_most: 10}}", {"max_tokens": 10}, True),
        ("{has: [json_schema]}", {"response_format": {"type": "json_schema"}}, True),
        ("{has: [json_schema]}", {}, False),
    ],
)
def test_rules_see_what_is_recorded(
    tmp_path: Path, when: str, beside: dict[str, Any], climbs: bool
) -> None:
    """The rule asks the smart one only."""
    answers = {"cheap": said({"a": "0"}, {"a": "1"}), "smart": said({"a": "1"}, {"a": "1"})}
    folder = write(tmp_path / "set", [{**asked("a")[0], **beside}], answers, PRICES)
    text = f"""
tiers: {{low: {{models: [cheap]}}, high: {{models: [smart]}}}}
routes: {{r: {{tiers: [low, high], rules: [{{name: x, when: {when}, tiers: [high]}}]}}}}
"""
    found = told(folder, route(tmp_path, text))
    assert values(found, "accuracy") == (float(climbs),)


def test_tags_of_the_configuration_are_known(tmp_path: Path, folder: Path) -> None:
    """And one that it does not name is a fault, as it is when the gateway starts."""
    text = "tags: {team: [red]}\ntiers: {low: {models: [cheap]}, high: {models: [smart]}}\n"
    rule = (
        "routes: {r: {tiers: [low, high], rules: [{name: x, when: {tags: {TAG: [red]}}, TIERS}]}}"
    )
    rule = rule.replace("TIERS", "tiers: [high]")
    found = told(folder, route(tmp_path, text + rule.replace("TAG", "team")))
    assert values(found, "accuracy") == (0.5,)
    with pytest.raises(ConfigError, match='an unknown tag "use"'):
        told(folder, route(tmp_path, text + rule.replace("TAG", "use")))


def test_what_goes_on_behind_the_answers_is_not_rehearsed(tmp_path: Path, folder: Path) -> None:
    """A canary, a shadow and a cache belong to the service."""
    text = """
tiers: {low: {models: [cheap]}, high: {models: [smart]}}
routes:
  auto: {tiers: [low, high], canary: {route: b, share: 0.5}, shadow: {route: b, share: 0.5},
         cache: {ttl_s: 60}}
  b: {tiers: [high]}
"""
    assert values(told(folder, route(tmp_path, text)), "accuracy", "calls") == (0.5, 1.0)
