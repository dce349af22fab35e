"""The records of one request, among those of many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from gateway.core.accounts import Amounts
from gateway.core.money import Nanos
from gateway.core.records.entry import Entry, Kind
from gateway.core.records.record import COMPARED
from gateway.drivers.usage.books import Books
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.drivers.usage.search import Search
from tests.usage_lines import NOON, line, record

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000


def entry(hold: str, request: str, ms: int, seq: int = 1, known: bool = True) -> Entry:
    made = record(hold, request=request) if known else None
    return Entry(f"{ms}-0", seq, "e", "settled", hold, Amounts(Nanos(5)), (), made)


class Book:
    """What was entered, in order; `read` are the pages that were asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.read: list[str] = []

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        self.read.append(after)
        since = int(after.partition("-")[0] or 0)
        later = [each for each in self.entries if int(each.at.partition("-")[0]) > since]
        return tuple(later[:count])


OLD: Final = [entry(f"o{number}", "old", NOON - 30 * HOUR_MS + number) for number in range(1_200)]


@pytest.mark.parametrize(
    ("ago_ms", "pages"),
    [(MINUTE_MS, 2), (17 * MINUTE_MS, 4), (2 * HOUR_MS, 3), (5 * HOUR_MS + 57 * MINUTE_MS, 7)],
)
async def test_the_newest_are_looked_at_first(ago_ms: int, pages: int) -> None:
    """And more, where some of it may lie before what was looked at."""
    mine = [entry(f"m{number}", "mine", NOON - ago_ms + number, 5 + number) for number in range(2)]
    book = Book([*OLD, *mine])
    found = await Search(book, lambda: NOON / 1_000)("acme", "mine")
    assert [each.attempt for each in found] == ["m0", "m1"]
    assert len(book.read) == pages


@pytest.mark.parametrize(
    "entries",
    [
        [("m0", 14, "settled"), ("m1", 4, "settled")],
        [("m0", 45, "settled"), ("m1", 2, "expired")],
        [("m0", 500, "settled"), ("m1", 490, "expired"), ("m1", 1, "corrected")],
        [("m0", 90, "settled"), ("m1", 1, "charged")],
    ],
)
async def test_what_came_long_after_the_others_is_not_all(
    entries: Sequence[tuple[str, int, Kind]],
) -> None:
    """A request that took ten minutes, a hold that expired, its true cost, a journal's charge."""
    made = [
        structs.replace(entry(hold, "mine", NOON - ago * MINUTE_MS), kind=kind)
        for hold, ago, kind in entries
    ]
    found = await Search(Book([*OLD, *made]), lambda: NOON / 1_000)("acme", "mine")
    assert [each.attempt for each in found] == [hold for hold, _, _ in entries]


async def test_a_comparison_is_none_of_these() -> None:
    late = entry("c", "mine~guard", NOON - MINUTE_MS + 5)
    assert late.record is not None
    compared = structs.replace(late.record, purpose=COMPARED)
    late = structs.replace(late, kind="charged", record=compared)
    book = Book([*OLD, entry("m", "mine", NOON - MINUTE_MS), late])
    found = await Search(book, lambda: NOON / 1_000)("acme", "mine")
    assert [each.attempt for each in found] == ["m", "c"]
    assert len(book.read) == 2


async def test_what_is_not_there_is_looked_for_everywhere() -> None:
    book = Book(OLD)
    assert await Search(book, lambda: NOON / 1_000)("acme", "none") == []
    assert len(await Search(book, lambda: NOON / 1_000)("acme", "old")) == len(OLD)


async def test_a_correction_without_a_record_is_of_its_call() -> None:
    book = Book([entry("m", "mine", NOON), entry("m", "", NOON + 1, known=False)])
    found = await Search(book, lambda: NOON / 1_000)("acme", "mine")
    assert [(each.attempt, each.request) for each in found] == [("m", "mine"), ("m", "")]


async def test_what_went_on_behind_it_is_found_too() -> None:
    book = Book(
        [entry(name, name, NOON) for name in ("mine", "mine~guard", "mine2", "mine~shadow")]
    )
    search = Search(book, lambda: NOON / 1_000)
    found = [each.request for each in await search("acme", "mine")]
    assert found == ["mine", "mine~guard", "mine~shadow"]
    assert [each.request for each in await search("acme", "mine~guard")] == ["mine~guard"]


async def test_a_ledger_that_only_counts_tells_no_time() -> None:
    book = Book([entry("m", "mine", 1), entry("n", "mine", 2)])
    found = await Search(book, lambda: NOON / 1_000)("acme", "mine")
    assert [each.time for each in found] == ["", ""]


async def test_what_no_book_has_any_more_is_in_the_store(tmp_path: Path) -> None:
    store = JsonlStore(tmp_path, "a")
    kept = [line("a1", request="mine"), line("a2", request="other"),
            line("a1", request="", kind="corrected", known=False)]  # fmt: skip
    await store.write(kept)
    books = Books(Book([]), store, ["acme"], lambda: NOON / 1_000)  # type: ignore[arg-type]
    found = await books.of_request("mine")
    assert [(each.attempt, each.corrects) for each in found] == [("a1", False), ("a1", True)]
    assert await books.of_request("none") == []
    await store.aclose()
