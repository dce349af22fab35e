"""`redis.lease`: a ledger that holds a slice for those who send much, and spends it by itself.

Most calls of such a purse ask the server nothing: neither their reserve nor their settle. What is
not exact about it is in docs/budgets.md. Whatever cannot be exact goes the ordinary way: a purse
with limits of requests, the last seconds of a period, whoever is near a cap, a call that outlives
its lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import structs

from gateway.core.accounts import Amounts, Balance, Hold, Purse, Refusal, checked
from gateway.core.errors import LedgerDown
from gateway.core.ports import DONE, Clock
from gateway.core.snapshot import Leasing
from gateway.core.usage_record import UsageRecord
from gateway.drivers.ledger.lease_homes import Heat
from gateway.drivers.ledger.lease_ids import LeaseIds
from gateway.drivers.ledger.lease_keeper import COOL_S, EARLY, Leasable, LeaseKeeper


class LeasedLedger:
    """Wraps `ledger`. `clock` gives monotonic seconds, `new_id` names leases."""

    def __init__(
        self,
        ledger: Leasable,
        leasing: Leasing,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        ttl_s: float = 600.0,
    ) -> None:
        self._ledger = ledger
        # What is not asked for a request is the ledger's own.
        self.first_expiry = ledger.first_expiry
        self.sweep = ledger.sweep
        self.charge = ledger.charge
        self.records = ledger.records
        self.counted = ledger.counted
        self.load = ledger.load
        self.leave = ledger.leave
        self._keeper = LeaseKeeper(ledger, leasing, clock, new_id, sleep, ttl_s)
        self._open, self._theirs = self._keeper.open, self._keeper.theirs
        self.tick = self._keeper.tick
        self._clock = clock
        self._ids = LeaseIds(clock)
        self.served = 0

    @property
    def taken(self) -> int:
        """How many leases were taken so far."""
        return self._keeper.taken

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        if not self._ids.add(hold_id):
            return await self._again(purse, hold_id, amounts, life)
        now = self._clock()
        heat = self._keeper.heats.felt(purse, now)
        lease = heat.lease
        if lease is None:
            return await self._ordinary(heat, purse, hold_id, amounts, life)
        hold = lease.take(hold_id, checked(amounts), life, now)
        if hold is None:
            lease = self._keeper.next(heat)
            hold = lease.take(hold_id, amounts, life, now) if lease is not None else None
        if lease is None or hold is None:
            return await self._ordinary(heat, purse, hold_id, amounts, life)
        self.served += 1
        self._open[hold_id] = lease
        if lease.left == EARLY:
            self._keeper.ask(heat, purse, amounts, now)
        return hold if not heat.warned else heat.warn(hold)

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        lease = self._open.get(hold.id)
        if lease is not None:
            lease.settle(hold.id, actual, record)
            del self._open[hold.id]
            if lease.nanos < 0 or lease.tokens < 0:
                self._keeper.overrun(lease)
            elif lease.finished:
                self._keeper.end(lease)
            return DONE
        if hold.id not in self._theirs and self._ids.has(hold.id):
            return DONE  # once is enough
        self._keeper.written(hold.purse.home)
        settled = self._ledger.settle(hold, actual, record)
        self._theirs.discard(hold.id)
        return settled

    async def void(self, home: str, hold_id: str) -> None:
        lease = self._open.pop(hold_id, None)
        if lease is not None:
            lease.release(hold_id)
            if lease.finished:
                self._keeper.end(lease)
        self._theirs.discard(hold_id)
        self._ids.add(hold_id)
        await self._ledger.void(home, hold_id)

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        """What this process holds ahead is not held, and what it has spent of it is spent."""
        home = await self._keeper.quiet(purse.home)
        if home is None or not home.leases:
            return await self._ledger.balances(purse)
        shift = home.shift()
        found = await self._ledger.balances(purse)
        plan = self._ledger.plan(purse)[0]
        lines = (*plan.lines, *plan.places)
        told = []
        for each, (_, at) in zip(found, plan.rows, strict=True):
            spent, ahead = shift.get(lines[at].key, (0, 0))
            told.append(structs.replace(each, spent=each.spent + spent, held=each.held - ahead))
        return tuple(told)

    async def open_holds(self, home: str) -> int:
        known = await self._keeper.quiet(home)
        leases = list(known.leases) if known is not None else []
        beside = sum(len(lease.open) - 1 for lease in leases)
        return await self._ledger.open_holds(home) + beside

    async def recall(self) -> None:
        """Settle all leases now. A call that the ledger cannot hold by itself keeps its own."""
        await self._keeper.recall()

    async def aclose(self) -> None:
        """What is leased is settled first."""
        await self._keeper.aclose()
        await self._ledger.aclose()

    # How a call gets on that no lease serves

    async def _again(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str
    ) -> Hold | Refusal:
        """An id that was asked for before."""
        lease = self._open.get(hold_id)
        if lease is not None:
            return lease.open[hold_id].hold
        if hold_id in self._theirs:
            return await self._ledger.reserve(purse, hold_id, amounts, life)
        raise LedgerDown("the ledger is unavailable (void)")

    async def _ordinary(
        self, heat: Heat, purse: Purse, hold_id: str, amounts: Amounts, life: str
    ) -> Hold | Refusal:
        answer = await self._ledger.reserve(purse, hold_id, amounts, life)
        if isinstance(answer, Refusal):
            if answer.first:
                heat.refused_first(answer)
            if await self._keeper.end_all(purse.home):  # what was held ahead was in the way, maybe
                answer = await self._ledger.reserve(purse, hold_id, amounts, life)
        if isinstance(answer, Refusal):
            heat.off_until = self._clock() + COOL_S
            self._ids.discard(hold_id)
            return heat.first(answer)
        self._theirs.add(hold_id)
        if heat.lease is None:
            self._keeper.ask(heat, purse, amounts, self._clock())
        return heat.warn(answer) if heat.has_to_tell else answer
