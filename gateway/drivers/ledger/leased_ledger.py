"""`redis.lease`: a ledger that reserves a slice of a busy purse's budgets, and spends it locally.

Most calls of such a purse need no server round trip, neither to reserve nor to settle. What is not
exact about it is in docs/budgets.md. Where it must be exact, calls go to the server: purses with
limits of requests, the last seconds of a period, purses near a cap, calls that outlive their lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import structs

from gateway.core.accounts import Amounts, Balance, Hold, Purse, Refusal, checked
from gateway.core.errors import LedgerDown
from gateway.core.ports import DONE, Clock
from gateway.core.records.record import UsageRecord
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.lease_homes import Heat
from gateway.drivers.ledger.lease_ids import LeaseIds
from gateway.drivers.ledger.lease_keeper import ASK_AHEAD_CALLS, COOL_S, Leasable, LeaseKeeper


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
        # Operations outside of requests are delegated.
        self.first_expiry = ledger.first_expiry
        self.sweep = ledger.sweep
        self.charge = ledger.charge
        self.records = ledger.records
        self.counted = ledger.counted
        self.load = ledger.load
        self.leave = ledger.leave
        self.renew_places = ledger.renew_places
        self._keeper = LeaseKeeper(ledger, leasing, clock, new_id, sleep, ttl_s)
        self._open, self._held_by_ledger = self._keeper.open, self._keeper.held_by_ledger
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
            return await self._reserve_again(purse, hold_id, amounts, life)
        now = self._clock()
        heat = self._keeper.heats.record_call(purse, now)
        lease = heat.lease
        if lease is None:
            return await self._reserve_directly(heat, purse, hold_id, amounts, life)
        hold = lease.take(hold_id, checked(amounts), life, now)
        if hold is None:
            lease = self._keeper.next(heat)
            hold = lease.take(hold_id, amounts, life, now) if lease is not None else None
        if lease is None or hold is None:
            return await self._reserve_directly(heat, purse, hold_id, amounts, life)
        self.served += 1
        self._open[hold_id] = lease
        if lease.left == ASK_AHEAD_CALLS:
            self._keeper.request_leases(heat, purse, amounts, now)
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
        if hold.id not in self._held_by_ledger:
            ledger_hold = self._keeper.handed_over.pop(hold.id, None)
            if ledger_hold is None and self._ids.has(hold.id):
                return DONE  # already settled
            if ledger_hold is not None:
                hold = ledger_hold
                if record is not None:  # a record has its hold's id
                    record = structs.replace(record, attempt=hold.id)
        self._keeper.count_entry(hold.purse.home)
        settled = self._ledger.settle(hold, actual, record)
        self._held_by_ledger.discard(hold.id)
        return settled

    async def void(self, home: str, hold_id: str) -> None:
        lease = self._open.pop(hold_id, None)
        if lease is not None:
            lease.release(hold_id)
            if lease.finished:
                self._keeper.end(lease)
        self._held_by_ledger.discard(hold_id)
        self._ids.add(hold_id)
        if handed_over := self._keeper.handed_over.pop(hold_id, None):
            await self._ledger.void(home, handed_over.id)
        await self._ledger.void(home, hold_id)

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        """As if leases did not exist: their unused part is not held, their spent part is spent."""
        home = await self._keeper.wait_quiet(purse.home)
        if home is None or not home.leases:
            return await self._ledger.balances(purse)
        adjustments = home.adjustments_by_bucket()
        balances = await self._ledger.balances(purse)
        plan = self._ledger.plan(purse)[0]
        lines = (*plan.lines, *plan.places)
        adjusted = []
        for each, (_, at) in zip(balances, plan.rows, strict=True):
            spent, ahead = adjustments.get(lines[at].key, (0, 0))
            adjusted.append(structs.replace(each, spent=each.spent + spent, held=each.held - ahead))
        return tuple(adjusted)

    async def open_holds(self, home: str) -> int:
        leased = await self._keeper.wait_quiet(home)
        leases = list(leased.leases) if leased is not None else []
        lease_calls = sum(len(lease.open) - 1 for lease in leases)
        return await self._ledger.open_holds(home) + lease_calls

    async def recall(self) -> None:
        """Settle all leases now, but for those with a call that cannot get a hold of its own."""
        await self._keeper.recall()

    async def aclose(self) -> None:
        """Settles all leases first."""
        await self._keeper.aclose()
        await self._ledger.aclose()

    # Calls that no lease serves

    async def _reserve_again(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str
    ) -> Hold | Refusal:
        """An id that was reserved before."""
        lease = self._open.get(hold_id)
        if lease is not None:
            return lease.open[hold_id].hold
        if handed_over := self._keeper.handed_over.get(hold_id):
            return structs.replace(handed_over, id=hold_id)
        if hold_id in self._held_by_ledger:
            return await self._ledger.reserve(purse, hold_id, amounts, life)
        raise LedgerDown("the ledger is unavailable (void)")

    async def _reserve_directly(
        self, heat: Heat, purse: Purse, hold_id: str, amounts: Amounts, life: str
    ) -> Hold | Refusal:
        answer = await self._ledger.reserve(purse, hold_id, amounts, life)
        if isinstance(answer, Refusal):
            if answer.first:
                heat.note_first_refusal(answer)
            if await self._keeper.end_all(purse.home):  # leases may have caused the refusal
                answer = await self._ledger.reserve(purse, hold_id, amounts, life)
        if isinstance(answer, Refusal):
            heat.off_until = self._clock() + COOL_S
            self._ids.discard(hold_id)
            return heat.mark_first_refusal(answer)
        self._held_by_ledger.add(hold_id)
        if heat.lease is None:
            self._keeper.request_leases(heat, purse, amounts, self._clock())
        return heat.warn(answer) if heat.has_warnings else answer
