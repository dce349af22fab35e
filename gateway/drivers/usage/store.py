"""Where lines of usage are kept outside the ledger: what each such place can do."""

import errno
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from gateway.core.usage_line import Line, Reading, StoreError

AT_ONCE: Final = 1_000
"""Lines that are read together."""


class UsageStore(Protocol):
    """Raises StoreError, and nothing else."""

    every_s: float
    """How often it is best written to."""

    async def write(self, lines: Sequence[Line]) -> None:
        """They are safe when this returns. To write a line again is no harm."""

    def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        """All lines from a time on and before another, and perhaps some around; each once, as far
        as `reading` knows. Times are as in a line, or begin so; "" is none.
        """
        ...

    async def tidy(self, oldest: date) -> None:
        """Remove what was charged on days before that one, by UTC."""

    async def aclose(self) -> None: ...


def unwritable(sink: str) -> str | None:
    """What would hinder one in a folder, as far as it is seen without making any; else None."""
    kind, _, name = sink.partition(":")
    if kind not in ("jsonl", "parquet"):
        return None
    there = folder = Path(name).absolute()
    found = None
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            found = errno.ENOTDIR
        elif not os.access(there, os.W_OK | os.X_OK):
            found = errno.EACCES
    except OSError as error:  # nobody may look in there, or the name is too long
        found = error.errno
    return f"cannot write to {folder}: {os.strerror(found)}" if found else None


def by_day(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    """The lines of each day, by UTC."""
    ordered = sorted(lines, key=_day)
    for day, some in groupby(ordered, key=_day):
        yield day, list(some)


def _day(line: Line) -> str:
    return line.time[:10]


class Folder:
    """Files of usage, each named after its day: `2026-11-22.<who wrote it>.<ending>`."""

    def __init__(self, path: Path, ending: str) -> None:
        self.path = path
        self._ending = ending

    def files(self, since: str = "", until: str = "") -> list[Path]:
        """Those of the days from `since` to `until`, in order. Raises StoreError."""
        first, last = since[:10], until[:10] or "~"
        try:
            found = [path for path in self.path.iterdir() if path.name.endswith(self._ending)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(self.path, error) from None
        return sorted(path for path in found if first <= path.name[:10] <= last)

    def tidy(self, oldest: date) -> None:
        """Also removes what nobody finished writing."""
        before = oldest.isoformat()
        try:
            for path in [*self.path.glob("????-??-??.*")] if self.path.is_dir() else []:
                ours = path.name.removesuffix(".tmp").endswith(self._ending)
                if ours and path.name[:10] < before:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self.path, error) from None


def disk_error(path: Path, error: OSError) -> StoreError:
    return StoreError("disk", f"{path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """A new file is safe once its name is."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
