"""What can be learned from: requests as numbers, and on which rungs their answers passed.

Recorded answers say of every rung whether it was right. Usage records have only the calls made: a
rung passed if the request did not climb from it, and of rungs above nothing is known.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.chat import Usage
from gateway.core.errors import InvalidRequest, ShuttingDown
from gateway.core.first_rung import after
from gateway.core.guarded_plan import kept
from gateway.core.learned.signals import of_record, read_signals
from gateway.core.plan import Plan
from gateway.replay.lineup import Lineup
from gateway.replay.records import Records, Unusable
from gateway.replay.rehearse import Rehearsal

_CLIMBED: Final = ("arbitration", "escalation")
_BACKGROUND: Final = ("audit", "compared")
"""Purposes of calls whose answer no client sees."""
_RIGHT: Final = 0.5
_UNREAD: Final = "lines that are no records, or lack a field"


class Call(Struct, frozen=True):
    """What is read of a usage record."""

    attempt: str
    request: str
    route: str
    tier: str
    purpose: str
    outcome: str
    usage: Usage
    signals: tuple[int, ...] = ()


_CALL: Final = msgspec.json.Decoder(Call)


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
    ladder = structs.replace(lineup.ladder, learned=None)
    rehearsal = Rehearsal(records, structs.replace(lineup, ladder=ladder))
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
        ladder, plan, _ = rehearsal.plan_for(query)
        if tuple(rung.tier for rung in plan.rungs) != tiers:
            skipped["does not climb every rung"] += 1
            continue
        passed = {}
        for number, rung in enumerate(plan.rungs):
            alone = Plan((rung,), ())
            end = rehearsal.execute(query, alone, after(ladder.strategy, number))
            passed[rung.tier] = kept(end.why) and end.quality >= _RIGHT
        lessons.append(Lesson(query.id, signals, passed))
    tokens = {}
    for step in lineup.ladder.steps:
        answers = records.models[step.models[0].model.name].answers.values()
        lengths = [each.usage.completion for each in answers]
        tokens[step.tier] = _mean(lengths)
    return Lessons(records.name, tiers, tuple(lessons), tokens, skipped, complete=True)


def of_usage(usage_calls: Iterable[Call], route: str | None, name: str, unread: int = 0) -> Lessons:
    """Of the records of one route: None is the only one that has signals. `unread` is how many
    lines were no records. Raises Unusable.
    """
    requests: defaultdict[str, dict[str, Call]] = defaultdict(dict)
    for call in usage_calls:
        if call.request and (call.purpose not in _BACKGROUND or _is_unfinished(call)):
            requests[call.request].setdefault(call.attempt, call)
    by_request = {request: [*calls.values()] for request, calls in requests.items()}
    route = _only_route(by_request.values(), name) if route is None else route
    skipped: Counter[str] = Counter({_UNREAD: unread} if unread else {})
    lessons: list[Lesson] = []
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    above: Counter[tuple[str, str]] = Counter()
    for request, calls in by_request.items():
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
    rungs = tuple(sorted(lengths, key=lambda tier: (_climb_order(tier, above), tier)))
    tokens = {tier: _mean(each) for tier, each in lengths.items()}
    return Lessons(name, rungs, tuple(lessons), tokens, skipped, complete=False)


def _only_route(requests: Iterable[Sequence[Call]], name: str) -> str:
    routes = sorted({each.route for calls in requests for each in calls if each.signals})
    if len(routes) > 1:
        raise Unusable(f"{name}: records of several routes: choose one of {', '.join(routes)}")
    return routes[0] if routes else ""


def _signals(calls: Sequence[Call], route: str) -> tuple[tuple[float, ...], str]:
    """Of one request, or why there are none. Its first call has them."""
    if calls[0].route != route:
        return (), "of another route" if route else "without signals"
    recorded = next((each.signals for each in calls if each.signals), ())
    if not recorded:
        return (), "without signals"
    signals = of_record(recorded)
    return ((), "of other signals") if signals is None else (signals, "")


def read_calls(folder: Path) -> tuple[list[Call], int]:
    """The usage records in a folder of lines of JSON, and how many lines are none. Raises
    Unusable.
    """
    calls: list[Call] = []
    unread = 0
    try:
        for file in sorted(folder.glob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                try:
                    calls.append(_CALL.decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    unread += bool(line.strip())
    except OSError as error:
        raise Unusable(f"{error.filename}: {error.strerror or error}") from None
    if not calls:
        raise Unusable(
            f"{folder}: neither recorded answers (meta.json) nor usage records (*.jsonl)"
        )
    return calls, unread


def _passed(tiers: Sequence[str], calls: Sequence[Call]) -> dict[str, bool]:
    """A rung that was climbed from did not pass; the one that answered last did. Of a rung without
    an answer nothing is known.
    """
    if any(map(_is_unfinished, calls)):
        return {}
    passed = {}
    for at, tier in enumerate(tiers):
        at_tier = [each for each in calls if each.tier == tier]
        if not any(each.outcome in {"ok", "cut"} for each in at_tier):
            continue
        following = [each for each in calls if at + 1 < len(tiers) and each.tier == tiers[at + 1]]
        if not following:
            passed[tier] = any(each.outcome == "ok" for each in at_tier)
        elif any(each.purpose in _CLIMBED for each in following):
            passed[tier] = False
    return passed


def _is_unfinished(call: Call) -> bool:
    """Abandoned by its client, or by our shutdown: whether it would have passed is not known."""
    return call.purpose == "abandoned" or call.outcome == ShuttingDown.code


def _climb_order(tier: str, above: Mapping[tuple[str, str], int]) -> int:
    """How many tiers are below it, by the climbs that were seen."""
    return sum(
        high == tier and count > above.get((tier, low), 0) for (low, high), count in above.items()
    )


def _mean(lengths: Sequence[int]) -> int:
    return round(sum(lengths) / len(lengths)) if lengths else 0
