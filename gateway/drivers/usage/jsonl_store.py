"""Lines of usage in files: one a day and process, put on the disk at the end of each batch."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.core.usage_line import BadLine, Line, Reading, StoreError, encode
from gateway.drivers.usage.store import AT_ONCE, Folder, by_day, disk_error, sync_folder

_ENDING: Final = ".jsonl"
_OPEN: Final = 2
"""Files: yesterday's as well, around midnight."""


class JsonlStore:
    """`name` is this process', and nobody else's."""

    def __init__(self, folder: Path, name: str) -> None:
        self.every_s = 1.0
        self._folder = Folder(folder, _ENDING)
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
                    while some := list(islice(lines, AT_ONCE)):
                        yield some
            except BadLine as error:
                raise StoreError("content", f"{path}:{error.number}: {error}") from None
            except FileNotFoundError:  # it was too old just now
                continue
            except OSError as error:
                raise disk_error(path, error) from None

    async def tidy(self, oldest: date) -> None:
        await asyncio.to_thread(self._folder.tidy, oldest)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._close)

    def _write(self, lines: Sequence[Line]) -> None:
        # Whoever waits for a write may be cancelled, and the write go on in its thread.
        with self._lock:
            for day, some in by_day(lines):
                try:
                    self._append(day, b"".join(map(encode, some)))
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
            self._undo(day, size)
            raise

    def _undo(self, day: str, size: int) -> None:
        """Half a line must not be followed by another: else go on in another file."""
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
        if file is not None:  # somebody has removed it
            os.close(self._files.pop(day))
        while len(self._files) >= _OPEN:
            os.close(self._files.pop(min(self._files)))
        folder = self._folder.path
        folder.mkdir(parents=True, exist_ok=True)
        again = f"-{self._renamed}" if self._renamed else ""
        path = folder / f"{day}.{self._name}{again}{_ENDING}"
        file = self._files[day] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        sync_folder(folder)
        return file
