"""What the benchmark makes of its figures: goals, the report, the picture. Nothing is timed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from xml.etree import ElementTree as ET

import pytest

from benchmarks.goals import GOALS, Reached, goal_lines, reached
from benchmarks.picture import picture
from benchmarks.report import markdown, report
from benchmarks.table import Cell, Measured, Reading, Readings, lines_of
from benchmarks.tables.names import ALL

NO_LATENCY: tuple[float, ...] = ()


def cells(*prices: float, latency_ms: tuple[float, ...] = NO_LATENCY) -> list[Cell]:
    """Of so many us a request."""
    return [Cell(1000, 1000, us / 1000, 0.0, 1.0, latency_ms) for us in prices]


def table(rows: Mapping[str, Sequence[Cell]]) -> Measured:
    return Measured("title", "us/req", rows, dict.fromkeys(rows, "nginx"))


LADDER = {
    "+ escalation: a second rung": cells(135, 145, 155),
    "escalating, beyond its two calls": cells(30, 34, 50),
}
PACED = {
    "upstream, direct": cells(10, latency_ms=(0.1, 0.5, 1.0)),
    "tollgate": cells(90, latency_ms=(0.5, 2.5, 9.0)),
}
PEERS = {
    "tollgate": cells(80),
    "LiteLLM 1.2.3": cells(8000),
    "Portkey 1.2": cells(400),
}
MEMORY = {
    "idle": Reading("MB", [70, 80, 75]),
    "a stream, with 100 open": Reading("kB", [90.0]),
    "a stream, with 5,000 open": Reading("kB", [30.0]),
}


@pytest.mark.parametrize(
    ("told", "tables", "value", "word"),
    [
        ("1 kB, saturated", {"chat": {"nginx": cells(20), "tollgate": cells(60)}}, 3.0, "reached"),
        ("1 kB, saturated", {"chat": {"nginx": cells(20), "tollgate": cells(80)}}, 4.0, "MISSED"),
        ("requests for a second", {"chat": {"tollgate": cells(80)}}, 12_500, "reached"),
        ("requests for a second", {"chat": {"tollgate": cells(125)}}, 8_000, "MISSED"),
        ("the same / LiteLLM", {"peers": PEERS}, 0.01, "reached"),
        ("the same / Portkey", {"peers": PEERS}, 0.2, "MISSED"),
        ("the same / TensorZero", {"peers": PEERS}, None, "not measured"),
        ("escalation (2 rungs)", {"ladder": LADDER}, 34.0, "reached"),
        ("added latency at 200 a second, p50", {"paced": PACED}, 0.4, "reached"),
        ("added latency at 200 a second, p99", {"paced": PACED}, 2.0, "reached"),
        ("2 workers", {"workers": {"1 worker": cells(80), "2 workers": cells(70)}}, 12.5, "MISSED"),
    ],
)
def test_a_goal_is_read_from_its_table(
    told: str, tables: Mapping[str, Mapping[str, Sequence[Cell]]], value: float | None, word: str
) -> None:
    found = one(told, {name: table(rows) for name, rows in tables.items()})
    assert (found.value, found.word) == (None if value is None else pytest.approx(value), word)


@pytest.mark.parametrize(("told", "value"), [("idle RSS", 75), ("memory of an open stream", 30)])
def test_a_goal_is_read_from_readings(told: str, value: float) -> None:
    """Of streams: from the row with the most of them."""
    assert one(told, {"memory": Readings("title", MEMORY)}).value == value


def one(told: str, tables: Mapping[str, Measured | Readings]) -> Reached:
    (found,) = (each for each in reached(tables) if each.goal.told.startswith(told))
    return found


def test_every_goal_has_a_line_though_nothing_was_measured() -> None:
    head, *lines = goal_lines(reached({}))
    assert [line[0] for line in lines] == [goal.told for goal in GOALS]
    assert {line[-1] for line in lines} == {"not measured"}
    assert len(head) == 4


def test_the_report_has_all_that_was_measured_and_says_what_was_not() -> None:
    tables = {"chat": table({"nginx": cells(20), "tollgate": cells(60)})}
    text = report(
        tables,
        {"peers": "no network"},
        [("CPU", "two of them")],
        command="python -m benchmarks",
        when="2026-01-01",
        spent="5 rounds.",
        picture="results.svg",
    )
    for part in (
        "![CPU time of one request, each gateway](results.svg)",
        "| 1 kB, saturated, CPU per request / nginx | 3.00 x | <= 3.5 x | reached |",
        "| CPU | two of them |",
        "| tollgate | 60.0 | 60.0-60.0 | 3.00 | 1000 |",
        "- peers: no network",
    ):
        assert part in text, part


def test_a_row_that_leaves_something_out_stays_indented() -> None:
    assert markdown([["", "us"], ["  no checks", "1|2"]], left=1).endswith(
        "| &nbsp;&nbsp;no checks | 1\\|2 |"
    )


def test_the_picture_has_a_bar_for_each_gateway_shortest_first() -> None:
    prices = {"LiteLLM 1.2.3": (9000, 9000, 9000), "nginx": (20, 20, 20)}
    rows = {name: cells(*each) for name, each in (prices | {"tollgate": (60, 80, 70)}).items()}
    drawn = ET.fromstring(picture(table(rows)))  # noqa: S314 - our own
    bars = [float(each.attrib["width"]) for each in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    texts = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert bars == sorted(bars)
    assert len(bars) == len(rows)
    assert [text for text in texts if text in rows] == ["nginx", "tollgate", "LiteLLM 1.2.3"]
    assert f"{median((60, 80, 70)):.1f} us (3.50 x nginx)" in texts


def test_latencies_are_told_where_they_are_of_interest() -> None:
    rows = {"tollgate": cells(60, latency_ms=(0.5, 2.5, 9.0))}
    quiet, told = (Measured("", "us", rows, {}, latency=latency) for latency in (False, True))
    assert len(lines_of(quiet)[0]) == 5
    assert lines_of(told)[1][-4:] == ["0.50", "2.50", "9.00", "0.00"]


def test_the_tables_of_the_goals_are_made() -> None:
    """What a goal reads is a table of the benchmark: a name that is none would never be met."""
    asked: set[str] = set()

    class Every(dict[str, Measured]):
        def __missing__(self, name: str) -> Measured:
            asked.add(name)
            raise KeyError(name)

    reached(Every())
    assert asked <= ALL.keys()
    assert len(asked) > 10


def test_the_manual_asks_what_the_benchmark_asks() -> None:
    page = (Path(__file__).parents[1] / "docs/performance.md").read_text()
    for goal in GOALS:
        least = "at least" if goal.at_least else "at most"
        line = f"| {goal.told} | {least} {goal.limit:,g} {goal.unit}".rstrip() + " |"
        assert line in page, line
