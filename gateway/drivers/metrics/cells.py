"""Where metrics are counted: float64 cells, in this process's memory or in memory-mapped files.

Each of several workers counts in its own mapped file, so that counting is an addition in memory,
without locks. The file grows by one record for each new series:

    float64       the owner's pid
    31 x float64  cells that nobody reads: see NOWHERE
    a record for each series:
        u32, u32      how many bytes its name has, and how many cells it has
        bytes         its name, a JSON array; filled up with spaces to a multiple of eight
        float64 ...   its cells
    zeros, or less than a record, where one could not be written whole

A worker holds a lock on its file, which the kernel releases when it dies. So the others know who
lives; and the next worker that starts takes over a dead one's file and continues it: no counter
goes back, and there are no more files than there were concurrent workers.
"""

import errno
import fcntl
import mmap
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

Series: TypeAlias = tuple[str, ...]
"""A metric's name, then its label values; several series concatenated for a combined record."""
Values: TypeAlias = "list[float] | memoryview[float]"

NOWHERE: Final = 1
"""The cell for what cannot be counted since the disk is full; never read."""

_CELL: Final = 8
_HEAD: Final = 32
_RECORD: Final = struct.Struct("=II")
_SUFFIX: Final = ".nanos"
"""Not ".cells": files of that name are an older version's, which counted dollars."""
_decode: Final = msgspec.json.Decoder(Series).decode


class WorkerCells(Protocol):
    """One worker's cells, as a scrape reads them."""

    pid: int
    live: bool
    values: Values
    series: list[tuple[Series, int, int]]
    """Each with the index of its first cell and their number, in order of creation."""


class Cells(WorkerCells, Protocol):
    """The cells to count in. `add` may replace `values`: look up cells before reading it."""

    def add(self, series: Series, count: int) -> int:
        """The index of its first cell, all 0. Raises OSError."""

    def workers(self) -> Sequence[WorkerCells]:
        """The cells of all workers, as they are now."""

    def close(self) -> None:
        """Release the file, so that another worker can take it over."""


class OwnCells:
    """In memory of this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.live = True
        self.series: list[tuple[Series, int, int]] = []
        self._list = [0.0] * _HEAD
        self.values: Values = self._list

    def add(self, series: Series, count: int) -> int:
        at = len(self._list)
        self._list.extend([0.0] * count)
        self.series.append((series, at, count))
        return at

    def workers(self) -> Sequence[WorkerCells]:
        return (self,)

    def close(self) -> None:
        pass


class _File:
    """A worker's file, mapped as far as its records are whole."""

    def __init__(self, descriptor: int, access: int, live: bool) -> None:
        self.live = live
        self.series: list[tuple[Series, int, int]] = []
        self.values: Values = []
        self._mapped = memoryview(b"")
        self._descriptor = descriptor
        self._access = access
        self._end = _HEAD
        self.read()
        self.pid = int(self.values[0])

    def read(self) -> None:
        """Read the records that were added since."""
        size = os.fstat(self._descriptor).st_size // _CELL
        if size != len(self._mapped) // _CELL:
            mapped = mmap.mmap(self._descriptor, size * _CELL, access=self._access)
            self._mapped = memoryview(mapped)
            self.values = self._mapped.cast("d")
        while self._end < size:
            begin = self._end * _CELL
            length, count = _RECORD.unpack_from(self._mapped, begin)
            begin += _RECORD.size
            at = (begin + length) // _CELL
            if not count or at + count > size:
                return
            self.series.append((_decode(self._mapped[begin : begin + length]), at, count))
            self._end = at + count

    def close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


class _OtherWorkerFile(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDONLY), mmap.ACCESS_READ, live=False)

    def refresh(self) -> None:
        """Read new records, and whether its worker lives."""
        self.live = not _lock(self._descriptor, fcntl.LOCK_SH)
        if not self.live:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.read()
        self.pid = int(self.values[0])


class SharedCells(_File):
    """In this worker's file in the shared folder."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = folder
        self._others: dict[Path, _OtherWorkerFile] = {}
        self._path, descriptor = _adopt_dead_file(folder) or _create_file(folder)
        super().__init__(descriptor, mmap.ACCESS_WRITE, live=True)
        unfinished = self._mapped[self._end * _CELL :]  # its owner died while it wrote
        unfinished[:] = bytes(len(unfinished))
        self.pid = os.getpid()
        self.values[0] = self.pid

    def add(self, series: Series, count: int) -> int:
        name = msgspec.json.encode(series)
        name += b" " * (-len(name) % _CELL)
        record = _RECORD.pack(len(name), count) + name + bytes(count * _CELL)
        _write(self._descriptor, record, self._end * _CELL)
        self.read()
        return self._end - count

    def workers(self) -> Sequence[WorkerCells]:
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path != self._path and path not in self._others:
                self._others[path] = _OtherWorkerFile(path)
        for other in self._others.values():
            other.refresh()
        return (self, *self._others.values())

    def close(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # the mapping would keep it
        super().close()
        for other in self._others.values():
            other.close()


def _adopt_dead_file(folder: Path) -> tuple[Path, int] | None:
    """A dead worker's file, open and locked; None if there is none."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        descriptor = os.open(path, os.O_RDWR)
        if _lock(descriptor, fcntl.LOCK_EX):
            return path, descriptor
        os.close(descriptor)
    return None


def _create_file(folder: Path) -> tuple[Path, int]:
    """A new file, locked before others can see it."""
    descriptor, path = tempfile.mkstemp(".new", dir=folder)
    _lock(descriptor, fcntl.LOCK_EX)
    _write(descriptor, bytes(_HEAD * _CELL), 0)
    return Path(path).rename(Path(path).with_suffix(_SUFFIX)), descriptor


def _lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, data: bytes, at: int) -> None:
    """Zeros are written as well: counting in a sparse hole on a full disk would be a SIGBUS."""
    written = os.pwrite(descriptor, data, at)
    if written < len(data):
        os.pwrite(descriptor, bytes(written), at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
