"""What this process did without the ledger: calls in flight, and spending not charged yet."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import structs

from gateway.core.accounts import Amounts, Hold, Purse, bounded
from gateway.core.errors import LedgerDown
from gateway.core.ports import Observer
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.local_journal import (
    Held,
    Journal,
    Line,
    Moved,
    Spent,
    make_journal,
    moved_id,
)
from gateway.drivers.ledger.local_payer import Payer, VoidingLedger
from gateway.drivers.ledger.local_rooms import Demand, bucket_of, give_back
from gateway.drivers.ledger.plans import Calendar, Limit, Plan, make_plan

_SYNC_S: Final = 1.0
_log: Final = logging.getLogger("gateway")


class OpenCall(NamedTuple):
    """A call in flight since `at`, in Unix seconds, and what it took of the shares."""

    hold: Hold
    demand: Demand
    life: str
    at: float


class Outage:
    """A home's ledger was unreachable `since`; `until`: when the share is no longer checked as
    well, None while it is unreachable.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self.until: float | None = None


class LocalBooks:
    """`open` are the calls that only this process knows of, by id; `confirmed` those that the
    ledger knows as well. `moved` has the ledger's hold of each call that was handed over.
    `held_beside` are open calls of an earlier period: they are charged here, to the budgets of
    their time, and until then the ledger holds their ceilings in those of its budgets that still
    count.
    """

    def __init__(
        self, ledger: VoidingLedger, folder: Path, observe: Observer, wall: Callable[[], float]
    ) -> None:
        self.open: dict[str, OpenCall] = {}
        self.confirmed: dict[str, OpenCall] = {}
        self.moved: dict[str, Hold] = {}
        self.held_beside: set[str] = set()
        self.unanswered: dict[str, list[str]] = {}
        """By home: holds that the ledger may have made, of calls that are open here."""
        self._ledger = ledger
        self._folder = folder
        self._wall = wall
        self._payer = Payer(ledger, observe)
        self._calendar = Calendar()
        self._journal: Journal | None = None
        self._paid = 0
        self._unwritten: list[Spent] = []
        self._stay: set[str] = set()
        """Open calls whose hand-over failed: that hold is being voided, and its id used no more."""

    @property
    def unpaid(self) -> bool:
        """Whether something in the journal may not be charged yet."""
        written = self._journal is not None and self._journal.size > self._paid
        return written or bool(self._unwritten)

    async def start(self) -> set[str]:
        """Charge the journals of dead processes; gives the homes where that failed. Raises OSError
        where the folder cannot be used.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await self._payer.pay_orphaned(self._folder)

    def hold(self, hold: Hold, demand: Demand, life: str) -> None:
        """Raises OSError if the journal cannot be written: then it is not held."""
        at = self._wall()
        self._write(Held(hold.id, at, hold.purse, hold.amounts, life))
        self.open[hold.id] = OpenCall(hold, demand, life, at)

    def settle(self, hold: Hold, actual: Amounts, record: UsageRecord | None) -> bool:
        """Whether it was a call that the ledger does not know."""
        cost = bounded(actual)
        spent = Amounts(cost.nanos, cost.tokens, hold.amounts.requests)
        opened = self.open.pop(hold.id, None)
        self._stay.discard(hold.id)
        if opened is None:
            if confirmed := self.confirmed.pop(hold.id, None):
                give_back(confirmed.demand, hold.amounts, spent)
            return False
        give_back(opened.demand, hold.amounts, spent)
        line = Spent(hold.id, opened.at, hold.purse, spent, record)
        if not self._try_write(line):  # kept in memory; if we die, it is charged at its ceiling
            self._unwritten.append(line)
        return True

    async def pay(self) -> set[str]:
        """Charge our journal and those of dead processes; gives the homes where that failed."""
        failing: set[str] = set()
        try:
            for line in [*self._unwritten]:
                self._write(line)
                self._unwritten.remove(line)
            if self._journal is not None:
                journal, start = self._journal, self._paid
                self._paid, failing = await self._payer.pay(journal, start, self.held_beside)
                if not self.unpaid and not self.open and journal.size:
                    journal.empty()
                    self._paid = 0
                    self.held_beside.clear()
            failing |= await self._payer.pay_orphaned(self._folder)
        except OSError:
            _log.exception("the journal cannot be read or written")
        return failing

    async def void_unanswered(self, home: str) -> None:
        """Before anything is taken out of the journal: by that, a killed process's are voided."""
        hold_ids = self.unanswered.pop(home, ())
        await asyncio.gather(*(self._ledger.void(home, each) for each in hold_ids))

    async def hand_over(self, home: str, known_lives: set[str]) -> None:
        """Reserve the calls in flight at the ledger; those of an earlier period only in the budgets
        that count them now, too. A life that the ledger may know is in `known_lives` until it
        leaves.
        """
        for name, opened in [*self.open.items()]:
            hold, life = opened.hold, opened.life
            if hold.purse.home != home or name not in self.open or name in self._stay:
                continue
            plan = make_plan(hold.purse, self._calendar, self._wall(), 0)
            purse, of_now = hold.purse, plan.start <= opened.at < plan.end
            if not of_now:
                purse = _counting_now(plan, opened)
                if not purse.accounts:
                    continue
            known_lives.add(life)
            self._stay.add(name)
            with suppress(LedgerDown):
                new_id = moved_id(name)
                answer = await self._ledger.reserve(purse, new_id, hold.amounts, life)
                if not isinstance(answer, Hold):
                    self._stay.discard(name)
                    continue
                if name in self.open and not of_now:
                    self.held_beside.add(name)
                elif name in self.open and self._try_write(Moved(name)):
                    self.confirmed[name] = self.open.pop(name)
                    self.moved[name] = answer
                else:  # it is charged from the journal
                    await self._ledger.void(home, new_id)
            if life not in known_lives:  # it left meanwhile, maybe before the reserve
                self._ledger.leave(hold.purse, life)

    def forget_if_confirmed(self, home: str) -> bool:
        """Whether the ledger knows everything of a home that counts now; then its calls are
        forgotten here.
        """
        here = (each for each in self.open.values() if each.hold.purse.home == home)
        if self.unpaid or any(map(self._counts_now, here)):
            return False
        confirmed = self.confirmed.items()
        self.confirmed = {name: each for name, each in confirmed if each.hold.purse.home != home}
        return True

    def _counts_now(self, opened: OpenCall) -> bool:
        """Whether a budget's present period has it that the ledger does not know. One of an earlier
        period stays here until it ends, which may take long, and takes nothing from anybody.
        """
        if opened.hold.id in self.held_beside:
            return False
        plan = make_plan(opened.hold.purse, self._calendar, self._wall(), 0)
        keys = {line.key for line in (*plan.lines, *plan.places)}
        return any(bucket_of(key) in keys for _, key, _ in opened.demand)

    async def sync_periodically(self) -> None:
        """Sync the journal to disk every second, until cancelled."""
        while True:
            await asyncio.sleep(_SYNC_S)
            if self._journal is not None:
                with suppress(OSError):
                    await asyncio.to_thread(self._journal.sync)

    def close(self) -> None:
        """Uncharged lines stay in the journal, for the next start."""
        if self._journal is not None:
            with suppress(OSError):
                self._journal.sync()
                self._journal.close(remove=not self.unpaid and not self.open)

    def _try_write(self, line: Line) -> bool:
        """Whether it can be written."""
        try:
            self._write(line)
        except OSError:
            _log.exception("the journal cannot be written")
            return False
        return True

    def _write(self, line: Line) -> None:
        if self._journal is None:
            self._journal = make_journal(self._folder)
        self._journal.write(line)


def _counting_now(plan: Plan, opened: OpenCall) -> Purse:
    """The call's purse with those budgets only whose bucket in this plan is that of the call."""
    of_call = {bucket_of(key) for _, key, _ in opened.demand}
    lines = (*plan.lines, *plan.places)
    kept = {limit for limit, at in plan.rows if lines[at].key in of_call}
    purse = opened.hold.purse
    accounts = (
        structs.replace(
            account,
            budgets=tuple(each for each in account.budgets if Limit(account, each) in kept),
        )
        for account in purse.accounts
    )
    return structs.replace(purse, accounts=tuple(each for each in accounts if each.budgets))
