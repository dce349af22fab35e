"""Deadlines of many connections, watched by one timer.

A timer for each call costs 1 us, asyncio.timeout 4. Here a call only sets its deadline: the wheel
checks an item when the deadline it had on insertion is over, and puts it back if that has moved
since. So an idle connection costs the wheel something about once a minute.
"""

import asyncio
import math
import time
from typing import Final, Protocol

TICK_S: Final = 0.05
"""A deadline fires at most this much late, and never early."""
NEVER: Final = math.inf


class Timed(Protocol):
    """What has a deadline, in seconds of time.monotonic."""

    deadline: float
    due: float
    """When the wheel checks it next; NEVER when it is not in the wheel. A deadline later than that
    needs no new `watch`.
    """

    def deadline_passed(self, now: float) -> None:
        """The deadline is over."""
        ...


class DeadlineWheel:
    """Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[float, set[Timed]] = {}
        self._next = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timed: Timed) -> None:
        """Call it when a deadline was set or moved earlier; moving it later needs no call."""
        due = (int(timed.deadline / TICK_S) + 1) * TICK_S
        if timed.due <= due:
            return
        self.forget(timed)
        timed.due = due
        self._slots.setdefault(due, set()).add(timed)
        if due < self._next:
            self._arm(due)

    def forget(self, timed: Timed) -> None:
        if timed.due != NEVER:
            self._slots[timed.due].discard(timed)
            timed.due = NEVER

    def close(self) -> None:
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = self._loop.call_later(max(0, due - time.monotonic()), self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        expired = [due for due in self._slots if due <= now]
        due_items = [timed for due in expired for timed in self._slots.pop(due)]
        for timed in due_items:
            timed.due = NEVER
        for timed in due_items:
            if timed.deadline <= now:
                timed.deadline_passed(now)
            else:
                self.watch(timed)
        if self._slots:
            self._arm(min(self._slots))
        else:
            self._next = NEVER
