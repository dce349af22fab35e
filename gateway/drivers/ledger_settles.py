"""Settles, and what is sent in their place: carried out in the background, in the order of asking.

What does not get through is owed, and tried again; see ledger_debts.
"""

import asyncio
from collections.abc import Awaitable
from functools import cached_property
from typing import Any

from gateway.core.accounts import Amounts, Hold, Purse, bounded
from gateway.core.events import LedgerTook
from gateway.core.ports import Clock, Observer
from gateway.core.usage_record import UsageRecord
from gateway.drivers.ledger_debts import Debts
from gateway.drivers.ledger_homes import DataLost, Homes
from gateway.drivers.ledger_plans import Plan
from gateway.drivers.redis_wire import RedisError


class Settles:
    """Of one ledger."""

    def __init__(self, homes: Homes, debts: Debts, clock: Clock, observe: Observer) -> None:
        self._homes = homes
        self._debts = debts
        self._clock = clock
        self._observe = observe
        self._under_way: set[asyncio.Future[Any]] = set()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Looked for once: on Python 3.11 each look is a system call."""
        return asyncio.get_running_loop()

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        home = self._homes.home(hold.purse.home)
        command = home.commands.settle(hold.id, bounded(actual), record)
        settled = self._settled(hold, actual, record, command, self._homes.send(command))
        settling = self._loop.create_task(settled)
        self._under_way.add(settling)
        settling.add_done_callback(self._under_way.discard)
        return settling

    async def _settled(
        self,
        hold: Hold,
        actual: Amounts,
        record: UsageRecord | None,
        command: bytes,
        answer: Awaitable[Any],
    ) -> None:
        home = self._homes.home(hold.purse.home)
        began = self._clock()
        error = None
        before = home.seq
        try:
            reply = await self._homes.answered(command, answer)
            if reply[0] == 0:
                error = "unknown"
                self._homes.is_now(reply[2])
                await self.deliver("charge", self._instead(hold, actual, record))
            home.saw(reply[1], before)
        except DataLost as failure:  # it is settled all the same
            error = failure.kind
        except RedisError as failure:
            error = failure.kind
            instead = self._instead(hold, actual, record)
            self._debts.add("settle", command, instead, maybe=failure.sent)
        except asyncio.CancelledError:
            error = "cancelled"
            self._debts.add("settle", command, self._instead(hold, actual, record), maybe=True)
            raise
        finally:
            self._observe(LedgerTook("settle", self._clock() - began, error))

    async def deliver(self, op: str, command: bytes) -> None:
        """Now, or as soon as the server can be reached."""
        began = self._clock()
        error = None
        try:
            await self._homes.run(command)
        except RedisError as failure:
            error = failure.kind
            self._debts.add(op, command)
        except asyncio.CancelledError:
            error = "cancelled"
            self._debts.add(op, command)
            raise
        finally:
            self._observe(LedgerTook(op, self._clock() - began, error))

    def leave(self, home: str, life: str) -> None:
        """Give back the places of a life."""
        command = self._homes.home(home).commands.leave(life)

        def left(answer: "asyncio.Future[Any]") -> None:
            self._under_way.discard(answer)
            if answer.cancelled() or answer.exception() is not None:
                self._debts.add("leave", command)

        leaving = asyncio.ensure_future(self._homes.send(command))
        self._under_way.add(leaving)
        leaving.add_done_callback(left)

    async def over(self, within_s: float) -> None:
        """Wait for what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=within_s)

    def _instead(self, hold: Hold, actual: Amounts, record: UsageRecord | None) -> bytes:
        """What charges a call whose hold the ledger does not know, as of now."""
        whole = Amounts(actual.nanos, actual.tokens, hold.amounts.requests)
        plan = self._homes.plan(hold.purse, self._homes.now())
        return self.charging(hold.purse, plan, (hold.id, 0.0), whole, record)

    def charging(
        self,
        purse: Purse,
        plan: Plan,
        call: tuple[str, float],
        actual: Amounts,
        record: UsageRecord | None,
    ) -> bytes:
        commands = self._homes.home(purse.home).commands
        return commands.charge(plan, purse.tenant, call, bounded(actual), record)
