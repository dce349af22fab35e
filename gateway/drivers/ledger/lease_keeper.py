"""The lifecycle of leases: reserved in the background, used up, settled, or handed over in time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from gateway.core.accounts import Amounts, Hold, Purse, Refusal
from gateway.core.errors import LedgerDown
from gateway.core.leases import Lease, Record, bounds_tokens, slice_of
from gateway.core.ports import Clock
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.lease_homes import Heat, Heats, LeasedHome, first_end
from gateway.drivers.ledger.local_journal import moved_id
from gateway.drivers.ledger.local_payer import VoidingLedger
from gateway.drivers.ledger.plans import Plan

AGE_S: Final = 2.0
"""How long a lease serves calls."""
SETTLED_S: Final = 10.0
"""When a lease is settled at the latest: calls still in flight then get holds of their own."""
CLOCK_S: Final = 2.0
"""The most by which our idea of the ledger's clock may be wrong."""
TICK_S: Final = 0.25
COOL_S: Final = 1.0
ASK_AHEAD_CALLS: Final = 8
"""How many calls before a lease is used up the next one is requested."""


class Leasable(VoidingLedger, Protocol):
    """A ledger that can settle many calls with one record, and tells its clock."""

    def settle(
        self, hold: Hold, actual: Amounts, record: Record | None = None
    ) -> Awaitable[None]: ...

    def plan(self, purse: Purse) -> tuple[Plan, float]:
        """The purse's buckets as of now, and now in Unix seconds, up to a second or so behind."""
        ...

    async def sync_clock(self) -> None:
        """Read the ledger's clock, to a second. Raises LedgerDown."""
        ...

    async def trim(self, home: str, share: float) -> None:
        """Keep but this share of the entries of a home's book, the newest. Fails silently."""
        ...


class LeaseKeeper:
    """`open` has the lease of each call that one serves; `held_by_ledger` are calls in flight with
    holds of their own, and `handed_over` has those of calls that a lease served first. `taken`
    counts leases; `tasks` are running, each for a home. For the rest see LeasedLedger.
    """

    def __init__(
        self,
        ledger: Leasable,
        leasing: Leasing,
        clock: Clock,
        new_id: Callable[[], str],
        sleep: Callable[[float], Coroutine[Any, Any, None]],
        ttl_s: float,
    ) -> None:
        self.open: dict[str, Lease] = {}
        self.held_by_ledger: set[str] = set()
        self.handed_over: dict[str, Hold] = {}
        self.heats = Heats(leasing.calls_per_s)
        self.taken = 0
        self._ledger = ledger
        self._leasing = leasing
        self._clock = clock
        self._new_id = new_id
        self._sleep = sleep
        self._age = min(AGE_S, ttl_s / 20)
        self._settled = min(SETTLED_S, ttl_s / 4)
        self._homes: dict[str, LeasedHome] = {}
        self._leases: dict[Lease, Heat] = {}
        self.tasks: dict[asyncio.Task[None], str] = {}
        self._runner: asyncio.Task[None] | None = None
        self._closing = False

    def request_leases(self, heat: Heat, purse: Purse, amounts: Amounts, now: float) -> None:
        """Request more leases in the background if needed: no call waits for it."""
        if heat.requesting or now < heat.off_until or self._closing or not heat.hot(now):
            return
        if heat.leases_needed() <= 0:
            return
        heat.requesting = True
        self._spawn(purse.home, self._acquire(heat, purse, amounts))

    async def _acquire(self, heat: Heat, purse: Purse, amounts: Amounts) -> None:
        home = self._homes.get(purse.home)
        if home is None:
            home = self._homes[purse.home] = LeasedHome(purse.home)
        acquired: list[Lease] = []
        try:
            with suppress(LedgerDown):
                await self._fill(acquired, heat, home, purse, amounts)
        finally:
            heat.requesting = False
            if not acquired:
                heat.off_until = self._clock() + COOL_S
        if acquired and self._runner is None:
            self._runner = asyncio.create_task(self._run())

    async def _fill(
        self, acquired: list[Lease], heat: Heat, home: LeasedHome, purse: Purse, amounts: Amounts
    ) -> None:
        """Reserve as many leases as needed, or as the budgets allow."""
        reads = (self._ledger.balances(purse), self._ledger.sync_clock())
        balances, _ = await asyncio.gather(*reads)
        plan, now = self._ledger.plan(purse)
        usable_s = first_end(plan, now) - now - 2 * CLOCK_S  # then there is time to hand over in
        if usable_s < self._age:
            return
        slices: list[Amounts] = []
        for _ in range(heat.leases_needed()):
            slice_amounts = slice_of(balances, amounts, self._leasing, home.leased_nanos, slices)
            if slice_amounts is None:
                break
            slices.append(slice_amounts)
            home.leased_nanos += slice_amounts.nanos
        began = self._clock()
        reserves = (
            self._ledger.reserve(purse, self._new_id(), slice_amounts) for slice_amounts in slices
        )
        answers = await asyncio.gather(*reserves, return_exceptions=True)
        plan = self._ledger.plan(purse)[0]
        for slice_amounts, answer in zip(slices, answers, strict=True):
            if isinstance(answer, Hold):
                heat.warned += answer.warned
                until, settled = began + self._age, began + min(self._settled, usable_s)
                lease = Lease(answer, until, settled, bounds_tokens=bounds_tokens(purse))
                acquired.append(lease)
                home.leases[lease] = plan
                self._leases[lease] = heat
                heat.ahead.append(lease)
                continue
            home.leased_nanos -= slice_amounts.nanos
            if isinstance(answer, Refusal):  # the budget was taken meanwhile
                if answer.first:
                    heat.note_first_refusal(answer)
            elif not isinstance(answer, LedgerDown):
                raise answer
        self.taken += len(acquired)
        if heat.lease is None:
            heat.next()

    def next(self, heat: Heat) -> Lease | None:
        """Close the exhausted lease, and switch to the next, if any."""
        exhausted = heat.lease
        heat.next()
        if exhausted is not None:
            self.close(exhausted, heat)
        return heat.lease

    def overrun(self, lease: Lease) -> None:
        """Its calls cost more than it holds: settle soon, so that the ledger knows the excess."""
        lease.hand_over_at = lease.until = self._clock()
        self.close(lease, self._leases[lease])

    def close(self, lease: Lease, heat: Heat) -> None:
        lease.closed = True
        heat.drop(lease)
        if lease.finished:
            self.end(lease)

    def end(self, lease: Lease) -> None:
        """Settle it: none of its calls is in flight."""
        heat = self._leases.pop(lease)
        lease.closed = True
        heat.drop(lease)
        hold = lease.hold
        home = self._homes[hold.purse.home]
        home.drop(lease)
        if not lease.parts:
            self._spawn(home.name, self._ledger.void(home.name, hold.id))
            return
        self._ledger.settle(hold, lease.cost, tuple(lease.parts))
        home.count_entry(len(lease.parts))
        share = home.share_to_keep()
        if share is not None:
            self._spawn(home.name, self._ledger.trim(home.name, share))

    async def _hand_over(self, lease: Lease) -> None:
        """Reserve a hold of its own for each call in flight, then end the lease. Not after the end
        of its period: the call would count in the next one.
        """
        heat, purse = self._leases[lease], lease.hold.purse
        end = self._homes[purse.home].leases[lease].end
        lease.hand_over_at = self._clock() + COOL_S
        for hold_id, (hold, life) in [*lease.open.items()]:
            in_time = self._closing or self._ledger.plan(purse)[1] <= end - CLOCK_S
            if in_time and hold_id in lease.open and hold_id not in lease.stay:
                # Its own id is its part's of the lease: an entry of this hold is another one.
                new_id = moved_id(hold_id)
                try:
                    answer = await self._ledger.reserve(purse, new_id, hold.amounts, life)
                except LedgerDown:  # that id is being voided, and must not be reserved again
                    lease.stay.add(hold_id)
                    continue
                if isinstance(answer, Refusal):
                    if answer.first:
                        heat.note_first_refusal(answer)
                    continue
                heat.warned += answer.warned
                if hold_id in lease.open:
                    lease.release(hold_id)
                    del self.open[hold_id]
                    self.handed_over[hold_id] = answer
                else:  # it has ended meanwhile
                    await self._ledger.void(purse.home, new_id)
        if lease.finished and lease in self._leases:
            self.end(lease)

    async def _run(self) -> None:
        while True:
            await self._sleep(TICK_S)
            # Not cancelled with the keeper: a cancelled reserve would be voided.
            await asyncio.wait([self._spawn("", self.tick())])

    async def wait_quiet(self, home: str) -> LeasedHome | None:
        """Wait until no lease of a home is being reserved or settled; gives its leases."""
        while pending := [task for task, task_home in self.tasks.items() if task_home == home]:
            await asyncio.wait(pending)
        return self._homes.get(home)

    def _spawn(self, home: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks[task] = home
        task.add_done_callback(self.tasks.pop)
        return task

    async def tick(self) -> None:
        """Close old leases, and hand over calls that take long."""
        now = self._clock()
        for lease, heat in [*self._leases.items()]:
            if now >= lease.until and lease in self._leases:
                self.close(lease, heat)
                if now >= lease.hand_over_at and lease in self._leases:
                    await self._hand_over(lease)

    async def recall(self) -> None:
        """End all leases now, but for those with a call that cannot get a hold of its own."""
        while self.tasks:
            await asyncio.wait(self.tasks)
        for lease, heat in [*self._leases.items()]:
            if lease in self._leases:
                self.close(lease, heat)
            if lease in self._leases:
                await self._hand_over(lease)
        while self.tasks:
            await asyncio.wait(self.tasks)

    def count_entry(self, home: str) -> None:
        """Count the entry of a call that no lease served."""
        leased = self._homes.get(home)
        if leased is not None:
            leased.count_entry(1)

    async def end_all(self, home: str) -> bool:
        """Settle those leases of a home that have no call in flight. Whether there were any."""
        leased = await self.wait_quiet(home)
        ended = False
        for lease in [*leased.leases] if leased is not None else []:
            self.close(lease, self._leases[lease])
            ended = ended or lease not in self._leases
        await self.wait_quiet(home)
        return ended

    async def aclose(self) -> None:
        """Stop, and settle all leases."""
        await self.stop()
        await self.recall()

    async def stop(self) -> None:
        self._closing = True
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
