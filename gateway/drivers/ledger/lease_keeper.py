"""The life of a lease: asked for in the background, used up, settled, and handed over in time."""

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
from gateway.drivers.ledger.local_payer import Voiding
from gateway.drivers.ledger.plans import Plan

AGE_S: Final = 2.0
"""So long a lease serves calls."""
SETTLED_S: Final = 10.0
"""By then it is settled: what is under way yet is held by itself from then on."""
CLOCK_S: Final = 2.0
"""What is known of the ledger's clock may be wrong by less."""
TICK_S: Final = 0.25
COOL_S: Final = 1.0
EARLY: Final = 8
"""So many calls before a lease is used up the next one is asked for."""


class Leasable(Voiding, Protocol):
    """A ledger whose settle may have many calls as its record, and that knows its own time."""

    def settle(
        self, hold: Hold, actual: Amounts, record: Record | None = None
    ) -> Awaitable[None]: ...

    def plan(self, purse: Purse) -> tuple[Plan, float]:
        """The purse's buckets as of now, and now: Unix seconds, less by up to a second or so."""
        ...

    async def look_at_clock(self) -> None:
        """From now on it is known to a second. Raises LedgerDown."""
        ...

    async def trim(self, home: str, share: float) -> None:
        """Keep but this share of the entries of a home's book, the newest. Fails silently."""
        ...


class LeaseKeeper:
    """`open` has the lease of each call that one serves; `theirs` are calls under way that the
    ledger holds by themselves. `taken` counts leases; `tasks` are under way, each for a home. For
    the rest see LeasedLedger.
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
        self.theirs: set[str] = set()
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
        self._keeping: asyncio.Task[None] | None = None
        self._closing = False

    def ask(self, heat: Heat, purse: Purse, amounts: Amounts, now: float) -> None:
        """For more of them, in the background: no call waits for it."""
        if heat.asking or now < heat.off_until or self._closing or not heat.hot(now):
            return
        if heat.lacks() <= 0:
            return
        heat.asking = True
        self._begin(purse.home, self._take(heat, purse, amounts))

    async def _take(self, heat: Heat, purse: Purse, amounts: Amounts) -> None:
        home = self._homes.get(purse.home)
        if home is None:
            home = self._homes[purse.home] = LeasedHome(purse.home)
        some: list[Lease] = []
        try:
            with suppress(LedgerDown):
                await self._fill(some, heat, home, purse, amounts)
        finally:
            heat.asking = False
            if not some:
                heat.off_until = self._clock() + COOL_S
        if some and self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())

    async def _fill(
        self, some: list[Lease], heat: Heat, home: LeasedHome, purse: Purse, amounts: Amounts
    ) -> None:
        """As many leases as it lacks, or there is room for."""
        looks = (self._ledger.balances(purse), self._ledger.look_at_clock())
        balances, _ = await asyncio.gather(*looks)
        plan, now = self._ledger.plan(purse)
        served = first_end(plan, now) - now - 2 * CLOCK_S  # then there is time to hand over in
        if served < self._age:
            return
        slices: list[Amounts] = []
        for _ in range(heat.lacks()):
            wanted = slice_of(balances, amounts, self._leasing, home.sliced, slices)
            if wanted is None:
                break
            slices.append(wanted)
            home.sliced += wanted.nanos
        began = self._clock()
        asked = (self._ledger.reserve(purse, self._new_id(), wanted) for wanted in slices)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        plan = self._ledger.plan(purse)[0]
        for wanted, answer in zip(slices, answers, strict=True):
            if isinstance(answer, Hold):
                heat.warned += answer.warned
                until, settled = began + self._age, began + min(self._settled, served)
                lease = Lease(answer, until, settled, bounds_tokens=bounds_tokens(purse))
                some.append(lease)
                home.leases[lease] = plan
                self._leases[lease] = heat
                heat.ahead.append(lease)
                continue
            home.sliced -= wanted.nanos
            if isinstance(answer, Refusal):  # somebody was faster
                if answer.first:
                    heat.refused_first(answer)
            elif not isinstance(answer, LedgerDown):
                raise answer
        self.taken += len(some)
        if heat.lease is None:
            heat.next()

    def next(self, heat: Heat) -> Lease | None:
        """The lease that comes after one that does not do any more."""
        used = heat.lease
        heat.next()
        if used is not None:
            self.close(used, heat)
        return heat.lease

    def overrun(self, lease: Lease) -> None:
        """Its calls did cost more than it holds: what is beyond that only we know of yet."""
        lease.hand_over_at = lease.until = self._clock()
        self.close(lease, self._leases[lease])

    def close(self, lease: Lease, heat: Heat) -> None:
        lease.closed = True
        heat.drop(lease)
        if lease.finished:
            self.end(lease)

    def end(self, lease: Lease) -> None:
        """Settle it: nothing of it is under way."""
        heat = self._leases.pop(lease)
        lease.closed = True
        heat.drop(lease)
        hold = lease.hold
        home = self._homes[hold.purse.home]
        home.drop(lease)
        if not lease.parts:
            self._begin(home.name, self._ledger.void(home.name, hold.id))
            return
        self._ledger.settle(hold, lease.cost, tuple(lease.parts))
        home.written(len(lease.parts))
        share = home.share_to_keep()
        if share is not None:
            self._begin(home.name, self._ledger.trim(home.name, share))

    async def _hand_over(self, lease: Lease) -> None:
        """From now on the ledger holds each call that is under way by itself; then end it. In
        another period than it began in, a call would count in that.
        """
        heat, purse = self._leases[lease], lease.hold.purse
        end = self._homes[purse.home].leases[lease].end
        lease.hand_over_at = self._clock() + COOL_S
        for hold_id, (hold, life) in [*lease.open.items()]:
            in_time = self._closing or self._ledger.plan(purse)[1] <= end - CLOCK_S
            if in_time and hold_id in lease.open and hold_id not in lease.stay:
                try:
                    answer = await self._ledger.reserve(purse, hold_id, hold.amounts, life)
                except LedgerDown:  # that name is being given back, and must not be held again
                    lease.stay.add(hold_id)
                    continue
                if isinstance(answer, Refusal):
                    if answer.first:
                        heat.refused_first(answer)
                    continue
                heat.warned += answer.warned
                if hold_id in lease.open:
                    lease.release(hold_id)
                    del self.open[hold_id]
                    self.theirs.add(hold_id)
                else:  # it has ended meanwhile
                    await self._ledger.void(purse.home, hold_id)
        if lease.finished and lease in self._leases:
            self.end(lease)

    async def _keep(self) -> None:
        while True:
            await self._sleep(TICK_S)
            # Not cancelled with the keeper: what it asked for and did not hear would be given back.
            await asyncio.wait([self._begin("", self.tick())])

    async def quiet(self, home: str) -> LeasedHome | None:
        """What is leased of a home, when nothing about that is on its way."""
        while mine := [task for task, whose in self.tasks.items() if whose == home]:
            await asyncio.wait(mine)
        return self._homes.get(home)

    def _begin(self, home: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks[task] = home
        task.add_done_callback(self.tasks.pop)
        return task

    async def tick(self) -> None:
        """Settle what is old, and hand over what is under way for long."""
        now = self._clock()
        for lease, heat in [*self._leases.items()]:
            if now >= lease.until and lease in self._leases:
                self.close(lease, heat)
                if now >= lease.hand_over_at and lease in self._leases:
                    await self._hand_over(lease)

    async def recall(self) -> None:
        """End all leases now. A call under way that cannot be held by itself keeps its own."""
        while self.tasks:
            await asyncio.wait(self.tasks)
        for lease, heat in [*self._leases.items()]:
            if lease in self._leases:
                self.close(lease, heat)
            if lease in self._leases:
                await self._hand_over(lease)
        while self.tasks:
            await asyncio.wait(self.tasks)

    def written(self, home: str) -> None:
        """An entry of a call that no lease served."""
        known = self._homes.get(home)
        if known is not None:
            known.written(1)

    async def end_all(self, home: str) -> bool:
        """Settle what can be, of what is held ahead of a home. Whether anything was."""
        known = await self.quiet(home)
        ended = False
        for lease in [*known.leases] if known is not None else []:
            self.close(lease, self._leases[lease])
            ended = ended or lease not in self._leases
        await self.quiet(home)
        return ended

    async def aclose(self) -> None:
        """Everything is settled, and nothing more is taken."""
        await self.stop()
        await self.recall()

    async def stop(self) -> None:
        self._closing = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
