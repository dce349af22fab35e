"""What recorded usage tells of a mix: what was asked, which answers were given, at what cost."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.commands.wrong_option import Wrong
from gateway.core.chat import Usage
from gateway.core.usage_line import BadLine, Line, Reading
from gateway.core.usage_record import NO_CALLS, UsageRecord

_EXPIRED: Final = "expired"
_BESIDE: Final = "audit"
"""What such a call was for is no client's answer."""


class Calls(Struct):
    """All calls of one model in one tier for one purpose; `cost` in nano-dollars."""

    count: int = 0
    cost: int = 0


class Recorded(Struct):
    """`answers` are the tokens of each request's answer: its last call that gave one. `torn` files
    end within a line; `twice` are records that came again.
    """

    requests: int
    answers: Sequence[Usage]
    calls: dict[tuple[str, str, str], Calls]
    """By tier, model and purpose."""
    cost: int
    twice: int = 0
    torn: int = 0

    def by_length(self, starts: Sequence[int]) -> dict[int, Usage]:
        """All answers' tokens together, of those whose prompts have that many tokens or more, up
        to the next start. `starts` rise from 0.
        """
        parts: dict[int, list[Usage]] = {}
        for usage in self.answers:
            parts.setdefault(starts[bisect_right(starts, usage.prompt) - 1], []).append(usage)
        return {start: _sum(usages) for start, usages in parts.items()}


def recorded(paths: Iterable[Path]) -> Recorded:
    """Files of usage records, one a line. Raises Wrong."""
    calls: dict[tuple[str, str, str], Calls] = {}
    answers: dict[str, Usage | None] = {}
    expired: dict[str, int] = {}
    corrected: set[str] = set()
    reading = Reading()
    for path in paths:
        for record in _lines(path, reading):
            if record.purpose == _EXPIRED:  # of no model; what it did cost may be told elsewhere
                expired[record.attempt] = record.cost
                continue
            if record.corrects:
                corrected.add(record.attempt)
            if not record.purpose or record.purpose in NO_CALLS:  # such as expired, never made
                continue
            place = calls.setdefault((record.tier, record.model, record.purpose), Calls())
            place.count += 1
            place.cost += record.cost
            if record.purpose != _BESIDE:
                answers[record.request] = _answer(record) or answers.get(record.request)
    alone = [cost for attempt, cost in expired.items() if attempt not in corrected]
    if alone:
        calls["none", "unknown", _EXPIRED] = Calls(len(alone), sum(alone))
    if not answers:
        raise Wrong("--usage", "has no record of a request")
    given = [usage for usage in answers.values() if usage is not None]
    if not given:
        raise Wrong("--usage", "has no record of an answer to compare with")
    cost = sum(each.cost for each in calls.values())
    return Recorded(len(answers), given, calls, cost, reading.twice, reading.torn)


def _sum(usages: Sequence[Usage]) -> Usage:
    """A prompt is at least what was cached of it: as a call is charged."""
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
        raise Wrong("--usage", f"{path}:{error.number}: {error}") from None
    except OSError as error:
        raise Wrong("--usage", f"{path}: {error.strerror or error}") from None
