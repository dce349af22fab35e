"""The records of one request, in the ledger's book of its home: the newest are looked at first.

Those of what went on behind its answer are among them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import structs

from gateway.core.ledger_entry import Entry
from gateway.core.ports import Clock
from gateway.core.usage_line import Line, line_of, when
from gateway.core.usage_record import is_of

_PAGE: Final = 500
"""Entries that are read at once: a few milliseconds of the event loop's time."""
_SPANS_MS: Final = (600_000, 21_600_000)
"""The last ten minutes, the last six hours; then all there is."""
_LASTS_MS: Final = 300_000
"""A request may take so long: where one begins this near to the edge, more of it may be before."""
_LONG_AGO: Final = 1_000_000_000_000
"""Unix milliseconds: what is earlier is no time, but a mere count."""

Find = Callable[[str, str], Awaitable[list[Line]]]
"""By a home and a request's id. Raises LedgerDown."""


class Records(Protocol):
    async def records(
        self, home: str, after: str = "", count: int = 1_000
    ) -> tuple[Entry, ...]: ...


class Search:
    """One at a time: whoever asks for many must not keep the ledger busy. `wall` is Unix seconds
    and only says where to look first.
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
                found = await self._since(home, request_id, f"{since}-0")
                if found and min(map(when, found)) > since + _LASTS_MS:
                    return _lines(home, found)
            return _lines(home, await self._since(home, request_id, ""))

    async def _since(self, home: str, request_id: str, after: str) -> list[Entry]:
        found: list[Entry] = []
        holds: set[str] = set()
        while page := await self._book.records(home, after, _PAGE):
            for entry in page:
                mine = entry.record is not None and is_of(entry.record.request, request_id)
                if mine or entry.hold in holds:
                    found.append(entry)
                    holds.add(entry.hold)
            after = page[-1].at
        return found


def _lines(home: str, entries: Sequence[Entry]) -> list[Line]:
    """Without a time where the ledger keeps none."""
    lines = [(line_of(home, entry, when(entry)), when(entry)) for entry in entries]
    return [line if ms > _LONG_AGO else structs.replace(line, time="") for line, ms in lines]
