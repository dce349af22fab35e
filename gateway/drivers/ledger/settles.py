"""Sends settles, voids, charges and leaves in the background, in order.

What fails is owed, and retried; see debts.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from msgspec import Struct

from gateway.core.accounts import Amounts, Hold, Purse, bounded
from gateway.core.events import LedgerTook
from gateway.core.leases import Record
from gateway.core.observers import handlers_of
from gateway.core.ports import Clock, Observer
from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import DataLost, Home, Homes
from gateway.drivers.ledger.plans import Plan
from gateway.drivers.redis.wire import RedisError


class _Callbacks(Struct, eq=False, kw_only=True):
    """Optional callbacks of a pending command."""

    waiters: list[asyncio.Future[None]] | None = None
    """One future per waiter."""
    on_owed: Callable[[], None] | None = None
    """Called instead of owing the command."""


class PendingCommand(_Callbacks):
    """A command in flight: it succeeds, or is owed. The connection passes it the reply, so it needs
    no task, which costs 8 us, nor a future, unless somebody awaits it. Waiters may be cancelled.

    `began` is in monotonic seconds.
    """

    settles: "Settles"
    op: str
    command: bytes
    began: float

    def set_result(self, _: Any) -> None:
        self.end(None)

    def set_exception(self, error: RedisError) -> None:
        if self not in self.settles.pending:
            return
        repaired = self.settles.homes.repaired_command(self.command, error)
        if repaired is not None:
            self.settles.homes.send(repaired, self)
        else:
            self.owe(maybe_executed=error.sent)
            self.end(error.kind)

    def give_up(self) -> None:
        if self in self.settles.pending:
            self.owe(maybe_executed=True)
            self.end("cancelled")

    def owe(self, *, maybe_executed: bool) -> None:
        """`maybe_executed`: it was sent, but its reply was lost."""
        if self.on_owed is None:
            self.settles.debts.add(self.op, self.command)
        else:
            self.on_owed()

    def end(self, error: str | None) -> None:
        """Idempotent: a reply may come after it was given up."""
        settles = self.settles
        try:
            settles.pending.remove(self)
        except KeyError:
            return
        if self.waiters is not None:
            for each in self.waiters:
                if not each.done():
                    each.set_result(None)
        if self.op != "leave":
            settles.took(LedgerTook(self.op, settles.clock() - self.began, error))

    def done_future(self) -> asyncio.Future[None]:
        """A future that is done when it ends; one per waiter."""
        future = asyncio.get_running_loop().create_future()
        if self not in self.settles.pending:
            future.set_result(None)
        elif self.waiters is None:
            self.waiters = [future]
        else:
            self.waiters.append(future)
        return future

    def __await__(self) -> Generator[Any, None, None]:
        return self.done_future().__await__()


class PendingSettle(PendingCommand):
    """`before` is the number of the home's entries known when it was sent."""

    home: Home
    before: int
    hold: Hold
    actual: Amounts
    record: Record | None

    def set_result(self, reply: Any) -> None:
        home = self.home
        if type(reply) is int and reply >= home.seq:
            home.seq = reply
            self.end(None)
        elif self in self.settles.pending:
            self._handle_unusual(reply)

    def owe(self, *, maybe_executed: bool) -> None:
        self.settles.debts.add(
            "settle", self.command, self._charge_command(), maybe_executed=maybe_executed
        )

    def _handle_unusual(self, reply: Any) -> None:
        """The number of entries went back: a later reply came first, or data was lost. Or the hold
        is unknown.
        """
        seq, error, charge = reply, None, None
        if isinstance(reply, list):
            _, seq, now = reply
            self.settles.homes.set_clock(now)
            error, charge = "unknown", self.settles.send("charge", self._charge_command())
        try:
            self.home.check_seq(seq, self.before)
        except DataLost as failure:  # it is settled all the same
            error = failure.kind
        if charge is None:
            self.end(error)
        else:
            charge.done_future().add_done_callback(lambda _: self.end(error))

    def _charge_command(self) -> bytes:
        """The command that charges the call now, for a hold that the ledger does not know."""
        hold, actual, homes = self.hold, self.actual, self.settles.homes
        whole = Amounts(actual.nanos, actual.tokens, hold.amounts.requests)
        plan = homes.plan(hold.purse, homes.now())
        return self.settles.charge_command(hold.purse, plan, (hold.id, 0.0), whole, self.record)


class Settles:
    """The background commands of one ledger. `pending` have no reply yet."""

    def __init__(self, homes: Homes, debts: Debts, clock: Clock, observe: Observer) -> None:
        self.homes = homes
        self.debts = debts
        self.clock = clock
        self.took = handlers_of(observe)[LedgerTook]
        self.pending: set[PendingCommand] = set()

    def settle(self, hold: Hold, actual: Amounts, record: Record | None = None) -> Awaitable[None]:
        """Sends it at once; awaiting it is optional, and cancelling that does not stop it."""
        home, _ = self.homes.home_of(hold.purse)
        command = home.commands.settle(hold.id, bounded(actual), record)
        pending = PendingSettle(
            self, "settle", command, self.clock(), home, home.seq, hold, actual, record
        )
        self.pending.add(pending)
        self.homes.send(command, pending)
        return pending

    def send(
        self, op: str, command: bytes, on_owed: Callable[[], None] | None = None
    ) -> PendingCommand:
        """Send it now, or as soon as the server is reachable."""
        pending = PendingCommand(self, op, command, self.clock(), on_owed=on_owed)
        self.pending.add(pending)
        self.homes.send(command, pending)
        return pending

    async def wait(self, timeout_s: float) -> None:
        """Wait for pending commands, and for those that their replies cause."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while self.pending and (rest := until - loop.time()) > 0:
            await asyncio.wait([each.done_future() for each in self.pending], timeout=rest)

    async def aclose(self, timeout_s: float) -> None:
        """Wait; then unanswered commands are owed."""
        await self.wait(timeout_s)
        for each in [*self.pending]:
            each.give_up()

    def charge_command(
        self,
        purse: Purse,
        plan: Plan,
        call: tuple[str, float],
        actual: Amounts,
        record: Record | None,
    ) -> bytes:
        commands = self.homes.home(purse.home).commands
        return commands.charge(plan, purse.tenant, call, bounded(actual), record)
