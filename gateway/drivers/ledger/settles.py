"""Settles, and what is sent in their place: carried out in the background, in the order of asking.

What does not get through is owed, and tried again; see ledger_debts.
"""

import asyncio
from collections.abc import Awaitable
from functools import cached_property
from typing import Any

from gateway.core.accounts import Amounts, Hold, Purse, bounded
from gateway.core.events import LedgerTook
from gateway.core.leases import Record
from gateway.core.ports import Clock, Observer
from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import DataLost, Homes
from gateway.drivers.ledger.plans import Plan
from gateway.drivers.redis.wire import RedisError


def _is_well(answer: "asyncio.Future[Any]", before: int) -> bool:
    """Whether a settle was answered, of a hold that was known, by data that goes on."""
    if answer.cancelled() or answer.exception() is not None:
        return False
    seq = answer.result()
    return type(seq) is int and seq >= before


def _end(settled: "asyncio.Future[None]") -> None:
    if not settled.done():  # who waited may have given up
        settled.set_result(None)


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

    def settle(self, hold: Hold, actual: Amounts, record: Record | None = None) -> Awaitable[None]:
        """Who waits for it need not, and may give up: it goes on."""
        home = self._homes.home(hold.purse.home)
        command = home.commands.settle(hold.id, bounded(actual), record)
        began, before = self._clock(), home.seq
        asked = asyncio.ensure_future(self._homes.send(command), loop=self._loop)
        settled: asyncio.Future[None] = self._loop.create_future()
        self._under_way.add(asked)

        def heard(answer: "asyncio.Future[Any]") -> None:
            self._under_way.discard(answer)
            # A settle that goes well needs no task, which costs a request 8 us.
            if _is_well(answer, before):
                home.saw(answer.result(), before)
                _end(settled)
                self._observe(LedgerTook("settle", self._clock() - began, None))
                return
            last = self._settled(hold, actual, record, command, answer, (began, before))
            task = self._loop.create_task(last)
            self._under_way.add(task)

            def ended(_: "asyncio.Future[None]") -> None:
                self._under_way.discard(task)
                if task.cancelled():  # maybe before its first step
                    instead = self._instead(hold, actual, record)
                    self._debts.add("settle", command, instead, maybe=True)
                _end(settled)

            task.add_done_callback(ended)

        asked.add_done_callback(heard)
        return settled

    async def _settled(
        self,
        hold: Hold,
        actual: Amounts,
        record: Record | None,
        command: bytes,
        answer: Awaitable[Any],
        since: tuple[float, int],
    ) -> None:
        """As it was answered. `since` is when it was asked for, and what was known of its home."""
        home = self._homes.home(hold.purse.home)
        began, before = since
        error = None
        try:
            reply = await self._homes.answered(command, answer)
            seq = reply
            if isinstance(reply, list):
                error = "unknown"
                _, seq, now = reply
                self._homes.is_now(now)
                await self.deliver("charge", self._instead(hold, actual, record))
            home.saw(seq, before)
        except DataLost as failure:  # it is settled all the same
            error = failure.kind
        except RedisError as failure:
            error = failure.kind
            instead = self._instead(hold, actual, record)
            self._debts.add("settle", command, instead, maybe=failure.sent)
        except asyncio.CancelledError:
            error = "cancelled"
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
        """Wait for what is under way, and for what follows from its answer."""
        until = self._loop.time() + within_s
        while self._under_way and (rest := until - self._loop.time()) > 0:
            await asyncio.wait(self._under_way, timeout=rest)

    async def aclose(self, within_s: float) -> None:
        """What is not answered by then is owed."""
        await self.over(within_s)
        for each in [*self._under_way]:
            each.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _instead(self, hold: Hold, actual: Amounts, record: Record | None) -> bytes:
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
        record: Record | None,
    ) -> bytes:
        commands = self._homes.home(purse.home).commands
        return commands.charge(plan, purse.tenant, call, bounded(actual), record)
