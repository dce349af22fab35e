"""What was spent while the ledger was unreachable: one JSON Lines file per process.

It is a write-ahead log: "held" is written before the call is made, "spent" before its answer is
given. So a killed process loses nothing; a power failure loses what was not synced, about a second.
A live process holds a lock on its file: an unlocked one is of a dead process, and whoever finds it
charges it.
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
from gateway.core.records.record import UsageRecord

_PATTERN: Final = "local-*.jsonl"
_CHUNK: Final = 1 << 16


class Held(Struct, frozen=True, tag="held"):
    """A call that is about to be made, and its maximum cost. `at` is in Unix seconds.

    `life` is the request that it belongs to.
    """

    call: str
    at: float
    purse: Purse
    amounts: Amounts
    life: str


class Moved(Struct, frozen=True, tag="moved"):
    """The ledger holds that call now, under `moved_id` of its id."""

    call: str


class Spent(Struct, frozen=True, tag="spent"):
    """What that call cost."""

    call: str
    at: float
    purse: Purse
    amounts: Amounts
    record: UsageRecord | None = None


class Paid(Struct, frozen=True, tag="paid"):
    """That call was charged, while others of the journal could not be."""

    call: str


def local_id(hold_id: str) -> str:
    """The id of a call that is held here. The ledger may hold it under its own, and charge that
    when it expires: no entry of one is an entry of the other.
    """
    return f"{hold_id}!"


def ledger_ids(call: str) -> tuple[str, str]:
    """What the ledger may hold a local call under: from before the outage, or after it."""
    return call.removesuffix("!"), moved_id(call)


def moved_id(call: str) -> str:
    """The id of a local call that is handed over to the ledger."""
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
        """How many lines could not be decoded, not counting a torn last one."""

    def write(self, line: Line) -> None:
        """Append a whole line, or nothing."""
        data = _encoder.encode(line) + b"\n"
        try:
            written = os.pwrite(self._file, data, self.size)
            if written < len(data):
                raise OSError(f"{self.path} takes no more")
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += written

    def sync(self) -> None:
        """fsync, if anything is new. May block: call it in a thread."""
        size = self.size
        if size != self._synced:
            os.fsync(self._file)
            self._synced = size

    def lines(self, start: int = 0) -> Iterator[tuple[Line, int]]:
        """The lines from an offset on, each with its end offset. A torn last one is left out: its
        step did not go on.
        """
        at, rest, end = start, b"", self.size
        while at < end:
            data = os.pread(self._file, min(_CHUNK, end - at), at)
            if not data:
                return
            at += len(data)
            *complete, rest = (rest + data).split(b"\n")
            line_end = at - len(rest) - sum(map(len, complete)) - len(complete)
            for text in complete:
                line_end += len(text) + 1
                try:
                    line = _decoder.decode(text)
                except msgspec.DecodeError:
                    self.damaged += 1
                    continue
                yield line, line_end

    def truncate_torn_line(self) -> None:
        """Truncate a torn last line, so that the next write starts a new line."""
        end, newline = self.size, -1
        while end and newline < 0:
            start = max(end - _CHUNK, 0)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            end = start + newline + 1
        if end < self.size:
            os.ftruncate(self._file, end)
            self.size = end

    def empty(self) -> None:
        os.ftruncate(self._file, 0)
        self.size = self._synced = 0

    def close(self, *, remove: bool) -> None:
        """Release the lock; with `remove`, delete the file first."""
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._file)

    def quarantine(self) -> Path:
        """Rename it, so that nobody reads it again, and close it."""
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


def orphaned_journals(folder: Path) -> Iterator[Journal]:
    """The journals of dead processes, locked, one after the other. Raises OSError."""
    for path in journals(folder):
        journal = None
        with suppress(FileNotFoundError):  # another process was faster
            journal = _lock(path, os.O_RDWR)
        if journal is not None:
            try:
                journal.truncate_torn_line()
            except OSError:
                journal.close(remove=False)  # else our lock on it would keep it from all
                raise
            yield journal


def _lock(path: Path, flags: int) -> Journal | None:
    """None when another process has the lock, or has deleted the file meanwhile."""
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
