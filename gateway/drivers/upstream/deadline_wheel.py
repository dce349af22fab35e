"""Deadlines of many connections, watched by one timer.

A timer for each call costs 1 us, asyncio.timeout 4. Here a call only writes its deadline down:
whoever is in the wheel is looked at when the deadline it had back then is over, and put back
when that has moved since. So a connection costs the wheel something once a minute.
"""

import asyncio
import sys
import time
from typing import Final, Protocol

TICK_S: Final = 0.05
"""Deadlines strike up to so much late, and never early."""
NEVER: Final = sys.maxsize


class Timed(Protocol):
    """What has a deadline, in seconds of time.monotonic."""

    deadline: float
    tick: int
    """When the wheel looks at it next; NEVER when it is not in the wheel."""

    def strike(self, now: float) -> None:
        """The deadline is over."""
        ...


class DeadlineWheel:
    """Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ticks: dict[int, set[Timed]] = {}
        self._next = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timed: Timed) -> None:
        """To be told when a deadline was set; one that only moved on need not be told."""
        tick = int(timed.deadline / TICK_S) + 1
        if timed.tick <= tick:
            return
        self.forget(timed)
        timed.tick = tick
        self._ticks.setdefault(tick, set()).add(timed)
        if tick < self._next:
            self._arm(tick)

    def forget(self, timed: Timed) -> None:
        if timed.tick != NEVER:
            self._ticks[timed.tick].discard(timed)
            timed.tick = NEVER

    def close(self) -> None:
        self._ticks.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self._loop.call_later(max(0, tick * TICK_S - time.monotonic()), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        over = [tick for tick in self._ticks if tick * TICK_S <= now]
        due = [timed for tick in over for timed in self._ticks.pop(tick)]
        for timed in due:
            timed.tick = NEVER
        for timed in due:
            if timed.deadline <= now:
                timed.strike(now)
            else:
                self.watch(timed)
        if self._ticks:
            self._arm(min(self._ticks))
        else:
            self._next = NEVER
