"""The ledger in Redis (6.2 or newer) or Valkey: one atomic script per operation.

The scripts and their keys are described in scripts/prelude.lua. Periods follow the server's clock:
each command contains the time range that it is valid for, and a script that runs outside of it
replies with the time. So a wrong clock here costs one more round trip, and never counts in a wrong
period.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.core.accounts import (
    Amounts,
    Balance,
    Hold,
    Purse,
    Refusal,
    Warned,
    checked,
)
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired, LedgerTook
from gateway.core.money import Nanos
from gateway.core.observers import handlers_of
from gateway.core.ports import Clock, Observer
from gateway.core.records.entry import of_meter
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.book import Book
from gateway.drivers.ledger.commands import SCRIPTS, SWEEP_BATCH, Scripts, reserve_command
from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import TIME, Home, Homes, PreparedPurse, Settings
from gateway.drivers.ledger.leaves import Leaves
from gateway.drivers.ledger.plans import Plan
from gateway.drivers.ledger.settles import Settles
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError

_TRIES: Final = range(4)
_decode_held: Final = msgspec.json.Decoder(tuple[int, Nanos]).decode
"""The number of entries so far, and what is left; -1: unlimited."""


def _ignore(_: Event) -> None:
    pass


class RedisLedger(Book):
    """For use on one event loop. `timeout_s` bounds each operation. A timeout is LedgerDown, as is
    an error of the server (READONLY, OOM, a key of a wrong type: see the `error` of LedgerTook),
    and a home's lost data ("data_lost").

    `clock` gives monotonic seconds. `ttl_s` is how long a hold may stay open, `max_entries` about
    how many entries a home's book keeps. `epoch` is the name for data that has none yet.
    """

    def __init__(  # noqa: PLR0913 - what a test sets, a program leaves
        self,
        url: str,
        *,
        ttl_s: float = 600.0,
        timeout_s: float = 0.25,
        probe_s: float = 1.0,
        observe: Observer = _ignore,
        clock: Clock = time.monotonic,
        max_entries: int = 100_000,
        epoch: str = "",
        scripts: Scripts = SCRIPTS,
    ) -> None:
        connection = open_redis(
            url,
            timeout_s=timeout_s,
            greeting=(*scripts.load, TIME),
            greeted=self._on_greeted,
            probe_s=probe_s,
        )
        self._timeout = timeout_s
        self._observe = observe
        self._took = handlers_of(observe)[LedgerTook]
        self._clock = clock
        self._call = connection.call
        settings = Settings(
            round(ttl_s * 1_000), max_entries, epoch or secrets.token_hex(8), scripts
        )
        super().__init__(Homes(settings, connection, clock, observe), connection)
        self._debts = Debts(self._homes.run, clock, observe)
        self._settles = Settles(self._homes, self._debts, clock, observe)
        self.settle = self._settles.settle
        self._leaves = Leaves(self._settles, self._debts, settings.ttl_ms)
        self.renew_places = self._leaves.renew

    @property
    def owed(self) -> int:
        """How many settles, voids and leaves failed and are being retried."""
        return len(self._debts)

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        checked(amounts)
        began = self._clock()
        prepared = self._homes.prepare(purse, began)
        if prepared.has_places:
            self._leaves.reserve_sent(prepared.home, life or hold_id)
        error = None
        try:
            for _ in _TRIES:
                if prepared.home.lost:
                    prepared = await self._reload(prepared.home, purse)
                home, before = prepared.home, prepared.home.seq
                command = reserve_command(prepared.reserve, hold_id, amounts, life)
                try:
                    reply = await self._call(command)
                except RedisError as failure:
                    reply = await self._homes.retry(command, failure)
                if type(reply) is bytes:
                    seq, left = _decode_held(reply)
                    if not before <= seq <= home.seq:  # a later reply may have come first
                        home.check_seq(seq, before)
                    return Hold(hold_id, purse, amounts, left if left >= 0 else None)
                answer = await self._take_reply(reply, before, prepared, purse, hold_id, amounts)
                if answer is not None:
                    return answer
                prepared = self._homes.prepare(purse, self._clock())
            raise RedisError("when", "the ledger's clock does not stand still", sent=False)
        except RedisError as failure:
            error = failure.kind
            self._leaves.failed(prepared.home, hold_id, life, sent=failure.sent)
            raise LedgerDown(f"the ledger is unavailable ({error})") from failure
        except asyncio.CancelledError:
            error = "cancelled"
            self._leaves.cancelled(prepared.home, hold_id, life)
            raise
        finally:
            self._took(LedgerTook("reserve", self._clock() - began, error))

    async def _reload(self, home: Home, purse: Purse) -> PreparedPurse:
        await self._homes.check_rebuilt(home)
        return self._homes.prepare(purse, self._clock())

    async def _take_reply(
        self,
        reply: list[Any],
        before: int,
        prepared: PreparedPurse,
        purse: Purse,
        hold_id: str,
        amounts: Amounts,
    ) -> Hold | Refusal | None:
        """Observe expired holds, check the home's data, and parse the reply."""
        home = prepared.home
        if reply[1]:
            self._observe(HoldsExpired(home.name, reply[1], reply[2]))
        home.check_seq(reply[3], before)
        answer = _parse_answer(reply, prepared.plan, purse, hold_id, amounts)
        if answer is None:
            await self._homes.handle_verdict(reply, home)
        return answer

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        plan = self._homes.plan(purse, at)
        command = self._settles.charge_command(purse, plan, (call, at), actual, record)
        await self._homes.execute("charge", self._homes.home(purse.home), command)

    def leave(self, purse: Purse, life: str) -> None:
        home, has_places = self._homes.home_of(purse)
        if has_places:
            self._leaves.leave(home, life)

    async def void(self, home: str, hold_id: str) -> None:
        """Release a hold whose call was never made, also one that is yet to arrive."""
        await self._settles.send("void", self._homes.home(home).commands.void(hold_id))

    def plan(self, purse: Purse) -> tuple[Plan, float]:
        """Its buckets as of now, and now in Unix seconds by the ledger's clock, as far as known."""
        return self._homes.prepare(purse, self._clock()).plan, self._homes.now()

    async def sync_clock(self) -> None:
        """Read the server's clock, to a second. Raises LedgerDown."""
        try:
            seconds, *_ = await self._homes.run(self._homes.settings.scripts.time)
        except RedisError as failure:
            raise LedgerDown(f"the ledger is unavailable ({failure.kind})") from failure
        self._homes.set_clock(int(seconds))

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        prepared = self._homes.prepare(purse, self._clock())
        return await self._homes.observed("balances", self._balances(prepared, purse))

    async def _balances(self, prepared: PreparedPurse, purse: Purse) -> tuple[Balance, ...]:
        for _ in _TRIES:
            home, before = prepared.home, prepared.home.seq
            if home.lost:
                await self._homes.check_rebuilt(home)
                before = home.seq
            reply = await self._homes.run_at(
                home, home.commands.balances(prepared.plan, home.epoch)
            )
            if reply[0] == b"balances":
                if home.epoch:  # else it is known to nobody here what this goes on from
                    home.check_seq(reply[3], before)
                spent, held = reply[4::2], reply[5::2]
                rows = prepared.plan.rows
                return tuple(Balance(*limit, spent[at], held[at]) for limit, at in rows)
            await self._homes.handle_verdict(reply, home)
            prepared = self._homes.prepare(purse, self._clock())
        raise RedisError("when", "the ledger's clock does not stand still", sent=False)

    async def open_holds(self, home: str) -> int:
        state = self._homes.home(home)
        reply = await self._homes.execute("open_holds", state, state.commands.open)
        return int(reply[4])

    async def sweep(self, homes: Iterable[str]) -> list[HoldsExpired]:
        swept = []
        for name in homes:
            holds = amount = 0
            home = self._homes.home(name)
            late = SWEEP_BATCH
            while late == SWEEP_BATCH:
                reply = await self._homes.execute("sweep", home, home.commands.sweep)
                late = reply[1]
                holds += late
                amount += reply[2]
            if holds:
                swept.append(HoldsExpired(name, holds, Nanos(amount)))
        return swept

    async def wait_settled(self) -> None:
        """Wait for the replies to settles and leaves."""
        await self._settles.wait(self._timeout)

    async def aclose(self) -> None:
        await self._settles.aclose(self._timeout)
        await self._debts.aclose(2 * self._timeout)
        await self._connection.aclose()

    def _on_greeted(self, answers: list[Any]) -> None:
        self._homes.set_clock(int(answers[-1][0]))


def _parse_warnings(plan: Plan, reply: list[Any]) -> tuple[Warned, ...]:
    warnings = []
    for at in range(5, len(reply), 4):
        number, percent, first, spent = reply[at : at + 4]
        (account, budget), line = plan.limits[number - 1]
        warnings.append(Warned(account, budget, percent, first == 1, spent, line.resets_at))
    return tuple(warnings)


def _parse_answer(
    reply: list[Any], plan: Plan, purse: Purse, hold_id: str, requested: Amounts
) -> Hold | Refusal | None:
    """Parse a reserve's reply other than a plain hold; None if it must be retried."""
    verdict = reply[0]
    if verdict == b"held":
        left = Nanos(reply[4]) if reply[4] >= 0 else None
        return Hold(hold_id, purse, requested, left, _parse_warnings(plan, reply))
    if verdict == b"refused":
        number, rest, now_ms, resets_ms, first = reply[4:]
        (account, budget), line = plan.limits[number - 1]
        resets_at = resets_ms / 1_000 if resets_ms else line.resets_at
        size = 1 if line.meter == "at_once" else of_meter(requested, line.meter)
        return Refusal(account, budget, rest, resets_at, now_ms / 1_000, first == 1, size)
    if verdict == b"again":
        left, nanos, tokens, requests = reply[4:]
        amounts = Amounts(nanos, tokens, requests)
        return Hold(hold_id, purse, amounts, left if left >= 0 else None)
    if verdict == b"void":
        raise RedisError("void", "its time is over", sent=False)
    return None
