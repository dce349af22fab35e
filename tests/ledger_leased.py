"""A leased ledger for tests: it leases whatever it can, as soon as it can."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress

from gateway.core.accounts import Amounts, Hold, Purse, Refusal, checked
from gateway.core.ports import Clock
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.lease_keeper import SETTLED_S
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from tests.ledger_bench import Bench

_NUMBERS = itertools.count()
EAGER = Leasing(nanos=2**60, calls_per_s=1, share=2, least=1)


async def never(_: float) -> None:
    """Time passes when a test says so: it asks for each `tick`."""
    await asyncio.Event().wait()


class EagerlyLeased(LeasedLedger):
    def __init__(self, ledger: RedisLedger, clock: Clock, leasing: Leasing = EAGER) -> None:
        self.inner = ledger
        super().__init__(
            ledger, leasing, clock=clock, new_id=lambda: f"lease-{next(_NUMBERS)}", sleep=never
        )
        self.first_expiry = self._first_expiry

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        """Out of a lease, if there can be one: also the first of all."""
        await self.ticked()
        with suppress(ValueError, KeyError):  # who asks for what cannot be is told so below
            self.inner.plan(purse)
            now = self._clock()
            heat = self._keeper.heats.record_call(purse, now)
            if heat.lease is None:
                self._keeper.request_leases(heat, purse, checked(amounts), now)
        await self._keeper.wait_quiet(purse.home)
        return await super().reserve(purse, hold_id, amounts, life)

    async def ticked(self) -> None:
        """A tick, and all that comes of it."""
        await self.tick()
        while tasks := self._keeper.tasks:
            await asyncio.wait(tasks)

    async def _first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        """Not of a lease that serves nobody just now."""
        for home in homes:
            await self._keeper.end_all(home)
        return await self.inner.first_expiry(homes)


class LeasedBench(Bench):
    longer_s = SETTLED_S
    """What a lease served is held by itself, and anew, when it has gone on for so long."""

    async def wait(self, seconds: float) -> None:
        assert isinstance(self.ledger, EagerlyLeased)
        until = self.time.now + seconds
        while self.time.now < until:
            self.time.move(min(SETTLED_S, until - self.time.now))
            if self.time.now < until:
                await self.ledger.ticked()
