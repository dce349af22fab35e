"""Parquet files of usage when the disk is full."""

from pathlib import Path

import pytest

from gateway.core.records.line import Reading, StoreError
from gateway.drivers.usage.parquet_store import ParquetStore
from tests.drivers.full_disk import files_no_larger_than
from tests.usage_lines import line

LINES = [line(f"{number:08x}", seq=number) for number in range(2_000)]


def files(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


async def test_a_full_disk_is_not_filled_with_what_was_not_finished(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, "p1")
    for _ in range(2):
        with pytest.raises(StoreError) as caught, files_no_larger_than(4_096):
            await store.write(LINES)
        assert caught.value.kind == "disk"
        assert files(tmp_path) == []
    await store.write(LINES)
    assert len(files(tmp_path)) == 1
    assert [line async for some in store.read(Reading()) for line in some] == LINES
