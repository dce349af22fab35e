"""What was spent while the ledger could not be reached: a file a process, a JSON line a step.

A line is written before what it tells of goes on: "held" before the call is made, "spent" before
its answer is given. So a killed process loses none; the disk has it within a second or so (`sync`),
which is what a power failure loses. Whoever lives holds a lock on its file: of the others the
process is gone, and whoever finds them charges what they tell.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gateway.core.accounts import Amounts, Purse
from gateway.core.usage_record import UsageRecord

_PATTERN: Final = "local-*.jsonl"
_CHUNK: Final = 1 << 16


class Held(Struct, frozen=True, tag="held"):
    """A call that is about to be made, and at most how much it costs. `at` is in Unix seconds.

    `life` is the request that it belongs to.
    """

    call: str
    at: float
    purse: Purse
    amounts: Amounts
    life: str


class Moved(Struct, frozen=True, tag="moved"):
    """The ledger holds that call now, under the id that `moved` gives."""

    call: str


class Spent(Struct, frozen=True, tag="spent"):
    """What that call did cost."""

    call: str
    at: float
    purse: Purse
    amounts: Amounts
    record: UsageRecord | None = None


class Paid(Struct, frozen=True, tag="paid"):
    """It was charged, while others of the journal could not be."""

    call: str


def moved(call: str) -> str:
    """Another id: the ledger may have been told to turn the call's own away."""
    return f"{call}~"


Line = Held | Moved | Spent | Paid
_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


class Journal:
    """An open file with our lock on it. Raises OSError from each method."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._file = descriptor
        self.size = os.fstat(descriptor).st_size
        self._synced = self.size
        self.damaged = 0
        """How many lines were no lines, but for one at the very end."""

    def write(self, line: Line) -> None:
        """Add a line as a whole, or not at all."""
        octets = _encoder.encode(line) + b"\n"
        try:
            written = os.pwrite(self._file, octets, self.size)
            if written < len(octets):
                raise OSError(f"{self.path} takes no more")
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += written

    def sync(self) -> None:
        """Put it on the disk, where it is not yet. May take a while: for a thread."""
        size = self.size
        if size != self._synced:
            os.fsync(self._file)
            self._synced = size

    def lines(self, start: int = 0) -> Iterator[tuple[Line, int]]:
        """The lines from a place on, each with the place after it. A torn last one is left out:
        what it tells of did not go on.
        """
        at, rest, end = start, b"", self.size
        while at < end:
            octets = os.pread(self._file, min(_CHUNK, end - at), at)
            if not octets:
                return
            at += len(octets)
            *whole, rest = (rest + octets).split(b"\n")
            place = at - len(rest) - sum(map(len, whole)) - len(whole)
            for text in whole:
                place += len(text) + 1
                try:
                    line = _decoder.decode(text)
                except msgspec.DecodeError:
                    self.damaged += 1
                    continue
                yield line, place

    def cut(self) -> None:
        """Take away a torn last line, that what is written next is one of its own."""
        end, found = self.size, -1
        while end and found < 0:
            start = max(end - _CHUNK, 0)
            found = os.pread(self._file, end - start, start).rfind(b"\n")
            end = start + found + 1
        if end < self.size:
            os.ftruncate(self._file, end)
            self.size = end

    def empty(self) -> None:
        os.ftruncate(self._file, 0)
        self.size = self._synced = 0

    def close(self, *, remove: bool) -> None:
        """Give the lock away; `remove` the file before that."""
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._file)

    def put_aside(self) -> Path:
        """Close it under a name that nobody looks for."""
        aside = self.path.with_suffix(".damaged")
        self.path.rename(aside)
        os.close(self._file)
        return aside


def make_journal(folder: Path) -> Journal:
    """A new one for this process. Raises OSError."""
    while True:
        path = folder / f"local-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        journal = _lock(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if journal is not None:
            return journal


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PATTERN))


def left_behind(folder: Path) -> Iterator[Journal]:
    """Those whose process is gone, one after the other. Raises OSError."""
    for path in journals(folder):
        journal = None
        with suppress(FileNotFoundError):  # another process was faster
            journal = _lock(path, os.O_RDWR)
        if journal is not None:
            try:
                journal.cut()
            except OSError:
                journal.close(remove=False)  # else our lock on it would keep it from all
                raise
            yield journal


def _lock(path: Path, flags: int) -> Journal | None:
    """None when another process has it, or has removed it before we had it."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return Journal(path, descriptor)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
