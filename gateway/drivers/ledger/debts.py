"""Commands that failed to reach Redis: kept in memory, and retried until they do.

Each is idempotent, so one whose reply was lost may be sent again. If the process dies, the hold
expires and is charged at its ceiling: never too little. One that fails goes to the end of its
queue: a home that cannot be written to must not hold up the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.core.events import LedgerTook
from gateway.core.ports import Clock, Observer
from gateway.drivers.redis.cluster import first_key
from gateway.drivers.redis.wire import RedisError

_MAX_QUEUED: Final = 10_000
"""The most settles that are kept, and separately the most leaves."""
_MAX_AGE_S: Final = 86_400.0
"""Within this time an expired hold can be corrected, and a repeated charge is recognised."""
_REMEMBERED_S: Final = 240.0
"""Less than the time for which the server remembers a settled hold."""
_AT_ONCE: Final = 100
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0


class Debt:
    """`fallback` is sent when the server does not know the hold, unless `command` may have been
    executed so long ago that the server has forgotten it.
    """

    __slots__ = ("command", "fallback", "maybe_executed", "op", "since")

    def __init__(self, op: str, command: bytes, fallback: bytes | None, since: float) -> None:
        self.op = op
        self.command = command
        self.fallback = fallback
        self.since = since
        self.maybe_executed = False


def _since(debt: Debt) -> float:
    return debt.since


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
        """For requests that have, or may have, taken a place: see leaves.py."""
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._owed) + len(self._leaves)

    def add(
        self,
        op: str,
        command: bytes,
        fallback: bytes | None = None,
        *,
        maybe_executed: bool = False,
    ) -> None:
        """`maybe_executed`: it was sent, but its reply was lost."""
        owed = self._queue(op)
        debt = owed.setdefault(command, Debt(op, command, fallback, self._clock()))
        debt.maybe_executed = debt.maybe_executed or maybe_executed
        if self._closed:
            self._give_up(debt, "closed")
            return
        if len(owed) > _MAX_QUEUED:  # the oldest: its hold ends first
            self._give_up(min(owed.values(), key=_since), "overflow")
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._pay())

    async def aclose(self, timeout_s: float) -> None:
        """Try all once more, then give up; anything added later is given up at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if len(self):
            self._task = asyncio.get_running_loop().create_task(self._final_rounds())
            await asyncio.wait([self._task], timeout=timeout_s)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._closed = True
        for debt in (*self._owed.values(), *self._leaves.values()):
            self._give_up(debt, "closed")

    def _queue(self, op: str) -> dict[bytes, Debt]:
        return self._leaves if op == "leave" else self._owed

    async def _final_rounds(self) -> None:
        """More than one round, since a reply may add a fallback."""
        while len(self) and await self._round():
            pass

    async def _pay(self) -> None:
        wait = _FIRST_WAIT_S
        while len(self):
            await asyncio.sleep(wait)
            wait = _FIRST_WAIT_S if await self._round() else min(2 * wait, _LONGEST_WAIT_S)

    async def _round(self) -> bool:
        """Try all, the leaves last, and none of a home where a void is still owed: a late reserve
        must be voided before its request leaves. Whether any succeeded.
        """
        settled = await self._send_all([*self._owed.values()])
        unvoided = {first_key(debt.command) for debt in self._owed.values() if debt.op == "void"}
        leaves = [*self._leaves.values()]
        if unvoided:
            leaves = [debt for debt in leaves if first_key(debt.command) not in unvoided]
        return await self._send_all(leaves) or settled

    async def _send_all(self, waiting: Sequence[Debt]) -> bool:
        """Send them, until as many fail as are sent at once. Whether any succeeded."""
        answered = False
        for start in range(0, len(waiting), _AT_ONCE):
            batch = waiting[start : start + _AT_ONCE]
            results = await asyncio.gather(*map(self._attempt, batch))
            answered = answered or any(results)
            if not any(results):
                break
        return answered

    async def _attempt(self, debt: Debt) -> bool:
        now = self._clock()
        if now - debt.since > _MAX_AGE_S:
            self._give_up(debt, "late")
            return True
        error = None
        try:
            reply = await self._send(debt.command)
        except RedisError as failure:
            debt.maybe_executed = debt.maybe_executed or failure.sent
            queue = self._queue(debt.op)
            if queue.pop(debt.command, None) is not None:
                queue[debt.command] = debt
            self._observe(LedgerTook(debt.op, self._clock() - now, failure.kind))
            return False
        except asyncio.CancelledError:
            debt.maybe_executed = True
            raise
        self._queue(debt.op).pop(debt.command, None)
        if debt.fallback is not None and isinstance(reply, list):
            # No such hold: it was settled long ago, or the ledger has lost its data.
            error = "unknown"
            if not debt.maybe_executed or now - debt.since < _REMEMBERED_S:
                self.add("charge", debt.fallback)
        self._observe(LedgerTook(debt.op, self._clock() - now, error))
        return True

    def _give_up(self, debt: Debt, why: str) -> None:
        self._queue(debt.op).pop(debt.command, None)
        if debt.op != "leave" or why == "overflow":  # a leave is no money, but its loss is counted
            self._observe(LedgerTook("give_up", self._clock() - debt.since, why))
