"""A client that goes away before its answer has ended."""

import asyncio
from typing import Final, Protocol

from gateway.handle import Life

_DRAINS: Final = 100
"""How many answers are read on at once for clients that are gone."""


class Door(Protocol):
    draining: int
    """How many answers are read on for clients that are gone."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...


class Leaving:
    """What becomes of a request whose client goes away: it is cancelled, now or after a while in
    which its answer is read on.
    """

    __slots__ = ("_door", "_gone", "_life", "_task", "timer")

    def __init__(self, door: Door, life: Life, task: asyncio.Task[None]) -> None:
        self._door = door
        self._life = life
        self._task = task
        self._gone = False
        self.timer: asyncio.TimerHandle | None = None

    def gone(self) -> None:
        self._gone = True
        door = self._door
        for_s = self._life.abandon() if door.draining < _DRAINS else 0.0
        if for_s:
            door.draining += 1
            self.timer = door.loop.call_later(for_s, self._task.cancel)
        else:
            self._task.cancel()

    def over(self) -> bool:
        """Whether that is why the task was cancelled, and nothing else."""
        return self._gone and self._task.uncancel() == 0

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self._door.draining -= 1
