"""The mix in recorded usage: its requests, its answers and what they cost."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.commands.wrong_option import WrongOption
from gateway.core.chat import Usage
from gateway.core.records.line import BadLine, Line, Reading
from gateway.core.records.record import NO_CALLS, UsageRecord

_EXPIRED: Final = "expired"
_AUDIT: Final = "audit"
"""The purpose of calls that answer no client."""


class Calls(Struct):
    """All calls of one model in one tier for one purpose; `cost` in nano-dollars."""

    count: int = 0
    cost: int = 0


class RecordedUsage(Struct):
    """`answers` are the tokens of each request's answer: its last call that gave one.
    `truncated` files end within a line; `duplicates` are records that were read before.
    """

    requests: int
    answers: Sequence[Usage]
    calls: dict[tuple[str, str, str], Calls]
    """By tier, model and purpose."""
    cost: int
    duplicates: int = 0
    truncated: int = 0

    def by_length(self, starts: Sequence[int]) -> dict[int, Usage]:
        """The sum of all answers' tokens, by the length of their prompts: at least as many tokens
        as a start, less than the next one. `starts` rise from 0.
        """
        parts: dict[int, list[Usage]] = {}
        for usage in self.answers:
            parts.setdefault(starts[bisect_right(starts, usage.prompt) - 1], []).append(usage)
        return {start: _sum(usages) for start, usages in parts.items()}


def read_recorded_usage(paths: Iterable[Path]) -> RecordedUsage:
    """Read files of usage records, one per line. Raises WrongOption."""
    calls: dict[tuple[str, str, str], Calls] = {}
    answers: dict[str, Usage | None] = {}
    expired: dict[str, int] = {}
    corrected: set[str] = set()
    reading = Reading()
    for path in paths:
        for record in _lines(path, reading):
            if record.purpose == _EXPIRED:  # of no model; another record may correct its cost
                expired[record.attempt] = record.cost
                continue
            if record.corrects:
                corrected.add(record.attempt)
            if not record.purpose or record.purpose in NO_CALLS:  # such as expired, never made
                continue
            totals = calls.setdefault((record.tier, record.model, record.purpose), Calls())
            totals.count += 1
            totals.cost += record.cost
            if record.purpose != _AUDIT:
                answers[record.request] = _answer(record) or answers.get(record.request)
    uncorrected = [cost for attempt, cost in expired.items() if attempt not in corrected]
    if uncorrected:
        calls["none", "unknown", _EXPIRED] = Calls(len(uncorrected), sum(uncorrected))
    if not answers:
        raise WrongOption("--usage", "has no record of a request")
    answered = [usage for usage in answers.values() if usage is not None]
    if not answered:
        raise WrongOption("--usage", "has no record of an answer to compare with")
    cost = sum(each.cost for each in calls.values())
    return RecordedUsage(len(answers), answered, calls, cost, reading.twice, reading.torn)


def _sum(usages: Sequence[Usage]) -> Usage:
    """A prompt counts at least its cached tokens, as calls are charged."""
    cached, written = (sum(u.cached for u in usages), sum(u.cache_write for u in usages))
    prompt = sum(max(u.prompt, u.cached + u.cache_write) for u in usages)
    an_hour = sum(u.cache_write_1h for u in usages)
    completion = sum(u.completion for u in usages)
    return Usage(prompt, completion, cached, written, cache_write_1h=an_hour)


def _answer(record: UsageRecord) -> Usage | None:
    return record.usage if record.outcome == "ok" else None


def _lines(path: Path, reading: Reading) -> Iterator[Line]:
    try:
        with path.open("rb") as raw:
            yield from reading.decoded(raw)
    except BadLine as error:
        raise WrongOption("--usage", f"{path}:{error.number}: {error}") from None
    except OSError as error:
        raise WrongOption("--usage", f"{path}: {error.strerror or error}") from None
