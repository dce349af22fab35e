"""Writes what the ledger's books say on to where it is kept.

A line is written before its place is noted, so that one may come twice and none gets lost. While
the store is down, or slow, entries wait in their books; those that a book had to drop meanwhile
are counted. No request waits for any of this: it has a connection of its own, and reads little at
a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired, Settled, SinkFailed, UsageLost, UsageSunk
from gateway.core.ledger_entry import Entry
from gateway.core.observers import Hears
from gateway.core.ports import LedgerDriver, Observer
from gateway.core.usage_line import StoreError, line_of, when
from gateway.drivers.redis.wire import RedisError
from gateway.drivers.usage.marks import Mark, Marks
from gateway.drivers.usage.store import UsageStore

SWEEP_S: Final = 60.0
"""So often all homes are looked at, not only those that moved."""
_TIDY_S: Final = 3_600.0
_LONGEST_WAIT_S: Final = 30.0
_TOGETHER: Final = 16
"""Homes that are written on together."""
_PAGE: Final = 100
"""Entries that are read at once: a page is some milliseconds of the event loop's time."""
_BATCH: Final = 5_000
_LONG_AGO: Final = 1_000_000_000_000
"""Unix milliseconds: what is earlier is no time, but a mere count."""
_FAILURES: Final = (StoreError, LedgerDown, RedisError)
_UNREADABLE: Final = (LedgerDown, LookupError, TypeError, ValueError)
"""A key of a wrong type, or an entry that none of us wrote."""
_T = TypeVar("_T")
_log: Final = logging.getLogger("gateway")


class Moved:
    """An observer: the homes in whose books something was written since it was last asked."""

    def __init__(self) -> None:
        self.homes: set[str] = set()
        self.hears: Hears = {Settled: self.observe, HoldsExpired: self.observe}

    def observe(self, event: Event) -> None:
        if type(event) is Settled:
            self.homes.add(event.about.organisation or event.about.tenant)
        elif type(event) is HoldsExpired:
            self.homes.add(event.tenant)

    def take(self) -> set[str]:
        taken, self.homes = self.homes, set()
        return taken


class UsageSink:
    """`homes` are those of the configuration. `wall` gives Unix seconds. `keep_days` None keeps
    everything. Whatever fails is tried again, and told: once in the log, each time as an event.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        book: LedgerDriver,
        marks: Marks,
        store: UsageStore,
        *,
        homes: Iterable[str],
        moved: Moved,
        observe: Observer,
        wall: Callable[[], float],
        keep_days: int | None = None,
    ) -> None:
        self._book = book
        self._marks = marks
        self._store = store
        self._homes = frozenset(homes)
        self._moved = moved
        self._observe = observe
        self._wall = wall
        self._keep_days = keep_days
        self._sound = True
        self._unread: set[str] = set()

    def reconfigure(self, homes: Iterable[str]) -> None:
        """There are these as well. Those that were may have more to say."""
        self._homes |= frozenset(homes)

    async def keep_writing(
        self, every_s: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Run until cancelled."""
        swept = tidied = float("-inf")
        wait = every_s
        while True:
            now = clock()
            sweep = now >= swept + SWEEP_S
            if await self.round(sweep=sweep):
                wait = every_s
                swept = now if sweep else swept
            else:
                wait = min(2 * wait, max(_LONGEST_WAIT_S, every_s))
            if self._keep_days is not None and now >= tidied + _TIDY_S and await self.tidy():
                tidied = now
            await sleep(wait)

    async def round(self, *, sweep: bool = False) -> bool:
        """Write on what there is: of the homes that moved, or of all. Whether that was done."""
        homes = self._moved.take() | self._unread
        self._unread = set()
        try:
            if sweep:
                await self._marks.name(self._homes)
                homes |= self._homes | await self._marks.homes()
            waiting = sorted(homes)
            for start in range(0, len(waiting), _TOGETHER):
                await self._write_on(waiting[start : start + _TOGETHER])
        except _FAILURES as error:
            self._moved.homes |= homes
            self._failed(error)
            return False
        except asyncio.CancelledError:
            self._moved.homes |= homes
            raise
        self._sound = not self._unread
        return True

    async def tidy(self) -> bool:
        """Remove what is kept no longer. Whether that was done."""
        today = datetime.fromtimestamp(self._wall(), UTC).date()
        try:
            await self._store.tidy(today - timedelta(days=self._keep_days or 0))
        except StoreError as error:
            self._failed(error)
            return False
        return True

    async def _write_on(self, homes: Sequence[str]) -> None:
        """All that these homes' books say, batch by batch."""
        waiting: Collection[str] = homes
        while waiting:
            mine: dict[str, Mark] = {}
            try:
                await _together(self._take(home, mine) for home in waiting)
                waiting = await self._batch(mine)
            finally:
                with suppress(RedisError):
                    await _together(self._marks.give(home) for home in mine)

    async def _take(self, home: str, mine: dict[str, Mark]) -> None:
        mark = await self._marks.take(home)
        if mark is None:  # somebody else is at it, and may be past our newest entry
            self._moved.homes.add(home)
        else:
            mine[home] = mark

    async def _batch(self, mine: dict[str, Mark]) -> list[str]:
        """The homes that have more to say."""
        most = max(_BATCH // max(len(mine), 1), _PAGE)
        found = await self._read_books(mine, most)
        if not found:
            return []
        lines = [
            line_of(home, entry, self._when(entry))
            for home, entries in found.items()
            for entry in entries
        ]
        await self._store.write(lines)
        for home, entries in found.items():
            last = entries[-1]
            await self._marks.keep(home, Mark(last.at, last.seq, last.epoch))
            lost = missing(mine[home], entries)
            if lost:
                self._observe(UsageLost(home, lost))
                _log.error("usage: %d records of %s were dropped before they were kept", lost, home)
            self._observe(UsageSunk(home, len(entries)))
        return [home for home, entries in found.items() if len(entries) >= most]

    async def _read_books(self, mine: dict[str, Mark], most: int) -> dict[str, list[Entry]]:
        """What each home's book says. One that cannot be read does not hold up the others."""
        asked = (self._read(home, mark.at, most) for home, mark in mine.items())
        read = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[str, list[Entry]] = {}
        failed: dict[str, Exception] = {}
        for home, each in zip(mine, read, strict=True):
            if isinstance(each, _UNREADABLE):
                failed[home] = each
            elif isinstance(each, BaseException):
                raise each
            elif each:
                found[home] = each
        for home, error in failed.items():
            if isinstance(error, LedgerDown) and len(failed) == len(mine):
                raise error  # it is the ledger's trouble, and no book's
            self._unread.add(home)
            self._failed(_unread(home, error))
        return found

    async def _read(self, home: str, after: str, most: int) -> list[Entry]:
        entries: list[Entry] = []
        while len(entries) < most:
            page = await self._book.records(home, after, _PAGE)
            entries += page
            if len(page) < _PAGE:
                break
            after = page[-1].at
        return entries

    def _when(self, entry: Entry) -> int:
        ms = when(entry)
        return ms if ms > _LONG_AGO else int(self._wall() * 1_000)

    def _failed(self, error: StoreError | LedgerDown | RedisError) -> None:
        self._observe(SinkFailed("ledger" if isinstance(error, LedgerDown) else error.kind))
        if self._sound:
            _log.warning("usage: not written on, it waits in the ledger: %s", error)
        self._sound = False


def _unread(home: str, error: Exception) -> StoreError:
    why = str(error) if isinstance(error, LedgerDown) else f"no entry of ours: {error!r}"
    return StoreError("book", f"the book of {home} cannot be read: {why}")


def missing(mark: Mark, entries: Sequence[Entry]) -> int:
    """How many entries there were between what was written on and these, and between these."""
    lost = 0
    for entry in entries:
        if entry.epoch == mark.epoch or entry.seq > mark.seq:
            lost += max(entry.seq - mark.seq - 1, 0)
        else:  # data that began anew
            lost += entry.seq - 1
        mark = Mark(entry.at, entry.seq, entry.epoch)
    return lost


async def _together(asked: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """All of them, to their ends; then the first that failed."""
    done = await asyncio.gather(*asked, return_exceptions=True)
    found: list[_T] = []
    for each in done:
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found
