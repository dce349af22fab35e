"""What is to be reached, and whether it was. Pure: from the tables that were made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.table import Measured, Readings, added, figure, ratio, row

Tables = Mapping[str, Measured | Readings]
Read = Callable[[Tables], float]
"""Raises KeyError where a table or a row of it was not made."""


@dataclass(frozen=True)
class Goal:
    """`limit` is the most that `read` may give, or the least."""

    told: str
    limit: float
    unit: str
    read: Read
    at_least: bool = False


@dataclass(frozen=True)
class Reached:
    """`value` is None where it was not measured."""

    goal: Goal
    value: float | None

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        goal = self.goal
        met = self.value >= goal.limit if goal.at_least else self.value <= goal.limit
        return "reached" if met else "MISSED"


def _cells(tables: Tables, table: str) -> Measured:
    found = tables[table]
    if not isinstance(found, Measured):
        raise KeyError(table)
    return found


def _named(found: Mapping[str, object], name: str) -> str:
    """The row of that name, or the one whose name begins with it and a version."""
    for each in found:
        if each == name or each.startswith(f"{name} "):
            return each
    raise KeyError(name)


def times(table: str, name: str, other: str) -> Read:
    """How many times as dear as another row."""

    def read(tables: Tables) -> float:
        rows = _cells(tables, table).rows
        return ratio(rows[_named(rows, name)], rows[_named(rows, other)])

    return read


def flowing(table: str) -> Read:
    """Of streams whose events come one by one, or all at once: where it is dearer."""
    apart = times(table, "tollgate, flowing", "nginx")
    at_once = times(table, "tollgate, flowing, all at once", "nginx, all at once")
    return lambda tables: max(apart(tables), at_once(tables))


def price(table: str, name: str) -> Read:
    return lambda tables: row(name, _cells(tables, table).rows[name], None).us


def rate(table: str, name: str) -> Read:
    """Requests for each second of the gateway's CPU time."""
    return lambda tables: 1e6 / row(name, _cells(tables, table).rows[name], None).us


def late(table: str, name: str, at: int) -> Read:
    """What is added to the latency of the upstream alone, ms."""

    def read(tables: Tables) -> float:
        rows = _cells(tables, table).rows
        return added(rows[name], rows["upstream, direct"], at)

    return read


def reading(table: str, name: str) -> Read:
    """The last row whose name begins so: of streams, that with the most."""

    def read(tables: Tables) -> float:
        found = tables[table]
        if not isinstance(found, Readings):
            raise KeyError(table)
        names = [each for each in found.rows if each.startswith(name)]
        if not names:
            raise KeyError(name)
        return median(found.rows[names[-1]].values)

    return read


def exactly(table: str, name: str) -> Read:
    def read(tables: Tables) -> float:
        found = tables[table]
        if not isinstance(found, Readings):
            raise KeyError(table)
        return median(found.rows[name].values)

    return read


def apart(table: str, name: str, other: str) -> Read:
    """By how many percent their prices differ."""
    return lambda tables: abs(times(table, name, other)(tables) - 1) * 100


X = "x"
GOALS: Final = (
    Goal("1 kB, saturated, CPU per request / nginx", 3.5, X, times("chat", "tollgate", "nginx")),
    Goal("the same / TensorZero", 0.5, X, times("peers", "tollgate", "TensorZero")),
    Goal("the same / Portkey", 0.1, X, times("peers", "tollgate", "Portkey")),
    Goal("the same / LiteLLM", 0.01, X, times("peers", "tollgate", "LiteLLM")),
    Goal("200 requests a second, open loop / nginx", 4.0, X, times("paced", "tollgate", "nginx")),
    Goal("2 s upstream, 100 in flight / nginx", 3.5, X, times("llm", "tollgate", "nginx")),
    Goal("16 kB / nginx", 3.5, X, times("sizes", "tollgate, 16 kB", "nginx, 16 kB")),
    Goal("TLS upstream / nginx", 3.0, X, times("tls", "tollgate", "nginx")),
    Goal("stream, per event / nginx unbuffered", 2.0, X, flowing("stream")),
    Goal("stream, TLS upstream, per event / nginx", 2.0, X, flowing("stream-tls")),
    Goal(
        "requests for a second of its CPU time",
        10_000,
        "/s",
        rate("chat", "tollgate"),
        at_least=True,
    ),
    Goal(
        "system calls a request, without Redis",
        5.0,
        "",
        exactly("syscalls", "tollgate, ledger in memory"),
    ),
    Goal("added latency at 200 a second, p50", 0.5, "ms", late("paced", "tollgate", 0)),
    Goal("added latency at 200 a second, p99", 3.0, "ms", late("paced", "tollgate", 1)),
    Goal(
        "escalation (2 rungs) beyond its two calls",
        40,
        "us",
        price("ladder", "escalating, beyond its two calls"),
    ),
    Goal(
        "plan + features, 60 models, 5 rules",
        25,
        "us",
        price("planning", "60 models, 5 rules, 4 a rung"),
    ),
    Goal(
        "reserve + settle, client side, 32 in flight", 20, "us", price("ledger", "reserve + settle")
    ),
    Goal("idle RSS", 120, "MB", reading("memory", "idle")),
    Goal("memory of an open stream", 40, "kB", reading("memory", "a stream, ")),
    Goal("ready after start", 1.5, "s", reading("start", "ready, ledger embedded")),
    Goal("--help", 0.3, "s", reading("start", "--help")),
    Goal(
        "2 workers / 1 worker, CPU per request: apart by",
        10,
        "%",
        apart("workers", "2 workers", "1 worker"),
    ),
)


def reached(tables: Tables) -> list[Reached]:
    return [Reached(goal, _value(goal, tables)) for goal in GOALS]


def _value(goal: Goal, tables: Tables) -> float | None:
    try:
        return goal.read(tables)
    except (KeyError, IndexError):
        return None


def goal_lines(found: list[Reached]) -> list[list[str]]:
    """A head, and a line for each goal: what it is, what was measured, what is asked, the word."""
    lines = [["to be reached", "measured", "goal", ""]]
    for each in found:
        goal = each.goal
        value = "-" if each.value is None else f"{figure(each.value)} {goal.unit}".strip()
        sign = ">=" if goal.at_least else "<="
        limit = f"{sign} {goal.limit:g} {goal.unit}".strip()
        lines.append([goal.told, value, limit, each.word])
    return lines
