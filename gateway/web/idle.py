"""Connections that wait for a request, for the rest of one, or to be read from."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final, Protocol

PORTION: Final = 64 * 1024
BUSY: Final = inf
"""`since` of who does not wait."""
_LOOK_S: Final = 1.0


class Waiting(Protocol):
    since: float
    """When it began to wait, by the loop's clock; BUSY while it does not. It may say so itself."""


class Idle:
    """Ends those that have waited for more seconds than `most` says, a second later at most. One
    timer is for all of them: one for each would cost a request a microsecond. To look at ten
    thousand takes half a millisecond.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, most: Callable[[], float], end: Callable[[Any], None]) -> None:
        self._most = most
        self._end = end
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, waiting: Waiting) -> None:
        """It waits from now on."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(_LOOK_S, self._look)
        waiting.since = self._loop.time()
        self._waiting.add(waiting)

    def leave(self, waiting: Waiting) -> None:
        """It is not looked at any more."""
        self._waiting.discard(waiting)

    def _look(self) -> None:
        self._timer = None
        long_ago = self._loop.time() - self._most()
        for each in [each for each in self._waiting if each.since <= long_ago]:
            self._waiting.discard(each)
            self._end(each)
        if self._waiting and self._timer is None:  # one that was ended may have entered again
            self._timer = self._loop.call_later(_LOOK_S, self._look)
