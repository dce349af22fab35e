"""The ledger in this process's memory: the reference model that the Redis ledger is held to."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse, Refusal
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.periods import Period, period
from gateway.core.ports import Observer
from gateway.core.usage_record import UsageRecord

_KEPT_S: Final = 40 * 86_400.0
"""How long after its end a period is remembered."""
_CORRECTABLE_S: Final = 86_400.0
"""How long after its expiry a hold can still be settled at its true cost."""
_Slot = tuple[str, str, str, str]
"""Tenant, scope, account, period id."""


def _ignore(_: Event) -> None:
    pass


@dataclass
class _Bucket:
    """What an account spent and has on hold in one period."""

    end: float
    spent: int = 0
    held: int = 0


@dataclass
class _Record:
    hold: Hold
    buckets: list[_Bucket]
    expires: float


@dataclass
class _Books:
    """One tenant's holds."""

    open: dict[str, _Record] = field(default_factory=dict)
    expired: dict[str, _Record] = field(default_factory=dict)
    void: set[str] = field(default_factory=set)


class MemoryLedger:
    """Budgets of one process. `clock` gives Unix seconds. Everything is lost with the process."""

    def __init__(
        self, clock: Callable[[], float], ttl_s: float = 600.0, observe: Observer = _ignore
    ) -> None:
        self._clock = clock
        self._ttl = ttl_s
        self._observe = observe
        self._buckets: dict[_Slot, _Bucket] = {}
        self._books: dict[str, _Books] = {}
        self._prune_at = 1_000

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        amount = amounts.nanos
        if amount < 0:
            raise ValueError(f"a hold cannot be negative: {amount}")
        await asyncio.sleep(0)  # a real ledger is never there at once
        self._expire(purse.home)
        books = self._of(purse.home)
        if hold_id in books.void:
            raise LedgerDown("the ledger is unavailable (void)")
        if record := books.open.get(hold_id) or books.expired.get(hold_id):
            return structs.replace(record.hold, purse=purse)

        left: int | None = None
        touched: dict[int, _Bucket] = {}
        for account, budget, span, bucket in self._lines(purse):
            rest = budget.cap - bucket.spent - bucket.held
            if amount > rest:
                return Refusal(account, budget, max(rest, 0), span.end)
            left = rest - amount if left is None else min(left, rest - amount)
            touched[id(bucket)] = bucket
        for bucket in touched.values():
            bucket.held += amount
        hold = Hold(hold_id, purse, amounts, None if left is None else Nanos(left))
        books.open[hold_id] = _Record(hold, [*touched.values()], self._clock() + self._ttl)
        return hold

    async def settle(self, hold: Hold, actual: Amounts, record: UsageRecord | None = None) -> None:
        # At once: a caller that is cancelled while it waits has settled nevertheless.
        self._close(hold.purse.home, hold.id, max(actual.nanos, 0))
        await asyncio.sleep(0)

    def leave(self, purse: Purse, life: str) -> None:
        pass

    async def void(self, tenant: str, hold_id: str) -> None:
        """Give a hold back whose call was surely never made, also one that is yet to arrive."""
        await asyncio.sleep(0)
        self._close(tenant, hold_id, 0)
        self._of(tenant).void.add(hold_id)

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        await asyncio.sleep(0)
        self._expire(purse.home)
        return tuple(
            Balance(account, budget, bucket.spent, bucket.held)
            for account, budget, _, bucket in self._lines(purse)
        )

    async def open_holds(self, tenant: str) -> int:
        await asyncio.sleep(0)
        self._expire(tenant)
        return len(self._of(tenant).open)

    async def sweep(self, tenants: Iterable[str]) -> list[HoldsExpired]:
        await asyncio.sleep(0)
        return [event for tenant in tenants if (event := self._expire(tenant))]

    async def aclose(self) -> None:
        """Nothing is owed."""

    def _of(self, tenant: str) -> _Books:
        return self._books.setdefault(tenant, _Books())

    def _lines(self, purse: Purse) -> Iterator[tuple[Account, Budget, Period, _Bucket]]:
        """Every budget of the purse, with its current period and what that has seen."""
        now = self._clock()
        for account in purse.accounts:
            for budget in account.budgets:
                span = period(budget.per, account.timezone, now)
                slot = (purse.home, account.scope, account.name, span.id)
                bucket = self._buckets.get(slot)
                if bucket is None:
                    self._prune(now)
                    end = float("inf") if span.end is None else float(span.end)
                    bucket = self._buckets[slot] = _Bucket(end)
                yield account, budget, span, bucket

    def _prune(self, now: float) -> None:
        if len(self._buckets) < self._prune_at:
            return
        self._buckets = {s: b for s, b in self._buckets.items() if now < b.end + _KEPT_S}
        self._prune_at = 2 * len(self._buckets) + 1_000

    def _close(self, tenant: str, hold_id: str, actual: int) -> None:
        books = self._of(tenant)
        if record := books.open.pop(hold_id, None):
            for bucket in record.buckets:
                bucket.held -= record.hold.amounts.nanos
                bucket.spent += actual
        elif record := books.expired.pop(hold_id, None):
            for bucket in record.buckets:
                bucket.spent += actual - record.hold.amounts.nanos

    def _expire(self, tenant: str) -> HoldsExpired | None:
        now = self._clock()
        books = self._of(tenant)
        late = [record for record in books.open.values() if record.expires <= now]
        for record in late:
            books.expired[record.hold.id] = books.open.pop(record.hold.id)
            for bucket in record.buckets:
                bucket.held -= record.hold.amounts.nanos
                bucket.spent += record.hold.amounts.nanos
        gone = [i for i, r in books.expired.items() if r.expires + _CORRECTABLE_S <= now]
        for hold_id in gone:
            del books.expired[hold_id]
        if not late:
            return None
        event = HoldsExpired(
            tenant, len(late), Nanos(sum(record.hold.amounts.nanos for record in late))
        )
        self._observe(event)
        return event
