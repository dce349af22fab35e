"""The figures of a rehearsal as JSON values and as a table."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import structs
from rich.console import Console
from rich.table import Table

from gateway.replay.figures import Figure, Figures, Line
from gateway.replay.rehearse import Decision, Rehearsal
from gateway.replay.rehearse_guard import WatchedRehearsal

_HEADS: Final = (
    "policy", "right %", "USD per 1,000", "of smart's cost", "against smart, pp", "lift, pp",
    "calls",
)  # fmt: skip
_TIMES: Final = ("p50 s", "p95 s")


def as_json(
    rehearsal: Rehearsal, decisions: Sequence[Decision], figures: Figures
) -> dict[str, Any]:
    """Accuracies and shares are from 0 to 1, `_pp` are percentage points; each has its interval."""
    report: dict[str, Any] = msgspec.to_builtins(figures)
    report["pool"] = list(rehearsal.lineup.pool)
    report["rungs"] = [
        {"tier": step.tier, "models": [place.model.name for place in step.models]}
        for step in rehearsal.lineup.ladder.steps
    ]
    report["verdicts"] = _counts(decisions)
    report["not_comparable"] = {
        "votes": rehearsal.compared,
        "without_a_key": rehearsal.incomparable,
        "share": _share(rehearsal.incomparable, rehearsal.compared),
    }
    report["checks"] = {
        name: {"failed": count, "of_them_right": rehearsal.failed_though_right[name]}
        for name, count in sorted(rehearsal.failed.items())
    }
    report["calls_with_added_messages"] = rehearsal.added_messages
    if rehearsal.began:
        report["began"] = dict(sorted(rehearsal.began.items()))
    report["notes"] = list(_notes(rehearsal))
    if isinstance(rehearsal, WatchedRehearsal):
        report["guard"] = {
            "settings": structs.asdict(rehearsal.settings),
            "audit_share_of_spend": rehearsal.audit_share,
            "switched": rehearsal.switched,
            "buckets": {
                name: {
                    "on": guard.allows(rehearsal.settings),
                    "rate": guard.rate,
                    "lower_bound": guard.bound,
                    "comparisons": guard.seen,
                }
                for name, guard in sorted(rehearsal.guards.items())
            },
        }
    return report


def show(report: dict[str, Any], figures: Figures, console: Console) -> None:
    """Print the report for a person."""
    count = "1 query" if figures.queries == 1 else f"{figures.queries:,} queries"
    rungs = " > ".join(", ".join(each["models"]) for each in report["rungs"])
    console.print(f"{count}; {rungs}; smart: {figures.smart}", soft_wrap=True)
    console.print(_table(figures))
    verdicts = ", ".join(f"{name} {count:,}" for name, count in report["verdicts"].items())
    console.print(f"verdicts: {verdicts}", soft_wrap=True)
    votes = report["not_comparable"]
    if votes["votes"]:
        console.print(
            f"answers that could not be compared: {votes['without_a_key']:,} of {votes['votes']:,} "
            f"votes ({votes['share']:.1%})",
            soft_wrap=True,
        )
    for name, check in report["checks"].items():
        console.print(
            f"{name}: {check['failed']:,} answers failed, {check['of_them_right']:,} of them right"
        )
    for line in (*_guard_lines(report), *report["notes"]):
        console.print(line, soft_wrap=True)


def decision_lines(decisions: Sequence[Decision]) -> Iterator[bytes]:
    """A line of JSON for each query that was answered, with all calls that were paid for."""
    for each in decisions:
        called = [*each.called, *each.audited]
        yield msgspec.json.encode({"id": each.id, "served": each.served, "called": called}) + b"\n"


def _table(figures: Figures) -> Table:
    timed = figures.policy.p50_s is not None
    table = Table()
    for head in (*_HEADS, *(_TIMES if timed else ())):
        table.add_column(head, overflow="fold")  # a figure is never cut
    for line in (figures.policy, *figures.singles, figures.oracle):
        cells = [
            line.name,
            _text(line.accuracy, 2, 100),
            _text(line.usd_per_1000, 4),
            _text(line.cost_of_smart, 3),
            _text(line.vs_smart_pp, 2, sign=True),
            _text(line.lift_pp, 2, sign=True),
            _text(line.calls, 2),
        ]
        if timed:
            cells += [_text(each, 2) if each else "" for each in (line.p50_s, line.p95_s)]
        table.add_row(*cells)
    return table


def brief(line: Line) -> str:
    """One policy in one line."""
    return (
        f"{100 * line.accuracy.value:6.2f} %  {line.usd_per_1000.value:9.4f} USD/1k  "
        f"{line.cost_of_smart.value:.3f} of smart  {line.vs_smart_pp.value:+6.2f} pp  "
        f"lift {line.lift_pp.value:+6.2f} pp  {line.name}"
    )


def _text(figure: Figure, digits: int, times: float = 1.0, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    value, low, high = (
        f"{each * times:{plus}.{digits}f}" for each in (figure.value, figure.low, figure.high)
    )
    return value if low == high == value else f"{value} [{low}, {high}]"


def _guard_lines(report: dict[str, Any]) -> Iterator[str]:
    guard = report.get("guard")
    if guard is None:
        return
    yield f"guard: audits are {guard['audit_share_of_spend']:.1%} of what was spent"
    for name, state in guard["buckets"].items():
        on = "on" if state["on"] else "off"
        yield (
            f"guard, {name}: {on}; {state['rate']:.0%} of {state['comparisons']:.0f} comparisons "
            f"agree, at least {state['lower_bound']:.0%}"
        )


def _notes(rehearsal: Rehearsal) -> Iterator[str]:
    yield from rehearsal.lineup.notes
    if rehearsal.began:
        began = ", ".join(f"{tier} {count:,}" for tier, count in sorted(rehearsal.began.items()))
        yield f"began, as it was learned: {began}"
    elif rehearsal.lineup.ladder.learned is not None:
        yield "nothing was learned of these tiers: every plan began at the first"
    if rehearsal.added_messages:
        yield (
            f"{rehearsal.added_messages:,} calls were made with added messages; the recorded "
            "answers did not see these"
        )


def _counts(decisions: Sequence[Decision]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in decisions:
        counts[each.why] = counts.get(each.why, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
