"""Sums of calls, grouped by columns of their records.

It reads the lines once and keeps only the sums, so that it matters little how many there are.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from gateway.core.accounts import Amounts
from gateway.core.records.line import Line
from gateway.core.records.record import NO_CALLS

Group = tuple[str, ...]
COLUMNS: Final = (
    "organisation",
    "tenant",
    "key",
    "user",
    "route",
    "tier",
    "model",
    "provider",
    "purpose",
    "outcome",
    "stream",
    "counted",
    "month",
    "day",
    "hour",
)
TAG: Final = "tag."
_PARTS: Final = {"month": 7, "day": 10, "hour": 13}
"""How much of a time, in UTC, says which it is."""


class UnknownColumn(Exception):
    """There is no such column; the message lists those that there are."""


class Sums(Struct):
    """Amounts are nano-dollars and tokens. A request counts where its first call went to.

    `counted` are calls whose tokens were counted by us. The details are parts of `prompt` and
    `completion`. `hits` are requests that were given an answer that was kept, `saved` what those
    answers cost when they were made.
    """

    requests: int = 0
    calls: int = 0
    counted: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    nanos: int = 0
    hits: int = 0
    saved: int = 0

    def add(self, line: Line, charged: Amounts, calls: int) -> None:
        usage = line.usage
        self.requests += charged.requests
        self.calls += calls
        self.counted += calls if line.counted else 0
        self.prompt += usage.prompt
        self.completion += usage.completion
        self.cached += usage.cached
        self.cache_write += usage.cache_write
        self.reasoning += usage.reasoning
        self.nanos += charged.nanos
        self.hits += line.hits
        self.saved += line.saved

    def plus(self, other: "Sums") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Table:
    """`add` each line once. A call that expired and was corrected counts as what it was corrected
    to, when both lines are added; else each line counts as what it charged.
    """

    def __init__(self, by: Sequence[str], tags: Collection[str] | None = None) -> None:
        """`tags` are those that there are; None: any. Raises UnknownColumn."""
        self.by = tuple(by)
        self._of = [_reader(column, tags) for column in by]
        self._sums: dict[Group, Sums] = {}
        self._expired: dict[str, tuple[Group, Amounts]] = {}
        self._corrected: dict[str, tuple[Group, Amounts, bool]] = {}

    def add(self, line: Line) -> None:
        charged = line.charged
        group = tuple([read(line) for read in self._of])
        kind = line.ledger.kind if line.ledger is not None else "settled"
        calls = 0 if kind == "corrected" or line.purpose in NO_CALLS else 1
        sums = self._sums.get(group)
        if sums is None:
            sums = self._sums[group] = Sums()
        sums.add(line, charged, calls)
        if kind == "expired":
            self._expired[line.attempt] = (group, charged)
        elif kind == "corrected":
            # Of one that was given back no more is known than its hold.
            self._corrected[line.attempt] = (group, charged, bool(line.purpose))
        else:
            return
        if line.attempt in self._expired and line.attempt in self._corrected:
            self._pair(line.attempt)

    def rows(self) -> Iterator[tuple[Group, Sums]]:
        """The dearest first; what came to nothing at all is left out."""
        whole = ((group, sums) for group, sums in self._sums.items() if sums != Sums())
        yield from sorted(whole, key=lambda row: (-row[1].nanos, -row[1].calls, row[0]))

    def total(self) -> Sums:
        whole = Sums()
        for sums in self._sums.values():
            whole.plus(sums)
        return whole

    def _pair(self, attempt: str) -> None:
        """One call, not two: where it belongs."""
        expired, held = self._expired.pop(attempt)
        corrected, less, known = self._corrected.pop(attempt)
        if known:
            self._move(expired, corrected, held, 1)
        else:
            self._move(corrected, expired, less, 0)
            self._sums[expired].calls -= 1

    def _move(self, here: Group, there: Group, charged: Amounts, calls: int) -> None:
        for group, sign in ((here, -1), (there, 1)):
            sums = self._sums[group]
            sums.calls += sign * calls
            sums.requests += sign * charged.requests
            sums.nanos += sign * charged.nanos


def columns(tags: Collection[str] | None = None) -> str:
    """The columns to group by, for people."""
    named = [TAG + name for name in sorted(tags)] if tags is not None else [f"{TAG}<name>"]
    return ", ".join([*COLUMNS, *named])


def _reader(column: str, tags: Collection[str] | None) -> Callable[[Line], str]:
    if column.startswith(TAG):
        tag = column.removeprefix(TAG)
        if tag and (tags is None or tag in tags):
            return lambda line: line.tags.get(tag, "")
    elif column in _PARTS:
        length = _PARTS[column]
        return lambda line: line.time[:length]
    elif column in {"stream", "counted"}:
        return lambda line: "true" if getattr(line, column) else "false"
    elif column in COLUMNS:
        return lambda line: str(getattr(line, column))
    raise UnknownColumn(f"nothing is told apart by {column!r}: choose of {columns(tags)}")
