"""What can be learned from: requests as numbers, and on which rungs their answers passed.

Recorded answers say of every rung whether it was right. Usage records say only what was asked: a
rung passed where nothing was climbed from it, and of rungs above nothing is known.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.core.first_rung import after
from gateway.core.guarded import kept
from gateway.core.plan import Plan
from gateway.core.signals import NAMES, read_signals
from gateway.core.usage_line import Line
from gateway.replay.lineup import Lineup
from gateway.replay.records import Records, Unusable
from gateway.replay.rehearse import Rehearsal

_CLIMBED: Final = ("arbitration", "escalation")
_NOT_ASKED_FOR: Final = ("audit", "compared")
"""Purposes of what no client sees."""
_RIGHT: Final = 0.5


class Lesson(Struct, frozen=True):
    """One request. `passed` has the rungs of which it is known."""

    id: str
    signals: tuple[float, ...]
    passed: Mapping[str, bool]


class Lessons(Struct, frozen=True):
    """`rungs` are in the order they are climbed. `skipped` counts what could not be used, by why.
    `complete`: every rung is known of every request.
    """

    name: str
    rungs: tuple[str, ...]
    lessons: tuple[Lesson, ...]
    answer_tokens: Mapping[str, int]
    skipped: Mapping[str, int]
    complete: bool


def of_records(records: Records, lineup: Lineup) -> Lessons:
    """A rung passes when its part of the strategy keeps an answer, and that is right."""
    rehearsal = Rehearsal(records, lineup)
    tiers = tuple(step.tier for step in lineup.ladder.steps)
    skipped: Counter[str] = Counter()
    missing = len(records.queries) - len(rehearsal.queries)
    if missing:
        skipped["not answered by every model"] = missing
    lessons: list[Lesson] = []
    for query in rehearsal.queries:
        try:
            signals = read_signals(query.request)
        except InvalidRequest:
            skipped["cannot be read"] += 1
            continue
        ladder, plan, _ = rehearsal.planned(query)
        if tuple(rung.tier for rung in plan.rungs) != tiers:
            skipped["does not climb every rung"] += 1
            continue
        passed = {}
        for number, rung in enumerate(plan.rungs):
            alone = Plan((rung,), ())
            end = rehearsal.carried_out(query, alone, after(ladder.strategy, number))
            passed[rung.tier] = kept(end.why) and end.quality >= _RIGHT
        lessons.append(Lesson(query.id, signals, passed))
    tokens = {}
    for step in lineup.ladder.steps:
        answers = records.models[step.places[0].model.name].answers.values()
        lengths = [each.usage.completion for each in answers]
        tokens[step.tier] = _mean(lengths)
    return Lessons(records.name, tiers, tuple(lessons), tokens, skipped, complete=True)


def of_usage(lines: Iterable[Line], route: str | None, name: str) -> Lessons:
    """Of the records of one route: None is the only one that has signals. Raises Unusable."""
    requests: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.request and line.purpose not in _NOT_ASKED_FOR and not line.corrects:
            requests[line.request].append(line)
    route = _only_route(requests.values(), name) if route is None else route
    skipped: Counter[str] = Counter()
    lessons: list[Lesson] = []
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    above: Counter[tuple[str, str]] = Counter()
    for request, calls in requests.items():
        signals, why = _signals(calls, route)
        tiers = list(dict.fromkeys(each.tier for each in calls))
        passed = {} if why else _passed(tiers, calls)
        if not passed:
            skipped[why or "without an answer"] += 1
            continue
        lessons.append(Lesson(request, signals, passed))
        above.update((low, high) for at, low in enumerate(tiers) for high in tiers[at + 1 :])
        for each in calls:
            if each.outcome == "ok":
                lengths[each.tier].append(each.usage.completion)
    rungs = tuple(sorted(lengths, key=lambda tier: (_place(tier, above), tier)))
    tokens = {tier: _mean(found) for tier, found in lengths.items()}
    return Lessons(name, rungs, tuple(lessons), tokens, skipped, complete=False)


def _only_route(requests: Iterable[Sequence[Line]], name: str) -> str:
    routes = sorted({each.route for calls in requests for each in calls if each.signals})
    if len(routes) > 1:
        raise Unusable(f"{name}: records of several routes: choose one of {', '.join(routes)}")
    return routes[0] if routes else ""


def _signals(calls: Sequence[Line], route: str) -> tuple[tuple[float, ...], str]:
    """Of one request, or why there are none. Its first call has them."""
    if calls[0].route != route:
        return (), "of another route" if route else "without signals"
    signals = next((each.signals for each in calls if each.signals), ())
    if not signals:
        return (), "without signals"
    if len(signals) != len(NAMES):
        return (), "of other signals"
    return signals, ""


def _passed(tiers: Sequence[str], calls: Sequence[Line]) -> dict[str, bool]:
    """Who was climbed from did not pass; who answered last did. A rung that gave no answer at all
    says nothing of what it would have said.
    """
    if any(each.purpose == "abandoned" for each in calls):
        return {}
    passed = {}
    for at, tier in enumerate(tiers):
        here = [each for each in calls if each.tier == tier]
        if not any(each.outcome in {"ok", "cut"} for each in here):
            continue
        following = [each for each in calls if at + 1 < len(tiers) and each.tier == tiers[at + 1]]
        if not following:
            passed[tier] = any(each.outcome == "ok" for each in here)
        elif any(each.purpose in _CLIMBED for each in following):
            passed[tier] = False
    return passed


def _place(tier: str, above: Mapping[tuple[str, str], int]) -> int:
    """How many tiers were climbed to it."""
    return sum(
        high == tier and count > above.get((tier, low), 0) for (low, high), count in above.items()
    )


def _mean(lengths: Sequence[int]) -> int:
    return round(sum(lengths) / len(lengths)) if lengths else 0
