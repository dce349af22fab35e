"""Usage lines in JSON Lines files: one per day and process, synced after each batch."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.core.records.line import BadLine, Line, Reading, StoreError, encode
from gateway.drivers.usage.store import READ_BATCH, Folder, by_day, disk_error, sync_folder

_SUFFIX: Final = ".jsonl"
_MAX_OPEN_FILES: Final = 2
"""Today's file, and yesterday's around midnight."""


class JsonlStore:
    """`name` is unique to this process."""

    def __init__(self, folder: Path, name: str) -> None:
        self.every_s = 1.0
        self._folder = Folder(folder, _SUFFIX)
        self._name = name
        self._files: dict[str, int] = {}
        self._renamed = 0
        self._lock = threading.Lock()

    async def write(self, lines: Sequence[Line]) -> None:
        await asyncio.to_thread(self._write, lines)

    async def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        for path in self._folder.files(since, until):
            try:
                with path.open("rb") as raw:
                    lines = reading.decoded(raw)
                    while batch := list(islice(lines, READ_BATCH)):
                        yield batch
            except BadLine as error:
                raise StoreError("content", f"{path}:{error.number}: {error}") from None
            except FileNotFoundError:  # just removed by `tidy`
                continue
            except OSError as error:
                raise disk_error(path, error) from None

    async def tidy(self, oldest: date) -> None:
        await asyncio.to_thread(self._folder.tidy, oldest)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._close)

    def _write(self, lines: Sequence[Line]) -> None:
        # A cancelled write goes on in its thread, so writes may overlap.
        with self._lock:
            for day, day_lines in by_day(lines):
                try:
                    self._append(day, b"".join(map(encode, day_lines)))
                except OSError as error:
                    raise disk_error(self._folder.path, error) from None

    def _close(self) -> None:
        with self._lock:
            while self._files:
                os.close(self._files.popitem()[1])

    def _append(self, day: str, data: bytes) -> None:
        file = self._file(day)
        size = os.fstat(file).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            self._roll_back(day, size)
            raise

    def _roll_back(self, day: str, size: int) -> None:
        """Truncate a partial line; if that fails, continue in another file."""
        file = self._files[day]
        try:
            os.ftruncate(file, size)
        except OSError:
            os.close(self._files.pop(day))
            self._renamed += 1

    def _file(self, day: str) -> int:
        file = self._files.get(day)
        if file is not None and os.fstat(file).st_nlink:
            return file
        if file is not None:  # it was deleted
            os.close(self._files.pop(day))
        while len(self._files) >= _MAX_OPEN_FILES:
            os.close(self._files.pop(min(self._files)))
        folder = self._folder.path
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f"-{self._renamed}" if self._renamed else ""
        path = folder / f"{day}.{self._name}{suffix}{_SUFFIX}"
        file = self._files[day] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        sync_folder(folder)
        return file
