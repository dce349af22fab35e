"""Files of usage when things go wrong: a full disk, a lost process, a removed file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.records.line import BadLine, Line, Reading, Seen, StoreError, encode
from gateway.core.records.record import decode
from gateway.drivers.usage.jsonl_store import JsonlStore
from tests.usage_lines import line, record

A, B, C = line("a"), line("b", seq=2), line("c", seq=3)


@pytest.fixture
def store(tmp_path: Path) -> JsonlStore:
    return JsonlStore(tmp_path, "p1")


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def read(store: JsonlStore, reading: Reading | None = None) -> list[Line]:
    return [line async for some in store.read(reading or Reading()) for line in some]


def test_a_line_is_a_usage_record() -> None:
    assert decode(encode(A)) == record("a")


async def test_one_file_a_day_and_process(store: JsonlStore, tmp_path: Path) -> None:
    await store.write([A])
    await store.write([B])
    (file,) = files(tmp_path)
    assert file.name == "2026-11-21.p1.jsonl"
    assert file.read_bytes() == encode(A) + encode(B)
    await store.aclose()


async def test_a_torn_last_line_is_left_out_and_counted(store: JsonlStore, tmp_path: Path) -> None:
    (tmp_path / "2026-11-21.p0.jsonl").write_bytes(encode(A) + encode(B)[:-40])
    await store.write([C])
    reading = Reading()
    assert await read(store, reading) == [A, C]
    assert reading.torn == 1
    await store.aclose()


async def test_a_broken_line_within_is_told(store: JsonlStore, tmp_path: Path) -> None:
    (tmp_path / "2026-11-21.p0.jsonl").write_bytes(encode(A) + b'{"half\n' + encode(B))
    with pytest.raises(StoreError, match=r"p0\.jsonl:2: is no usage record: ") as caught:
        await read(store)
    assert caught.value.kind == "content"


async def test_half_a_write_is_undone(
    store: JsonlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write([A])

    def full(file: int, data: bytes) -> int:
        monkeypatch.undo()  # what follows works again, until the disk is full once more
        written = os.write(file, data[:20])
        monkeypatch.setattr(os, "write", _no_space)
        return written

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        await store.write([B])
    assert caught.value.kind == "disk"
    monkeypatch.undo()
    await store.write([B])
    assert await read(store) == [A, B]
    assert len(files(tmp_path)) == 1
    await store.aclose()


async def test_half_a_write_that_stays_is_the_end_of_its_file(
    store: JsonlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write([A])

    def full(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", _no_space)
        return os.pwrite(file, data[:20], 0)  # at the end: the file is open to append

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "ftruncate", _no_space)
    with pytest.raises(StoreError):
        await store.write([B])
    monkeypatch.undo()
    await store.write([B])
    reading = Reading()
    assert await read(store, reading) == [B, A]
    assert reading.torn == 1
    assert [path.name for path in files(tmp_path)] == [
        "2026-11-21.p1-1.jsonl", "2026-11-21.p1.jsonl",
    ]  # fmt: skip
    await store.aclose()


def _no_space(*_: object) -> int:
    raise OSError(28, os.strerror(28))


async def test_a_file_that_was_removed_is_made_anew(store: JsonlStore, tmp_path: Path) -> None:
    await store.write([A])
    (tmp_path / "2026-11-21.p1.jsonl").unlink()
    await store.write([B])
    assert await read(store) == [B]
    await store.aclose()


# ---- reading


def test_each_call_counts_once_and_its_correction_too() -> None:
    late = line("a", kind="corrected", nanos=-400)
    first = line("a", kind="expired")
    reading = Reading()
    raw = [encode(each) for each in (first, late, first, late, B)]
    assert [*reading.decoded(raw)] == [first, late, B]
    assert reading.twice == 2


@pytest.mark.parametrize("junk", [b"nonsense\n", b'{"a": 1}\n', b"\xff\xfe\n", b"[]\n"])
def test_what_is_no_record(junk: bytes) -> None:
    with pytest.raises(BadLine) as caught:
        list(Reading().decoded([encode(A), b"\n", junk]))
    assert caught.value.number == 3


def ids() -> Iterator[str]:
    yield from (
        f"{prefix}{n:08x}" for prefix in ("p", "q", "") for n in (0, 1, 4095, 4096, 2**32 - 1)
    )
    yield from ("", "x", "0000000A", "0000000a", "-0000001", "\u0660" * 8, "p0000000", "  000001")


def test_ids_are_told_apart() -> None:
    seen = Seen()
    assert [name for name in ids() if not seen.add(name)] == []
    assert [name for name in ids() if seen.add(name)] == []
