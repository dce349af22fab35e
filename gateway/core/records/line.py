"""A line of what a usage sink keeps: a call's record, and the ledger's entry that charged for it.

Lines are JSON objects, so each is a usage record to whoever reads no more of it. A call has one
line, or two: when its hold expired it was charged in full, and what it did cost came later and
`corrected` that. Add up `ledger.charged`, then, and not `cost`.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.accounts import Amounts
from gateway.core.chat import Usage
from gateway.core.records.entry import Charged, Entry, Kind
from gateway.core.records.record import UsageRecord

_NOTHING: Final = Usage()
_CHUNK: Final = 4_096
"""Numbers in a chunk: their ids come from counters, so they lie close together."""


class Booked(Struct, frozen=True, omit_defaults=True):
    """Where the entry is in its home's book, and what it charged to which buckets."""

    home: str
    at: str
    seq: int
    kind: Kind
    charged: Amounts
    buckets: tuple[Charged, ...] = ()
    epoch: str = ""


class Line(UsageRecord, frozen=True, omit_defaults=True, kw_only=True):
    """`time` is when the ledger charged, as "2026-11-22T03:14:39.123Z"; "" and None where the
    record was not written by a sink.
    """

    time: str = ""
    ledger: Booked | None = None

    @property
    def charged(self) -> Amounts:
        """What the line adds to what is spent."""
        if self.ledger is not None:
            return self.ledger.charged
        usage = self.usage
        first = self.purpose == "answer"
        return Amounts(self.cost, usage.prompt + usage.completion, int(first))  # type: ignore[arg-type]

    @property
    def corrects(self) -> bool:
        return self.ledger is not None and self.ledger.kind == "corrected"


class BadLine(Exception):
    """`number` counts from 1. The message says what is wrong."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


class StoreError(Exception):
    """`kind` is a label: disk, unreachable, refused, missing (what it needs is not installed),
    or content. The message holds no secret.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Line)


def stamp(ms: int) -> str:
    """Unix milliseconds as they stand in a line; such texts sort as the times do."""
    seconds, rest = divmod(ms, 1_000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)  # lines come in the order of their times, hundreds in a second
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def when(entry: Entry) -> int:
    """Unix milliseconds at which a ledger in Redis wrote it."""
    return int(entry.at.partition("-")[0])


def line_of(home: str, entry: Entry, ms: int) -> Line:
    """`ms`: when it was written, in Unix milliseconds."""
    record = entry.record or _unknown(entry.hold)
    booked = Booked(
        home, entry.at, entry.seq, entry.kind, entry.charged, entry.buckets, entry.epoch
    )
    return Line(*structs.astuple(record), time=stamp(ms), ledger=booked)


def entry_of(line: Line) -> Entry | None:
    """The entry that a line was made of, without its record; None: it has none."""
    if line.ledger is None:
        return None
    fields = structs.asdict(line.ledger)
    del fields["home"]
    return Entry(**fields, hold=line.attempt, record=None)


def encode(line: Line) -> bytes:
    """JSON, and the end of the line."""
    return _encoder.encode(line) + b"\n"


class Reading:
    """Reads lines, each call's once: `twice` counts those that came again, `torn` the files that
    end within a line, as one does that its writer did not live to end.
    """

    def __init__(self) -> None:
        self.twice = 0
        self.torn = 0
        self._seen = (Seen(), Seen())

    def decoded(self, raw: Iterable[bytes]) -> Iterator[Line]:
        """The lines of one file, with their ends. Raises BadLine."""
        for number, text in enumerate(raw, 1):
            if not text.strip():
                continue
            try:
                line = _decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if not text.endswith(b"\n"):  # only the last line can be without
                    self.torn += 1
                    return
                raise BadLine(number, f"is no usage record: {error}") from None
            if self.first(line):
                yield line

    def first(self, line: Line) -> bool:
        """Whether this line was not read before."""
        if self._seen[line.corrects].add(line.attempt):
            return True
        self.twice += 1
        return False


class Seen:
    """Ids that came by. A million of one process' take some 130 kB: the end of each is a count."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[str, int], bytearray] = {}
        self._others: set[str] = set()

    def add(self, name: str) -> bool:
        """Whether it is new."""
        number = _count(name[-8:])
        if number is None:
            before = len(self._others)
            self._others.add(name)
            return len(self._others) > before
        place, at = divmod(number, _CHUNK)
        chunk = self._chunks.setdefault((name[:-8], place), bytearray(_CHUNK // 8))
        bit = 1 << at % 8
        if chunk[at // 8] & bit:
            return False
        chunk[at // 8] |= bit
        return True


def _count(text: str) -> int | None:
    """Eight hexadecimal digits, in the one way they are written."""
    if len(text) != 8 or not text.isascii() or not text.isalnum() or text != text.lower():
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None


def _unknown(hold: str) -> UsageRecord:
    """A hold that expired, and was given back after all; or a charge without any record."""
    return UsageRecord(
        attempt=hold,
        request="",
        tenant="",
        route="",
        model="",
        provider="",
        tier="",
        purpose="",
        outcome="",
        held=0,
        cost=0,
        usage=_NOTHING,
    )
