"""The ledger in this process's memory: the reference model for the Redis ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from gateway.core.accounts import (
    Amounts,
    Balance,
    Hold,
    Purse,
    Refusal,
    Warned,
    bounded,
    checked,
)
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.ports import DONE, Observer
from gateway.core.records.entry import Charged, Counter, Entry, of_meter
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.memory_books import CHARGED_S, Books, Held, Places, line_of
from gateway.drivers.ledger.plans import Calendar, Limit, Line, Plan, make_plan

_FORGET_EVERY: Final = 1_000
_MAX_PLANS: Final = 4_096
"""Purses with a cached plan."""


def _ignore(_: Event) -> None:
    pass


class MemoryLedger:
    """Budgets of one process. `clock` gives Unix seconds. Everything is lost with the process."""

    def __init__(
        self,
        clock: Callable[[], float],
        ttl_s: float = 600.0,
        observe: Observer = _ignore,
        max_entries: int = 100_000,
    ) -> None:
        self._clock = clock
        self._ttl = ttl_s
        self._observe = observe
        self._max_entries = max_entries
        self._calendar = Calendar()
        self._plans: dict[Purse, Plan] = {}
        self._books: dict[str, Books] = {}
        self._operations = 0

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        checked(amounts)
        self._plan(purse)
        await asyncio.sleep(0)  # yield, as a real ledger does
        books, now = self._expire(purse.home)
        if held := books.hold(hold_id, now):
            if held.state not in {"open", "expired"}:
                raise LedgerDown("the ledger is unavailable (void)")
            return Hold(hold_id, purse, held.amounts, held.left)
        attempt = _ReserveAttempt(books, self._plan(purse), life or hold_id, amounts, now)
        refusal = attempt.refusal()
        if refusal is not None:
            return refusal
        held = attempt.take(now + self._ttl, purse.tenant)
        books.open[hold_id] = held
        return Hold(hold_id, purse, amounts, held.left, attempt.warned())

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        purse, cost, now = hold.purse, bounded(actual), self._clock()
        if not self._books_of(purse.home).settle(hold.id, cost, record, now):
            whole = Amounts(cost.nanos, cost.tokens, hold.amounts.requests)
            self._charge(purse, hold.id, now, whole, record)
        return DONE

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        self._charge(purse, call, at, bounded(actual), record)
        await asyncio.sleep(0)

    def leave(self, purse: Purse, life: str) -> None:
        self._books_of(purse.home).leave(life)

    def renew_places(self) -> None:
        now = self._clock()
        for books in self._books.values():
            books.renew_places(now, now + self._ttl)

    async def void(self, home: str, hold_id: str) -> None:
        """Release a hold whose call was never made, also one that is yet to arrive."""
        await asyncio.sleep(0)
        self._books_of(home).void(hold_id, self._clock())

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        await asyncio.sleep(0)
        books, now = self._expire(purse.home)
        plan = self._plan(purse)
        amounts = []
        for line in plan.lines:
            bucket = books.bucket(line.key, now)
            amounts.append((bucket.spent_now(now), bucket.held) if bucket else (0, 0))
        for line in plan.places:
            places = books.places.get(line.key)
            amounts.append((0, places.count_now(now) if places else 0))
        return tuple(Balance(*limit, *amounts[at]) for limit, at in plan.rows)

    async def open_holds(self, home: str) -> int:
        await asyncio.sleep(0)
        return len(self._expire(home)[0].open)

    async def sweep(self, homes: Iterable[str]) -> list[HoldsExpired]:
        await asyncio.sleep(0)
        swept: list[HoldsExpired] = []
        for home in homes:
            self._expire(home, swept.append)
        return swept

    async def first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        await asyncio.sleep(0)
        now = self._clock()
        known = [self._books.get(home) for home in homes]
        firsts = (
            min((h.until for h in b.open.values()), default=None) if b else None for b in known
        )
        return [None if first is None else first - now for first in firsts]

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        await asyncio.sleep(0)
        seq = int(after.partition("-")[0] or 0)
        return tuple(islice((e for e in self._books_of(home).entries if e.seq > seq), count))

    async def counted(self, home: str) -> dict[Counter, int]:
        await asyncio.sleep(0)
        return self._books_of(home).counted(self._clock())

    async def load(
        self,
        home: str,
        spent: Mapping[Counter, int],
        *,
        epoch: str = "",
        after: Iterable[str] = (),
        seq: int = 0,
        newest: str | None = None,
        force: bool = False,
    ) -> int | None:
        """There is only one epoch here: nothing outlives the process."""
        lines = {counter: line_of(home, counter[0], round(self._ttl * 1_000)) for counter in spent}
        await asyncio.sleep(0)
        books, now = self._books_of(home), self._clock()
        if books.open and not force:
            return len(books.open)
        if newest not in {None, books.newest}:
            return None
        for line in lines.values():
            books.ensure_bucket(line, now).spent = {}
        for (key, slot), amount in spent.items():
            books.buckets[key].spent[slot] = amount
        books.seq = max(books.seq, seq)
        return 0

    async def aclose(self) -> None:
        """Nothing is owed."""

    def _books_of(self, home: str) -> Books:
        books = self._books.get(home)
        if books is None:
            books = self._books[home] = Books(self._max_entries)
        return books

    def _plan(self, purse: Purse, at: float | None = None) -> Plan:
        now = self._clock() if at is None else at
        plan = self._plans.get(purse)
        if plan is None or not plan.start <= now < plan.end:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = make_plan(purse, self._calendar, now, round(self._ttl * 1_000))
            self._plans[purse] = plan
        return plan

    def _charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None
    ) -> None:
        books, now = self._books_of(purse.home), self._clock()
        if now < books.charged.get(call, 0):
            return
        books.charged[call] = now + CHARGED_S
        charged = []
        for line in self._plan(purse, at).lines:
            slot = 0
            if line.slot_ms:
                slot = min(int(at * 1_000), int(now * 1_000)) // line.slot_ms
            if line.slot_ms or not 0 < line.expires <= now:
                books.ensure_bucket(line, now)
            charged.append(Charged(line.key, line.meter, slot))
        books.write_entry("charged", call, actual, tuple(charged), record, now)

    def _expire(
        self, home: str, report: Callable[[HoldsExpired], None] = _ignore
    ) -> tuple[Books, float]:
        books, now = self._books_of(home), self._clock()
        self._operations += 1
        if self._operations % _FORGET_EVERY == 0:
            books.forget(now)
        if late := books.expire(now):
            event = HoldsExpired(home, len(late), Nanos(sum(h.amounts.nanos for h in late)))
            self._observe(event)
            report(event)
        return books, now


class _ReserveAttempt:
    """One reserve against all budgets of a purse."""

    def __init__(self, books: Books, plan: Plan, life: str, amounts: Amounts, now: float) -> None:
        self.books = books
        self.plan = plan
        self.life = life
        self.amounts = amounts
        self.now = now
        self.left: int | None = None
        self._warnings: list[tuple[Limit, Line, int, int]] = []

    def refusal(self) -> Refusal | None:
        for limit, line in self.plan.limits:
            amount, total = self._demand(line)
            budget = limit.budget
            exceeded = total > budget.cap and amount > 0
            if exceeded and budget.mode == "hard":
                return self._refuse(limit, line, total, amount)
            if budget.mode == "shadow":
                self._warnings += [(limit, line, 0, total)] if exceeded else []
            elif total >= budget.cap - budget.cap // 5:
                self._warnings.append((limit, line, 100 if total >= budget.cap else 80, total))
            if line.meter == "usd" and budget.mode == "hard":
                left = max(budget.cap - total, 0)
                self.left = left if self.left is None else min(self.left, left)
        return None

    def take(self, until: float, tenant: str) -> Held:
        charged = []
        for line in self.plan.lines:
            bucket = self.books.ensure_bucket(line, self.now)
            bucket.held += of_meter(self.amounts, line.meter)
            charged.append(Charged(line.key, line.meter, bucket.slot(self.now)))
        for line in self.plan.places:
            self.books.take_place(line.key, self.life, until)
        left = None if self.left is None else Nanos(self.left)
        return Held("open", until, self.amounts, left, self.life, tenant, tuple(charged))

    def warned(self) -> tuple[Warned, ...]:
        result = []
        for limit, line, percent, total in self._warnings:
            first = self._first(limit, line, percent)
            result.append(
                Warned(*limit, 80 if percent == 80 else 100, first, total, line.resets_at)
            )
        return tuple(result)

    def _demand(self, line: Line) -> tuple[int, int]:
        """The amount for a line, and what would then be spent and held of it."""
        if line.meter == "at_once":
            places = self._places(line)
            taken = places.count_now(self.now)
            amount = 0 if self.life in places.lives else 1
            return amount, taken + amount
        amount = of_meter(self.amounts, line.meter)
        bucket = self.books.bucket(line.key, self.now)
        return amount, amount + (bucket.spent_now(self.now) + bucket.held if bucket else 0)

    def _refuse(self, limit: Limit, line: Line, total: int, amount: int) -> Refusal:
        cap = limit.budget.cap
        resets_at: float | None = line.resets_at
        if line.slot_ms:
            bucket = self.books.ensure_bucket(line, self.now)
            resets_at = bucket.resets_at(self.now, total - cap)
        first = self._first(limit, line, 100)
        left = max(cap - total + amount, 0)
        return Refusal(*limit, left, resets_at, self.now, first, amount)

    def _first(self, limit: Limit, line: Line, percent: int) -> bool:
        if not percent:
            return True
        at_once = line.meter == "at_once"
        counted = self._places(line) if at_once else self.books.ensure_bucket(line, self.now)
        return counted.mark_first(self.now, limit.budget, percent)

    def _places(self, line: Line) -> Places:
        return self.books.places.setdefault(line.key, Places())
