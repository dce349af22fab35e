"""Finds the records of one request in its home's book, searching the newest first.

Those of its background calls are included.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import structs

from gateway.core.ports import Clock
from gateway.core.records.entry import Entry
from gateway.core.records.line import Line, line_of, when
from gateway.core.records.record import COMPARED, is_of

_PAGE: Final = 500
"""Entries that are read at once: a few milliseconds of the event loop's time."""
_SPANS_MS: Final = (1_800_000, 21_600_000)
"""The last half an hour, the last six hours; then all there is."""
_MAX_REQUEST_MS: Final = 1_200_000
"""How long a request and what goes on behind it may take, each up to the usual `hold_ttl_s`:
records this near to a span's start may have earlier ones."""
_EARLIEST_MS: Final = 1_000_000_000_000
"""Unix milliseconds: smaller numbers are counts of a ledger without times."""

Find = Callable[[str, str], Awaitable[list[Line]]]
"""By a home and a request's id. Raises LedgerDown."""


class Records(Protocol):
    async def records(
        self, home: str, after: str = "", count: int = 1_000
    ) -> tuple[Entry, ...]: ...


class Search:
    """One search at a time, to limit the load on the ledger. `wall` gives Unix seconds, and only
    decides where to look first.
    """

    def __init__(self, book: Records, wall: Clock) -> None:
        self._book = book
        self._wall = wall
        self._lock = asyncio.Lock()

    async def __call__(self, home: str, request_id: str) -> list[Line]:
        async with self._lock:
            now = int(self._wall() * 1_000)
            for span in _SPANS_MS:
                since = now - span
                found = await self._entries_since(home, request_id, f"{since}-0")
                if found and _complete(found, since + _MAX_REQUEST_MS):
                    return _lines(home, found)
            return _lines(home, await self._entries_since(home, request_id, ""))

    async def _entries_since(self, home: str, request_id: str, after: str) -> list[Entry]:
        found: list[Entry] = []
        holds: set[str] = set()
        while page := await self._book.records(home, after, _PAGE):
            for entry in page:
                matches = entry.record is not None and is_of(entry.record.request, request_id)
                if matches or entry.hold in holds:
                    found.append(entry)
                    holds.add(entry.hold)
            after = page[-1].at
        return found


def _complete(entries: Sequence[Entry], first_ms: int) -> bool:
    """Whether no entry of theirs can be before these. What expired, was corrected, or was charged
    without its hold came any time after the others.
    """
    for entry in entries:
        record = entry.record
        compared = record is not None and record.purpose == COMPARED
        if when(entry) <= first_ms or (entry.kind != "settled" and not compared):
            return False
    return True


def _lines(home: str, entries: Sequence[Entry]) -> list[Line]:
    """`time` is "" where the ledger has none."""
    lines = [(line_of(home, entry, when(entry)), when(entry)) for entry in entries]
    return [line if ms > _EARLIEST_MS else structs.replace(line, time="") for line, ms in lines]
