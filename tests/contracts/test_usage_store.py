"""What each place where usage is kept does: files of lines, Parquet, PostgreSQL."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from pyarrow import parquet

from gateway.core.chat import Usage
from gateway.core.records.line import Line, Reading, StoreError
from gateway.core.records.row import LATER
from gateway.drivers.usage.open import open_store
from gateway.drivers.usage.store import UsageStore
from tests.usage_lines import HOUR, NOON, line

pytest_plugins = ("tests.postgres_server",)

Another = Callable[[], UsageStore]
"""The store as another process opens it."""


@pytest.fixture(params=["jsonl", "parquet", "postgresql"])
async def another(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Another]:
    if request.param == "postgresql":
        sink = request.getfixturevalue("postgres_url")
        await _emptied(sink)
    else:
        sink = f"{request.param}:{tmp_path / 'usage'}"
    opened: list[UsageStore] = []

    def open_it() -> UsageStore:
        opened.append(open_store(sink))
        return opened[-1]

    yield open_it
    for store in opened:
        await store.aclose()


async def _execute(url: str, *commands: str) -> None:
    import asyncpg  # noqa: PLC0415 - only where it is asked for

    connection = await asyncpg.connect(url)
    for command in commands:
        await connection.execute(command)
    await connection.close()


async def _emptied(url: str) -> None:
    await _execute(url, "DROP TABLE IF EXISTS tollgate_usage")


async def _without(url: str, columns: Sequence[str]) -> None:
    await _execute(url, *(f"ALTER TABLE tollgate_usage DROP COLUMN {name}" for name in columns))


async def read(store: UsageStore, since: str = "", until: str = "") -> list[Line]:
    found: list[Line] = []
    async for some in store.read(Reading(), since, until):
        found += some
    return sorted(found, key=lambda line: (line.time, line.attempt, line.corrects))


DAY = 24 * HOUR
LINES: Sequence[Line] = (
    line("a1"),
    line("a2", ms=NOON + 1, seq=2, usage=Usage(), counted=True, first_token_s=None, user="ünï\n☃"),
    line("a3", ms=NOON + 2, seq=3, tags={}, organisation="org", stream=False, cost=2**53 - 1),
    line("a4", ms=NOON + DAY, kind="expired", seq=4, requests=0, purpose="expired"),
    line("a4", ms=NOON + DAY + 1, kind="corrected", seq=5, nanos=-400, cost=100),
    line("a5", ms=NOON + DAY + 2, kind="corrected", seq=6, nanos=-900, known=False),
    line("h1", ms=NOON + DAY + 3, kind="charged", seq=7, purpose="cached", hits=3, saved=1_500),
    line(
        "c1",
        ms=NOON + DAY + 4,
        seq=8,
        usage=Usage(30, 20, 10, 5, 4, 3, searches=7, reported_cost=9),
        signals=(1_000, 0),
    ),
)


async def test_what_is_written_is_read(another: Another) -> None:
    await another().write(LINES[:4])
    await another().write(LINES[4:])
    assert await read(another()) == [*LINES]


async def test_what_was_written_before_there_were_hits_is_read(
    another: Another, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """By a version whose rows ended before them."""
    await another().write(LINES[:4])
    for path in (tmp_path / "usage").glob("*.parquet"):
        parquet.write_table(parquet.read_table(path).drop_columns([*LATER]), path)
    if "postgresql" in request.node.name:
        await _without(request.getfixturevalue("postgres_url"), [*LATER])
    assert await read(another()) == [*LINES[:4]]
    await another().write(LINES[4:])
    assert await read(another()) == [*LINES]


async def test_what_is_written_twice_is_read_once(another: Another) -> None:
    one, other = another(), another()
    await one.write(LINES)
    await other.write(LINES[2:])
    await one.write(LINES[:1])
    assert await read(another()) == [*LINES]


async def test_nothing_is_there_before(another: Another) -> None:
    assert await read(another()) == []


async def test_a_span_of_time(another: Another) -> None:
    """At least what is in it, and no other day."""
    store = another()
    await store.write(LINES)
    found = await read(store, "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert found == [*LINES[3:]]
    assert await read(store, "", "2026-11-20T00:00:00.000Z") == []


async def test_old_days_are_removed(another: Another) -> None:
    store = another()
    await store.write(LINES)
    await store.tidy(date(2026, 11, 22))
    assert await read(store) == [*LINES[3:]]
    await store.write(LINES[:1])
    assert await read(store) == [LINES[0], *LINES[3:]], "what is written again is there again"
    await store.tidy(date(2026, 12, 22))
    assert await read(store) == []


async def test_names_that_a_database_cannot_hold(another: Another) -> None:
    store = another()
    await store.write([line("a1", user="a\0b", tags={"use_case": "c\0d"})])
    (found,) = await read(store)
    assert (found.user[:1], found.user[-1:], found.tags["use_case"][:1]) == ("a", "b", "c")


async def test_many_at_once(another: Another) -> None:
    store = another()
    many = [line(f"{'0' * 24}{number:08x}", seq=number) for number in range(2_500)]
    await store.write(many)
    assert await read(store) == many


async def test_a_table_that_was_put_away_is_made_anew(postgres_url: str) -> None:
    await _emptied(postgres_url)
    store = open_store(postgres_url)
    await store.write(LINES[:1])
    put_away = "ALTER TABLE tollgate_usage RENAME TO tollgate_usage_2026_11"
    await _execute(postgres_url, "DROP TABLE IF EXISTS tollgate_usage_2026_11", put_away)
    with pytest.raises(StoreError, match="does not exist"):
        await store.write(LINES[1:2])
    await store.write(LINES[1:2])
    assert await read(store) == [*LINES[1:2]]
    await store.aclose()


async def test_a_database_that_could_but_be_read_is_connected_to_again(postgres_url: str) -> None:
    """As a primary that a failover made a standby: sessions there go on to refuse."""
    await _emptied(postgres_url)
    store = open_store(postgres_url)
    await store.write(LINES[:1])
    await store.aclose()
    await _execute(postgres_url, "ALTER ROLE tollgate SET default_transaction_read_only TO on")
    with pytest.raises(StoreError, match="read-only"):
        await store.write(LINES[1:2])
    await _execute(
        postgres_url,
        "SET default_transaction_read_only TO off",
        "ALTER ROLE tollgate RESET default_transaction_read_only",
    )
    await store.write(LINES[1:2])
    assert await read(store) == [*LINES[:2]]
    await store.aclose()


@pytest.mark.parametrize(
    ("sink", "kind"),
    [
        ("jsonl:/proc/nowhere", "disk"),
        ("parquet:/proc/nowhere", "disk"),
        ("postgresql://127.0.0.1:1/none", "unreachable"),
    ],
)
async def test_a_store_that_takes_nothing_says_so(sink: str, kind: str) -> None:
    store = open_store(sink)
    with pytest.raises(StoreError) as caught:
        await store.write(LINES)
    assert caught.value.kind == kind
    await store.aclose()


@pytest.mark.parametrize(
    ("sink", "package", "said"),
    [
        ("parquet:x", "pyarrow", "Parquet needs pyarrow: pip install 'pyarrow>=20'"),
        ("postgres://h/x", "asyncpg", "PostgreSQL needs asyncpg: pip install 'asyncpg>=0.30'"),
    ],
)
def test_a_package_that_is_missing_is_one_clear_message(
    monkeypatch: pytest.MonkeyPatch, sink: str, package: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for store in ("parquet_store", "postgres_store"):
        monkeypatch.delitem(sys.modules, f"gateway.drivers.usage.{store}", raising=False)
    with pytest.raises(StoreError) as caught:
        open_store(sink)
    assert (caught.value.kind, str(caught.value)) == ("missing", said)
