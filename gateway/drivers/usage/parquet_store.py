"""Lines of usage as Parquet: a file for each batch. It needs pyarrow, the extra `parquet`."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Final

from gateway.core.packages import how_to_install
from gateway.core.records.line import Line, Reading, StoreError
from gateway.core.records.row import KINDS, LATER, NAMES, columns_of, line_of_row
from gateway.drivers.usage.store import READ_BATCH, Folder, by_day, disk_error, sync_folder

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as _error:
    raise StoreError("missing", f"Parquet needs pyarrow: {how_to_install('parquet')}") from _error

_SUFFIX: Final = ".parquet"
_TYPES: Final = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "json": pa.string(),
    "time": pa.timestamp("ms", "UTC"),
}
_SCHEMA: Final = pa.schema([(name, _TYPES[kind]) for name, kind in zip(NAMES, KINDS, strict=True)])


class ParquetStore:
    """`name` is unique to this process."""

    def __init__(self, folder: Path, name: str) -> None:
        self.every_s = 60.0
        self._folder = Folder(folder, _SUFFIX)
        self._name = name
        self._numbers = count(1)

    async def write(self, lines: Sequence[Line]) -> None:
        await asyncio.to_thread(self._write, lines)

    async def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        for path in self._folder.files(since, until):
            try:
                with parquet.ParquetFile(path) as file:
                    for batch in file.iter_batches(READ_BATCH, columns=list(NAMES)):
                        yield [line for line in _decode_batch(batch) if reading.first(line)]
            except FileNotFoundError:  # just removed by `tidy`
                continue
            except (pa.ArrowException, KeyError, ValueError) as error:
                raise StoreError("content", f"{path}: is no file of usage: {error}") from None
            except OSError as error:
                raise disk_error(path, error) from None

    async def tidy(self, oldest: date) -> None:
        await asyncio.to_thread(self._folder.tidy, oldest)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _write(self, lines: Sequence[Line]) -> None:
        folder = self._folder.path
        for day, day_lines in by_day(lines):
            path = folder / f"{day}.{self._name}-{next(self._numbers):06d}{_SUFFIX}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._write_file(path, day_lines)
            except OSError as error:
                raise disk_error(folder, error) from None

    def _write_file(self, path: Path, lines: Sequence[Line]) -> None:
        """Atomic: written under a temporary name, then renamed."""
        columns = [
            pa.array(values, kind)
            for values, kind in zip(columns_of(lines), _SCHEMA.types, strict=True)
        ]
        unfinished = path.with_name(f"{path.name}.tmp")
        try:
            with unfinished.open("wb") as file:
                table = pa.Table.from_arrays(columns, schema=_SCHEMA)
                parquet.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:  # each try has another name: on a full disk they would fill it up again
            with suppress(OSError):
                unfinished.unlink()
            raise
        sync_folder(path.parent)


def _decode_batch(batch: Any) -> list[Line]:
    later = set(LATER).difference(batch.schema.names)
    columns = [
        [LATER[name]] * batch.num_rows if name in later else batch.column(name).to_pylist()
        for name in NAMES
    ]
    return [line_of_row(row) for row in zip(*columns, strict=True)]
