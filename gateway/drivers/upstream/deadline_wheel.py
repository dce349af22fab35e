"""Deadlines of many connections, watched by one timer.

A timer for each call costs 1 us, asyncio.timeout 4. Here a call only writes its deadline down:
whoever is in the wheel is looked at when the deadline it had back then is over, and put back
when that has moved since. So a connection costs the wheel something once a minute.
"""

import asyncio
import math
import time
from typing import Final, Protocol

TICK_S: Final = 0.05
"""Deadlines strike up to so much late, and never early."""
NEVER: Final = math.inf


class Timed(Protocol):
    """What has a deadline, in seconds of time.monotonic."""

    deadline: float
    due: float
    """When the wheel looks at it next; NEVER when it is not in the wheel. A deadline later than
    that need not be watched again.
    """

    def strike(self, now: float) -> None:
        """The deadline is over."""
        ...


class DeadlineWheel:
    """Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._dues: dict[float, set[Timed]] = {}
        self._next = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timed: Timed) -> None:
        """To be told when a deadline was set; one that only moved on need not be told."""
        due = (int(timed.deadline / TICK_S) + 1) * TICK_S
        if timed.due <= due:
            return
        self.forget(timed)
        timed.due = due
        self._dues.setdefault(due, set()).add(timed)
        if due < self._next:
            self._arm(due)

    def forget(self, timed: Timed) -> None:
        if timed.due != NEVER:
            self._dues[timed.due].discard(timed)
            timed.due = NEVER

    def close(self) -> None:
        self._dues.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = self._loop.call_later(max(0, due - time.monotonic()), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        over = [due for due in self._dues if due <= now]
        struck = [timed for due in over for timed in self._dues.pop(due)]
        for timed in struck:
            timed.due = NEVER
        for timed in struck:
            if timed.deadline <= now:
                timed.strike(now)
            else:
                self.watch(timed)
        if self._dues:
            self._arm(min(self._dues))
        else:
            self._next = NEVER
