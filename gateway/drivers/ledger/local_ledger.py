"""`on_ledger_unavailable: allow_local`: a ledger that works for a while without its server.

While a home's ledger is unreachable, a tenant that allows it may spend, in each process, its share
of what was last known to be left (local_rooms.py). Spending is in a journal before the call is
made, and again before its answer is given (local_journal.py); when the ledger is back it is charged
there. For some seconds after that both the ledger and the share must allow a call, since other
processes may not have charged theirs yet.

Budgets of which nothing is known are not spent. A ledger that lost its data, or that refuses, does
not count as unreachable: nothing is reserved then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import structs

from gateway.core.accounts import Amounts, Balance, Hold, Purse, Refusal, checked
from gateway.core.catalog import Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import LedgerTook
from gateway.core.ports import DONE, Clock, Observer
from gateway.core.records.record import UsageRecord
from gateway.drivers.background import keep_running
from gateway.drivers.ledger.local_books import LocalBooks, OpenCall, Outage
from gateway.drivers.ledger.local_journal import local_id
from gateway.drivers.ledger.local_payer import VoidingLedger
from gateway.drivers.ledger.local_rooms import BalanceQuery, Rooms, WatchedPurse
from gateway.drivers.redis.wire import RedisError

SETTLE_S: Final = 5.0
"""How long both must allow a call after a return: other processes probe every second."""
_POLL_S: Final = 0.1
_LOOK_S: Final = 1.0
_AT_ONCE: Final = 200
_MAX_PROBES: Final = 20
_UNREACHABLE: Final = frozenset(
    {"timeout", "unreachable", "lost", "open", "loading", "readonly", "masterdown", "clusterdown"}
)
_log: Final = logging.getLogger("gateway")


def _allowed_tenants(tenants: Iterable[Tenant]) -> frozenset[str]:
    return frozenset(each.name for each in tenants if each.on_ledger_unavailable == "allow_local")


class LocalLedger:
    """Wraps `ledger` for those `tenants` that allow it; for others it only delegates.

    `replicas` is how many processes share the ledger, `folder` has the journals. `clock` gives
    monotonic seconds, `wall` Unix seconds.
    """

    def __init__(  # noqa: PLR0913 - what a test sets, a program leaves
        self,
        ledger: VoidingLedger,
        tenants: Iterable[Tenant],
        folder: Path,
        *,
        replicas: int,
        observe: Observer,
        clock: Clock,
        wall: Callable[[], float],
        settle_s: float = SETTLE_S,
    ) -> None:
        self._ledger = ledger
        # Operations outside of requests are delegated.
        self.first_expiry = ledger.first_expiry
        self.sweep = ledger.sweep
        self.charge = ledger.charge
        self.void = ledger.void
        self.records = ledger.records
        self.counted = ledger.counted
        self.load = ledger.load
        self.renew_places = ledger.renew_places
        self._allowed = self._always = _allowed_tenants(tenants)
        self._observe = observe
        self._clock = clock
        self._settle = settle_s
        self._rooms = Rooms(replicas, clock, wall)
        self._books = LocalBooks(ledger, folder, observe, wall)
        self._outages: dict[str, Outage] = {}
        self._known_lives: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def reconfigure(self, tenants: Iterable[Tenant]) -> None:
        """Use these tenants from now on; former ones' holds are still settled."""
        self._allowed = _allowed_tenants(tenants)
        self._always &= self._allowed  # of others, a life may have begun before they were allowed

    async def start(self) -> None:
        """Charge the journals of dead processes, and start the background tasks. Raises OSError
        where the folder cannot be used.
        """
        failing = await self._books.start()
        self._outages = {home: Outage(self._clock()) for home in failing}
        self._tasks = [
            asyncio.create_task(keep_running("the ledger's outages", self._run)),
            asyncio.create_task(keep_running("the journal", self._books.sync_periodically)),
        ]

    @property
    def serves_alone(self) -> bool:
        """Whether any tenant can be served while the ledger is unreachable."""
        return bool(self._allowed)

    @property
    def owed(self) -> int:
        """At least how many calls without the ledger may not be charged yet."""
        return len(self._books.open) + self._books.unpaid

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        if purse.tenant not in self._allowed:
            return await self._ledger.reserve(purse, hold_id, amounts, life)
        checked(amounts)
        life = life or hold_id
        outage = self._outages.get(purse.home)
        if outage is not None and outage.until is None:
            return self._reserve_locally(purse, hold_id, amounts, life)
        demand = self._rooms.demand(purse, amounts, life)
        if outage is not None:
            if not self._rooms.fits_shares(demand, outage.since)[0]:
                raise LedgerDown("the ledger is back only just, and the share of it is spent")
            self._rooms.take(demand, life)
        self._rooms.begin(demand, life)
        self._known_lives.add(life)
        held = False
        try:
            answer = await self._ledger.reserve(purse, hold_id, amounts, life)
            held = isinstance(answer, Hold)
        except LedgerDown as error:
            if not self._note_outage(purse.home, error):
                raise
            self._books.unanswered.setdefault(purse.home, []).append(hold_id)
        else:
            if outage is not None and isinstance(answer, Hold):
                self._books.confirmed[hold_id] = OpenCall(answer, demand, life, 0.0)
            return answer
        finally:
            self._rooms.answered(demand, life, held=held)
            if outage is not None and not held:
                self._rooms.take_back(demand)
        return self._reserve_locally(purse, hold_id, amounts, life)

    def _reserve_locally(self, purse: Purse, hold_id: str, amounts: Amounts, life: str) -> Hold:
        hold_id = local_id(hold_id)
        if opened := self._books.open.get(hold_id):
            return opened.hold
        demand = self._rooms.demand(purse, amounts, life)  # a period may have ended meanwhile
        began = self._clock()
        error: str | None = "spent"
        try:
            fits, left = self._rooms.fits_shares(demand, self._outages[purse.home].since)
            if not fits:
                raise LedgerDown("the ledger is unavailable, and the share of it is spent")
            error = "journal"
            hold = Hold(hold_id, purse, amounts, left)
            self._books.hold(hold, demand, life)
            error = None
        except OSError as failure:
            _log.exception("the journal cannot be written")
            raise LedgerDown("the ledger is unavailable, and so is the journal") from failure
        finally:
            self._observe(LedgerTook("local", self._clock() - began, error))
        self._rooms.take(demand, life)
        return hold

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        if self._books.settle(hold, actual, record):
            if not self._is_away(hold.purse.home):
                self._wake.set()
            return DONE
        ledger_hold = self._books.moved.pop(hold.id, hold)
        if ledger_hold is not hold and record is not None:  # a record has its hold's id
            record = structs.replace(record, attempt=ledger_hold.id)
        return self._ledger.settle(ledger_hold, actual, record)

    def leave(self, purse: Purse, life: str) -> None:
        self._rooms.leave(life)
        if life in self._known_lives or purse.tenant not in self._always:
            self._known_lives.discard(life)
            self._ledger.leave(purse, life)

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        if purse.tenant not in self._allowed:
            return await self._ledger.balances(purse)
        return await self._refresh(self._rooms.watch(purse))

    async def open_holds(self, home: str) -> int:
        return await self._ledger.open_holds(home)

    async def aclose(self) -> None:
        """Uncharged lines stay in the journal, for the next start."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._books.pay()
        self._books.close()
        await self._ledger.aclose()

    def _note_outage(self, home: str, error: LedgerDown) -> bool:
        """Whether the error means that the ledger is unreachable; then the outage is noted."""
        cause = error.__cause__
        if not isinstance(cause, RedisError) or cause.kind not in _UNREACHABLE:
            return False
        self._outages.setdefault(home, Outage(self._clock())).until = None
        self._wake.set()
        return True

    async def _refresh(self, watched: WatchedPurse) -> tuple[Balance, ...]:
        query = BalanceQuery(watched, self._clock())
        try:
            balances = await self._ledger.balances(watched.purse)
        except LedgerDown as error:
            self._note_outage(watched.purse.home, error)
            raise
        query.learn(balances)
        return balances

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            away_homes = [home for home, each in self._outages.items() if each.until is None]
            if away_homes:
                await self._probe(away_homes)
            elif self._books.unpaid:
                await self._books.pay()
            self._end_outages()
            await self._refresh_stale()
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S if away_homes else _LOOK_S):
                    await self._wake.wait()
                await asyncio.sleep(_POLL_S / 10)  # many settle at once

    async def _refresh_stale(self) -> None:
        """Refresh the balances of recently used purses."""
        self._rooms.trim()
        until = self._clock() - _LOOK_S / 2
        stale = [
            each
            for each in self._rooms.stale()
            if each.read_at <= until and not self._is_away(each.purse.home)
        ]
        await asyncio.gather(*map(self._refresh, stale[:_AT_ONCE]), return_exceptions=True)

    def _is_away(self, home: str) -> bool:
        outage = self._outages.get(home)
        return outage is not None and outage.until is None

    async def _probe(self, away_homes: list[str]) -> None:
        """Check whether homes are back; then charge the journals, and hand over calls in flight."""
        probed, others = away_homes[:_MAX_PROBES], away_homes[_MAX_PROBES:]
        answered = [home for home in probed if await self._answers(home)]
        for home in probed:  # the others come next
            self._outages[home] = self._outages.pop(home)
        if not answered:
            return
        answered += [home for home in others if await self._answers(home)]
        for home in answered:
            await self._books.void_unanswered(home)
        failing = await self._books.pay()
        for home in answered:
            if home not in failing:
                self._outages[home].until = self._clock() + self._settle
                await self._books.hand_over(home, self._known_lives)

    async def _answers(self, home: str) -> bool:
        try:
            await self._ledger.open_holds(home)
        except LedgerDown:
            return False
        return True

    def _end_outages(self) -> None:
        """End the outages of homes where all local spending is charged."""
        now = self._clock()
        for home, each in [*self._outages.items()]:
            expired = each.until is not None and each.until <= now
            if expired and self._books.forget_if_confirmed(home):
                del self._outages[home]
                self._rooms.forget_shares(home)
