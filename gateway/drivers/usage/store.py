"""The protocol of usage stores, and what file-based ones share."""

import errno
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from gateway.core.records.line import Line, Reading, StoreError

READ_BATCH: Final = 1_000
"""Lines that are read together."""


class UsageStore(Protocol):
    """Raises StoreError, and nothing else."""

    every_s: float
    """The recommended interval between writes."""

    async def write(self, lines: Sequence[Line]) -> None:
        """They are durable when this returns. Writing a line again is harmless."""

    def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        """All lines from `since` until before `until`, perhaps some around; `reading` removes
        duplicates. Times are as in a line, or a prefix of one; "" is unbounded.
        """
        ...

    async def tidy(self, oldest: date) -> None:
        """Remove what was charged on days before that one, by UTC."""

    async def aclose(self) -> None: ...


def why_unwritable(sink: str) -> str | None:
    """Why a folder's store would fail, as far as can be checked without creating it; else None."""
    kind, _, name = sink.partition(":")
    if kind not in ("jsonl", "parquet"):
        return None
    parent = folder = Path(name).absolute()
    number = None
    try:
        while not parent.exists() and parent != parent.parent:
            parent = parent.parent
        if not parent.is_dir():
            number = errno.ENOTDIR
        elif not os.access(parent, os.W_OK | os.X_OK):
            number = errno.EACCES
    except OSError as error:  # nobody may look in there, or the name is too long
        number = error.errno
    return f"cannot write to {folder}: {os.strerror(number)}" if number else None


def by_day(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    """The lines of each day, by UTC."""
    ordered = sorted(lines, key=_day)
    for day, day_lines in groupby(ordered, key=_day):
        yield day, list(day_lines)


def _day(line: Line) -> str:
    return line.time[:10]


class Folder:
    """Files of usage, each named after its day: `2026-11-22.<who wrote it>.<ending>`."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        self._suffix = suffix

    def files(self, since: str = "", until: str = "") -> list[Path]:
        """The files of the days from `since` to `until`, in order. Raises StoreError."""
        first, last = since[:10], until[:10] or "~"
        try:
            paths = [path for path in self.path.iterdir() if path.name.endswith(self._suffix)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(self.path, error) from None
        return sorted(path for path in paths if first <= path.name[:10] <= last)

    def tidy(self, oldest: date) -> None:
        """Also removes unfinished temporary files."""
        before = oldest.isoformat()
        try:
            for path in [*self.path.glob("????-??-??.*")] if self.path.is_dir() else []:
                ours = path.name.removesuffix(".tmp").endswith(self._suffix)
                if ours and path.name[:10] < before:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self.path, error) from None


def disk_error(path: Path, error: OSError) -> StoreError:
    return StoreError("disk", f"{path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a new file's name is durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
