"""What did not get through to Redis yet: kept in memory, and tried again until it does.

Each is idempotent, so one whose answer was lost may be sent again. What is lost with the process
has been charged at its ceiling when its hold expires: never too little.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.core.events import LedgerTook
from gateway.core.ports import Clock, Observer
from gateway.drivers.redis.wire import RedisError

_MOST: Final = 10_000
"""How many settles are kept, and as many leaves beside them: no leave takes a settle's place."""
_UNTIL_S: Final = 86_400.0
"""An expired hold can be corrected for longer, and a charge is known for as long."""
_KNOWN_S: Final = 240.0
"""For less than the time that a server knows of a settled hold."""
_AT_ONCE: Final = 100
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0


class Debt:
    """`instead` is the command to send when the server knows no such hold, unless this one may
    have been executed so long ago that it has forgotten.
    """

    __slots__ = ("command", "instead", "maybe", "op", "since")

    def __init__(self, op: str, command: bytes, instead: bytes | None, since: float) -> None:
        self.op = op
        self.command = command
        self.instead = instead
        self.since = since
        self.maybe = False


class Debts:
    """`send` executes a command and raises RedisError."""

    def __init__(
        self, send: Callable[[bytes], Awaitable[Any]], clock: Clock, observe: Observer
    ) -> None:
        self._send = send
        self._clock = clock
        self._observe = observe
        self._owed: dict[bytes, Debt] = {}
        self._leaves: dict[bytes, Debt] = {}
        """Of requests that were let in, or may have been: see leaves.py."""
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._owed) + len(self._leaves)

    def add(
        self, op: str, command: bytes, instead: bytes | None = None, *, maybe: bool = False
    ) -> None:
        """`maybe`: it was sent, and may have been executed."""
        owed = self._of(op)
        debt = owed.setdefault(command, Debt(op, command, instead, self._clock()))
        debt.maybe = debt.maybe or maybe
        if self._closed:
            self._give_up(debt, "closed")
            return
        if len(owed) > _MOST:
            self._give_up(next(iter(owed.values())), "overflow")  # its hold, or place, ends first
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._pay())

    async def aclose(self, within_s: float) -> None:
        """Try all once more, then give up, as what comes later is at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if len(self):
            self._task = asyncio.get_running_loop().create_task(self._last_rounds())
            await asyncio.wait([self._task], timeout=within_s)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._closed = True
        for debt in self._all():
            self._give_up(debt, "closed")

    def _of(self, op: str) -> dict[bytes, Debt]:
        return self._leaves if op == "leave" else self._owed

    def _all(self) -> list[Debt]:
        """A reserve that is to be turned away is so before its request leaves."""
        return [*self._owed.values(), *self._leaves.values()]

    async def _last_rounds(self) -> None:
        """More than one where an answer says that something else is owed."""
        while len(self) and await self._round():
            pass

    async def _pay(self) -> None:
        wait = _FIRST_WAIT_S
        while len(self):
            await asyncio.sleep(wait)
            wait = _FIRST_WAIT_S if await self._round() else min(2 * wait, _LONGEST_WAIT_S)

    async def _round(self) -> bool:
        """Send what is owed, until an answer stays away. Whether any came."""
        answered = False
        waiting = self._all()
        for start in range(0, len(waiting), _AT_ONCE):
            some = waiting[start : start + _AT_ONCE]
            results = await asyncio.gather(*map(self._try, some))
            answered = answered or any(results)
            if not all(results):
                break
        return answered

    async def _try(self, debt: Debt) -> bool:
        now = self._clock()
        if now - debt.since > _UNTIL_S:
            self._give_up(debt, "late")
            return True
        error = None
        try:
            reply = await self._send(debt.command)
        except RedisError as failure:
            debt.maybe = debt.maybe or failure.sent
            self._observe(LedgerTook(debt.op, self._clock() - now, failure.kind))
            return False
        except asyncio.CancelledError:
            debt.maybe = True
            raise
        self._of(debt.op).pop(debt.command, None)
        if debt.instead is not None and isinstance(reply, list):
            # No such hold: it was settled and that is forgotten, or the ledger has lost it.
            error = "unknown"
            if not debt.maybe or now - debt.since < _KNOWN_S:
                self.add("charge", debt.instead)
        self._observe(LedgerTook(debt.op, self._clock() - now, error))
        return True

    def _give_up(self, debt: Debt, why: str) -> None:
        self._of(debt.op).pop(debt.command, None)
        if debt.op != "leave" or why == "overflow":  # it is no money, but never dropped silently
            self._observe(LedgerTook("give_up", self._clock() - debt.since, why))
