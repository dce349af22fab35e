"""The ledger in Redis (6.2 or newer) or Valkey: one atomic script an operation.

The scripts and their keys are described in ledger_scripts/expire.lua. Periods follow Redis' own
clock: each command names the seconds it was made for, and a script that finds itself outside says
what time it is. So a wrong clock here costs one more round trip, and never counts in a wrong
period.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from gateway.core.accounts import Amounts, Balance, Hold, Purse, Refusal
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired, LedgerTook
from gateway.core.money import Nanos
from gateway.core.ports import Clock, Observer
from gateway.core.usage_record import UsageRecord
from gateway.drivers.ledger_commands import (
    LOAD,
    Calendar,
    Plan,
    TenantCommands,
    make_plan,
    read_balances,
    tenant_commands,
    with_hold,
)
from gateway.drivers.ledger_debts import Debts
from gateway.drivers.redis_connection import RedisConnection, RedisError

_REMEMBERED: Final = 4_096
"""Purses and tenants whose commands are kept ready; each user has a purse of its own."""
_TRIES: Final = 3
_LARGEST: Final = 2**53 - 1


def _ignore(_: Event) -> None:
    pass


class RedisLedger:
    """One connection, for use on one event loop. `timeout_s` bounds each operation; what cannot
    be answered in it is LedgerDown, also when the server refuses (READONLY, OOM, a key of a wrong
    type: see the `error` of LedgerTook).

    `clock` gives monotonic seconds. `ttl_s` is how long a hold may stay open.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float = 600.0,
        timeout_s: float = 0.25,
        probe_s: float = 1.0,
        observe: Observer = _ignore,
        clock: Clock = time.monotonic,
    ) -> None:
        self._connection = RedisConnection(url, timeout_s=timeout_s, greeting=LOAD, probe_s=probe_s)
        self._ttl_ms = round(ttl_s * 1_000)
        self._timeout = timeout_s
        self._observe = observe
        self._clock = clock
        self._debts = Debts(self._run, clock, observe)
        self._ahead = 0.0
        self._calendar = Calendar()
        self._plans: dict[Purse, Plan] = {}
        self._tenants: dict[str, TenantCommands] = {}

    @property
    def owed(self) -> int:
        """How many settles and voids did not get through yet."""
        return len(self._debts)

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        amount = amounts.nanos
        if not 0 <= amount <= _LARGEST:
            raise ValueError(f"not an amount that can be held: {amount}")
        began = self._clock()
        error = None
        try:
            for _ in range(_TRIES):
                plan = self._plan(purse)
                reply = await self._run(with_hold(plan.reserve, hold_id, amount))
                self._tell_expired(purse.home, reply)
                answer = self._reserved(reply, plan, purse, hold_id)
                if answer is not None:
                    return answer
            error = "when"
            raise LedgerDown("the ledger's clock does not stand still")
        except RedisError as failure:
            error = failure.kind
            if failure.sent:
                self._owe_void(purse.home, hold_id)
            raise LedgerDown(f"the ledger is unavailable ({error})") from failure
        except asyncio.CancelledError:
            error = "cancelled"
            self._owe_void(purse.home, hold_id)
            raise
        finally:
            self._observe(LedgerTook("reserve", self._clock() - began, error))

    async def settle(self, hold: Hold, actual: Amounts, record: UsageRecord | None = None) -> None:
        head = self._commands(hold.purse.home).settle
        await self._close("settle", with_hold(head, hold.id, min(max(actual.nanos, 0), _LARGEST)))

    def leave(self, purse: Purse, life: str) -> None:
        pass

    async def void(self, tenant: str, hold_id: str) -> None:
        """Give a hold back whose call was surely never made, also one that is yet to arrive."""
        await self._close("void", with_hold(self._commands(tenant).void, hold_id, 0))

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        for _ in range(_TRIES):
            plan = self._plan(purse)
            reply = await self._ask("balances", purse.home, read_balances(plan))
            if reply[0] != b"when":
                spent, held = reply[3::2], reply[4::2]
                return tuple(
                    Balance(account, budget, spent[at], held[at])
                    for account, budget, at in plan.rows
                )
            self._ahead = reply[3] - self._clock()
        raise LedgerDown("the ledger's clock does not stand still")

    async def open_holds(self, tenant: str) -> int:
        reply = await self._ask("open_holds", tenant, self._commands(tenant).open)
        return int(reply[3])

    async def sweep(self, tenants: Iterable[str]) -> list[HoldsExpired]:
        swept = []
        for tenant in tenants:
            holds = amount = 0
            command = self._commands(tenant).sweep
            while (reply := await self._ask("sweep", tenant, command))[1]:
                holds += reply[1]
                amount += reply[2]
            if holds:
                swept.append(HoldsExpired(tenant, holds, Nanos(amount)))
        return swept

    async def aclose(self) -> None:
        await self._debts.aclose(2 * self._timeout)
        await self._connection.aclose()

    def _reserved(
        self, reply: list[Any], plan: Plan, purse: Purse, hold_id: str
    ) -> Hold | Refusal | None:
        """What the script said; None when it wants to be asked for another period."""
        verdict = reply[0]
        if verdict == b"held":
            left = reply[3]
            return Hold(hold_id, purse, Amounts(reply[4]), left if left >= 0 else None)
        if verdict == b"refused":
            account, budget, resets_at = plan.buckets[reply[3]]
            return Refusal(account, budget, max(reply[4], 0), resets_at)
        if verdict == b"when":
            self._ahead = reply[3] - self._clock()
            return None
        raise RedisError("void", "this hold was given back", sent=False)

    async def _close(self, op: str, command: bytes) -> None:
        began = self._clock()
        error = None
        try:
            await self._run(command)
        except RedisError as failure:
            error = failure.kind
            self._debts.add(op, command)
        except asyncio.CancelledError:
            error = "cancelled"
            self._debts.add(op, command)
            raise
        finally:
            self._observe(LedgerTook(op, self._clock() - began, error))

    async def _ask(self, op: str, tenant: str, command: bytes) -> list[Any]:
        began = self._clock()
        error = None
        try:
            reply: list[Any] = await self._run(command)
        except RedisError as failure:
            error = failure.kind
            raise LedgerDown(f"the ledger is unavailable ({error})") from failure
        finally:
            self._observe(LedgerTook(op, self._clock() - began, error))
        self._tell_expired(tenant, reply)
        return reply

    async def _run(self, command: bytes) -> Any:
        try:
            return await self._connection.call(command)
        except RedisError as error:
            if error.kind == "noscript":
                await asyncio.gather(*map(self._connection.call, LOAD))
                return await self._connection.call(command)
            if error.kind == "readonly":
                self._connection.drop()
            raise

    def _plan(self, purse: Purse) -> Plan:
        now = self._clock() + self._ahead
        plan = self._plans.get(purse)
        if plan is None or not plan.start <= now < plan.end:
            if len(self._plans) >= _REMEMBERED:
                self._plans.clear()
            plan = self._plans[purse] = make_plan(purse, self._calendar, now, self._ttl_ms)
        return plan

    def _commands(self, tenant: str) -> TenantCommands:
        commands = self._tenants.get(tenant)
        if commands is None:
            if len(self._tenants) >= _REMEMBERED:
                self._tenants.clear()
            commands = self._tenants[tenant] = tenant_commands(tenant)
        return commands

    def _owe_void(self, tenant: str, hold_id: str) -> None:
        self._debts.add("void", with_hold(self._commands(tenant).void, hold_id, 0))

    def _tell_expired(self, tenant: str, reply: list[Any]) -> None:
        if reply[1]:
            self._observe(HoldsExpired(tenant, reply[1], reply[2]))
