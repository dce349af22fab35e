"""Settles, and what is sent in their place: carried out in the background, in the order of asking.

What does not get through is owed, and tried again; see debts.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from msgspec import Struct

from gateway.core.accounts import Amounts, Hold, Purse, bounded
from gateway.core.events import LedgerTook
from gateway.core.leases import Record
from gateway.core.observers import tells
from gateway.core.ports import Clock, Observer
from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import DataLost, Home, Homes
from gateway.drivers.ledger.plans import Plan
from gateway.drivers.redis.wire import RedisError


class _Wishes(Struct, eq=False, kw_only=True):
    """What its callers want beyond its being carried out."""

    waiting: list[asyncio.Future[None]] | None = None
    """One for each who waits for its end."""
    owing: Callable[[], None] | None = None
    """What to do when it would be owed, instead of owing it."""


class Errand(_Wishes):
    """A command under way: it is carried out, or owed. The connection tells it the answer, so it
    needs no task, which costs 8 us, nor a future, unless somebody waits. Who does may give up.

    `began` is in monotonic seconds.
    """

    of: "Settles"
    op: str
    command: bytes
    began: float

    def set_result(self, _: Any) -> None:
        self.end(None)

    def set_exception(self, error: RedisError) -> None:
        if self not in self.of.under_way:
            return
        instead = self.of.homes.mended(self.command, error)
        if instead is not None:
            self.of.homes.send(instead, self)
        else:
            self.owe(maybe=error.sent)
            self.end(error.kind)

    def give_up(self) -> None:
        if self in self.of.under_way:
            self.owe(maybe=True)
            self.end("cancelled")

    def owe(self, *, maybe: bool) -> None:
        """`maybe`: it may have been executed."""
        if self.owing is None:
            self.of.debts.add(self.op, self.command)
        else:
            self.owing()

    def end(self, error: str | None) -> None:
        """Once: an answer may come after it was given up."""
        of = self.of
        try:
            of.under_way.remove(self)
        except KeyError:
            return
        if self.waiting is not None:
            for each in self.waiting:
                if not each.done():
                    each.set_result(None)
        if self.op != "leave":
            of.took(LedgerTook(self.op, of.clock() - self.began, error))

    def ended(self) -> asyncio.Future[None]:
        """Done when it is; each who waits has one."""
        future = asyncio.get_running_loop().create_future()
        if self not in self.of.under_way:
            future.set_result(None)
        elif self.waiting is None:
            self.waiting = [future]
        else:
            self.waiting.append(future)
        return future

    def __await__(self) -> Generator[Any, None, None]:
        return self.ended().__await__()


class Settle(Errand):
    """`before` is what was known of its home's entries when it was sent."""

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
        elif self in self.of.under_way:
            self._unusual(reply)

    def owe(self, *, maybe: bool) -> None:
        self.of.debts.add("settle", self.command, self._instead(), maybe=maybe)

    def _unusual(self, reply: Any) -> None:
        """A later answer came first, or the data is not what it was; or the hold is unknown."""
        seq, error, charge = reply, None, None
        if isinstance(reply, list):
            _, seq, now = reply
            self.of.homes.is_now(now)
            error, charge = "unknown", self.of.begin("charge", self._instead())
        try:
            self.home.saw(seq, self.before)
        except DataLost as failure:  # it is settled all the same
            error = failure.kind
        if charge is None:
            self.end(error)
        else:
            charge.ended().add_done_callback(lambda _: self.end(error))

    def _instead(self) -> bytes:
        """What charges a call whose hold the ledger does not know, as of now."""
        hold, actual, homes = self.hold, self.actual, self.of.homes
        whole = Amounts(actual.nanos, actual.tokens, hold.amounts.requests)
        plan = homes.plan(hold.purse, homes.now())
        return self.of.charging(hold.purse, plan, (hold.id, 0.0), whole, self.record)


class Settles:
    """Of one ledger. `under_way` is what no answer has come to yet."""

    def __init__(self, homes: Homes, debts: Debts, clock: Clock, observe: Observer) -> None:
        self.homes = homes
        self.debts = debts
        self.clock = clock
        self.took = tells(observe)[LedgerTook]
        self.under_way: set[Errand] = set()

    def settle(self, hold: Hold, actual: Amounts, record: Record | None = None) -> Awaitable[None]:
        """Who waits for it need not, and may give up: it goes on."""
        home, _ = self.homes.whose(hold.purse)
        command = home.commands.settle(hold.id, bounded(actual), record)
        settle = Settle(self, "settle", command, self.clock(), home, home.seq, hold, actual, record)
        self.under_way.add(settle)
        self.homes.send(command, settle)
        return settle

    def begin(self, op: str, command: bytes, owing: Callable[[], None] | None = None) -> Errand:
        """Now, or as soon as the server can be reached."""
        errand = Errand(self, op, command, self.clock(), owing=owing)
        self.under_way.add(errand)
        self.homes.send(command, errand)
        return errand

    async def wait(self, within_s: float) -> None:
        """Wait for what is under way, and for what follows from its answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while self.under_way and (rest := until - loop.time()) > 0:
            await asyncio.wait([each.ended() for each in self.under_way], timeout=rest)

    async def aclose(self, within_s: float) -> None:
        """What is not answered by then is owed."""
        await self.wait(within_s)
        for each in [*self.under_way]:
            each.give_up()

    def charging(
        self,
        purse: Purse,
        plan: Plan,
        call: tuple[str, float],
        actual: Amounts,
        record: Record | None,
    ) -> bytes:
        commands = self.homes.home(purse.home).commands
        return commands.charge(plan, purse.tenant, call, bounded(actual), record)
