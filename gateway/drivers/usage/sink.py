"""Exports the entries of the ledger's books to the usage store.

A line is written before its mark is saved: at-least-once delivery. While the store is down or slow,
entries wait in their books; those that a book had to drop meanwhile are counted. No request waits
for any of this: it has a connection of its own, and reads in small pages.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired, Settled, SinkFailed, UsageLost, UsageSunk
from gateway.core.observers import Handlers
from gateway.core.ports import LedgerDriver, Observer
from gateway.core.records.entry import Entry
from gateway.core.records.line import StoreError, line_of, when
from gateway.drivers.redis.wire import RedisError
from gateway.drivers.usage.marks import Mark, Marks
from gateway.drivers.usage.store import UsageStore

SWEEP_S: Final = 60.0
"""How often all homes are read, not only the changed ones."""
_TIDY_S: Final = 3_600.0
_LONGEST_WAIT_S: Final = 30.0
_HOMES_AT_ONCE: Final = 16
"""Homes that are exported concurrently."""
_PAGE: Final = 100
"""Entries that are read at once: a page is some milliseconds of the event loop's time."""
_BATCH: Final = 5_000
_EARLIEST_MS: Final = 1_000_000_000_000
"""Unix milliseconds: smaller numbers are counts of a ledger without times."""
_Unreachable: TypeAlias = LedgerDown | RedisError
_UNREADABLE: Final = (LedgerDown, LookupError, TypeError, ValueError)
"""A key of a wrong type, or an entry that none of us wrote."""
_T = TypeVar("_T")
_log: Final = logging.getLogger("gateway")


class ChangedHomes:
    """An observer: the homes whose books have new entries since the last `take`."""

    def __init__(self) -> None:
        self.homes: set[str] = set()
        self.handlers: Handlers = {Settled: self.observe, HoldsExpired: self.observe}

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
    everything. Failures are retried; the first is logged, each is an event.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        book: LedgerDriver,
        marks: Marks,
        store: UsageStore,
        *,
        homes: Iterable[str],
        changed: ChangedHomes,
        observe: Observer,
        wall: Callable[[], float],
        keep_days: int | None = None,
    ) -> None:
        self._book = book
        self._marks = marks
        self._store = store
        self._homes = frozenset(homes)
        self._changed = changed
        self._observe = observe
        self._wall = wall
        self._keep_days = keep_days
        self._healthy = True
        self._unreadable: set[str] = set()
        self._unreachable: dict[str, _Unreachable] = {}
        """In this round."""

    def reconfigure(self, homes: Iterable[str]) -> None:
        """Add these homes. Former ones stay: they may have unexported entries."""
        self._homes |= frozenset(homes)

    async def run(
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
                if self._keep_days is not None and now >= tidied + _TIDY_S:
                    tidied = now  # also where it fails: not again with each write
                    await self.tidy()
            else:
                wait = min(2 * wait, max(_LONGEST_WAIT_S, every_s))
            await sleep(wait)

    async def round(self, *, sweep: bool = False) -> bool:
        """Export the changed homes, or with `sweep` all. Whether it succeeded, but for some homes:
        in a cluster, those of a node that is away fail alone.
        """
        homes = self._changed.take() | self._unreadable
        self._unreadable, self._unreachable = set(), {}
        failure: _Unreachable | None = None
        try:
            if sweep:
                homes |= self._homes
                try:
                    await self._marks.add_homes(self._homes)
                    homes |= await self._marks.homes()
                except RedisError as error:
                    failure = error
            waiting = sorted(homes)
            for start in range(0, len(waiting), _HOMES_AT_ONCE):
                await self._drain(waiting[start : start + _HOMES_AT_ONCE])
        except asyncio.CancelledError:
            self._changed.homes |= homes
            raise
        except Exception as error:  # noqa: BLE001 - after a bug, records must be written as well
            self._changed.homes |= homes
            self._report_failure(error)
            return False
        self._changed.homes |= self._unreachable.keys()
        first = failure or next(iter(self._unreachable.values()), None)
        if first is not None:
            self._report_failure(first)
        self._healthy = first is None and not self._unreadable
        return failure is None and (first is None or len(self._unreachable) < len(homes))

    async def tidy(self) -> None:
        """Remove expired lines from the store."""
        today = datetime.fromtimestamp(self._wall(), UTC).date()
        try:
            await self._store.tidy(today - timedelta(days=self._keep_days or 0))
        except StoreError as error:  # as where it may write, and not delete
            self._observe(SinkFailed(error.kind))
            _log.warning("usage: what is older than keep_days is not removed: %s", error)

    async def _drain(self, homes: Sequence[str]) -> None:
        """Export all entries of these homes' books, batch by batch."""
        waiting: Collection[str] = homes
        while waiting:
            marks: dict[str, Mark] = {}
            try:
                await _gather_all(self._acquire(home, marks) for home in waiting)
                waiting = await self._write_batch(marks)
            finally:
                with suppress(RedisError):
                    await _gather_all(self._marks.release(home) for home in marks)

    async def _acquire(self, home: str, marks: dict[str, Mark]) -> None:
        try:
            mark = await self._marks.acquire(home)
        except RedisError as error:
            self._unreachable[home] = error
            return
        if mark is None:  # another process has it, and may have missed our newest entry
            self._changed.homes.add(home)
        else:
            marks[home] = mark

    async def _write_batch(self, marks: dict[str, Mark]) -> list[str]:
        """Write one batch. Gives the homes that may have more entries."""
        limit = max(_BATCH // max(len(marks), 1), _PAGE)
        by_home = await self._read_books(marks, limit)
        if not by_home:
            return []
        lines = [
            line_of(home, entry, self._time_ms(entry))
            for home, entries in by_home.items()
            for entry in entries
        ]
        await self._store.write(lines)
        for home, entries in by_home.items():
            last = entries[-1]
            try:
                await self._marks.save(home, Mark(last.at, last.seq, last.epoch))
            except RedisError as error:  # they will be written again
                self._unreachable[home] = error
                continue
            lost = count_missing(marks[home], entries)
            if lost:
                self._observe(UsageLost(home, lost))
                _log.error("usage: %d records of %s were dropped before they were kept", lost, home)
            self._observe(UsageSunk(home, len(entries)))
        more = (home for home, entries in by_home.items() if len(entries) >= limit)
        return [home for home in more if home not in self._unreachable]

    async def _read_books(self, marks: dict[str, Mark], limit: int) -> dict[str, list[Entry]]:
        """The new entries by home. An unreadable book does not block the others."""
        reads = (self._read(home, mark.at, limit) for home, mark in marks.items())
        results = await asyncio.gather(*reads, return_exceptions=True)
        by_home: dict[str, list[Entry]] = {}
        failed: dict[str, Exception] = {}
        for home, each in zip(marks, results, strict=True):
            if isinstance(each, _UNREADABLE):
                failed[home] = each
            elif isinstance(each, BaseException):
                raise each
            elif each:
                by_home[home] = each
        for home, error in failed.items():
            if isinstance(error, LedgerDown) and len(failed) == len(marks):
                self._unreachable[home] = error  # it is the ledger's trouble, and no book's
                continue
            self._unreadable.add(home)
            self._report_failure(_unreadable_book(home, error))
        return by_home

    async def _read(self, home: str, after: str, limit: int) -> list[Entry]:
        entries: list[Entry] = []
        while len(entries) < limit:
            page = await self._book.records(home, after, _PAGE)
            entries += page
            if len(page) < _PAGE:
                break
            after = page[-1].at
        return entries

    def _time_ms(self, entry: Entry) -> int:
        ms = when(entry)
        return ms if ms > _EARLIEST_MS else int(self._wall() * 1_000)

    def _report_failure(self, error: Exception) -> None:
        if isinstance(error, (StoreError, RedisError)):
            kind = error.kind
        else:
            kind = "ledger" if isinstance(error, LedgerDown) else "internal_error"
        self._observe(SinkFailed(kind))
        if self._healthy:
            bug = error if kind == "internal_error" else None
            _log.warning("usage: not written on, it waits in the ledger: %s", error, exc_info=bug)
        self._healthy = False


def _unreadable_book(home: str, error: Exception) -> StoreError:
    why = str(error) if isinstance(error, LedgerDown) else f"no entry of ours: {error!r}"
    return StoreError("book", f"the book of {home} cannot be read: {why}")


def count_missing(mark: Mark, entries: Sequence[Entry]) -> int:
    """How many entries are missing between the mark and these, and among these."""
    lost, known = 0, mark.known
    for entry in entries:
        if entry.epoch == mark.epoch:
            lost += max(entry.seq - mark.seq - 1, 0)
        elif entry.seq > mark.seq:
            lost += max(entry.seq - max(mark.seq, known) - 1, 0)
        else:  # the data began again, under a new epoch
            lost += entry.seq - 1
        mark = Mark(entry.at, entry.seq, entry.epoch)
    return lost


async def _gather_all(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Wait for all of them; then raise the first failure."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    values: list[_T] = []
    for each in results:
        if isinstance(each, BaseException):
            raise each
        values.append(each)
    return values
