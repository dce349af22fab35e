"""Charges the spending in journals to the ledger."""

import asyncio
import logging
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway.core.errors import LedgerDown
from gateway.core.events import HoldsExpired
from gateway.core.ports import LedgerDriver, Observer
from gateway.drivers.ledger.book import expired_record
from gateway.drivers.ledger.local_journal import (
    Held,
    Journal,
    Paid,
    Spent,
    ledger_ids,
    orphaned_journals,
)

_AT_ONCE: Final = 100
_log: Final = logging.getLogger("gateway")


class VoidingLedger(LedgerDriver, Protocol):
    async def void(self, home: str, hold_id: str) -> None:
        """Release a hold, also one that is yet to arrive; now, or as soon as possible."""
        ...


class Payer:
    """Charging a call is idempotent for a day, so whatever may not have been charged is charged
    again. What is charged while other homes fail is noted in the journal, since those may take
    longer than a day.
    """

    def __init__(self, ledger: VoidingLedger, observe: Observer) -> None:
        self._ledger = ledger
        self._observe = observe
        self._batch: list[tuple[Spent, bool]] = []
        self._paid: set[str] = set()
        """Calls of the current journal that are charged."""
        self._failing: set[str] = set()
        self._rejected = 0

    async def pay(
        self, journal: Journal, start: int, held_beside: Container[str]
    ) -> tuple[int, set[str]]:
        """Charge our own journal from an offset on, and give back what the ledger holds of calls
        `held_beside`. Gives the offset up to which it is done, and the homes that could not be
        charged.
        """
        self._begin(journal, start)
        already_paid, place = self._paid.copy(), start
        for line, after in journal.lines(start):
            place = after
            if isinstance(line, Spent):
                await self._add(line, void=line.call in held_beside)
        await self._flush()
        self._note_paid(journal, already_paid)
        return (start if self._failing else place), self._failing

    async def pay_orphaned(self, folder: Path) -> set[str]:
        """Charge the journals of dead processes: a call that was in flight costs its ceiling. Gives
        the homes that could not be charged. Raises OSError.
        """
        failing: set[str] = set()
        for journal in orphaned_journals(folder):
            try:
                await self._pay_one(journal)
            except BaseException:
                journal.close(remove=False)
                raise
            if self._failing:
                failing |= self._failing
                journal.close(remove=False)
            elif journal.damaged or self._rejected:
                _log.error("not all could be charged: see %s", journal.quarantine())
            else:
                journal.close(remove=True)
        return failing

    async def _pay_one(self, journal: Journal) -> None:
        self._begin(journal, 0)
        already_paid = self._paid.copy()
        held: dict[str, Held] = {}
        for line, _ in journal.lines():
            if isinstance(line, Held):
                held[line.call] = line
                continue
            held_line = held.pop(line.call, None)
            if isinstance(line, Spent):
                await self._add(line, void=held_line is not None)
        for line in held.values():
            if line.call not in already_paid:
                await self._add_expired(line)
        await self._flush()
        for line in held.values():
            if line.call in self._paid and line.call not in already_paid:
                self._observe(HoldsExpired(line.purse.home, 1, line.amounts.nanos))
        self._note_paid(journal, already_paid)

    def _begin(self, journal: Journal, start: int) -> None:
        self._failing, self._rejected = set(), 0
        self._paid = {line.call for line, _ in journal.lines(start) if isinstance(line, Paid)}

    def _note_paid(self, journal: Journal, already_paid: set[str]) -> None:
        """Note what was charged, if the journal must be read again."""
        with suppress(OSError):
            for call in self._paid - already_paid if self._failing else ():
                journal.write(Paid(call))

    async def _add_expired(self, line: Held) -> None:
        record = expired_record(line.call, line.life, line.purse.tenant, line.amounts)
        await self._add(Spent(line.call, line.at, line.purse, line.amounts, record), void=True)

    async def _add(self, line: Spent, *, void: bool = False) -> None:
        self._batch.append((line, void))
        if len(self._batch) >= _AT_ONCE:
            await self._flush()

    async def _flush(self) -> None:
        batch, self._batch = self._batch, []
        await asyncio.gather(*(self._charge(line, void=void) for line, void in batch))

    async def _charge(self, line: Spent, *, void: bool) -> None:
        """`void`: the ledger may have a hold of it as well, from before or after the outage."""
        home = line.purse.home
        if home in self._failing or line.call in self._paid:
            return
        try:
            if void:
                for hold_id in ledger_ids(line.call):
                    await self._ledger.void(home, hold_id)
            await self._ledger.charge(line.purse, line.call, line.at, line.amounts, line.record)
            self._paid.add(line.call)
        except LedgerDown:
            self._failing.add(home)
        except (KeyError, ValueError):
            self._rejected += 1
            _log.exception("a journal's call %s cannot be charged", line.call)
