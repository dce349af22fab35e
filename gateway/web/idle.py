"""Time limits of connections that wait: for a request, for the rest of one, or to be read."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final, Protocol

PORTION: Final = 64 * 1024
BUSY: Final = inf
"""`since` of a connection that does not wait."""
_LOOK_S: Final = 1.0


class Waiting(Protocol):
    since: float
    """When it began to wait, by the loop's clock; BUSY while it does not. It may set it itself."""


class Idle:
    """Calls `end` for each that has waited for longer than `most` seconds, at most a second late.
    One timer serves all: one for each would cost a microsecond a request. Checking ten thousand
    takes half a millisecond.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, most: Callable[[], float], end: Callable[[Any], None]) -> None:
        self._most = most
        self._end = end
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, waiting: Waiting) -> None:
        """It begins to wait now."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(_LOOK_S, self._look)
        waiting.since = self._loop.time()
        self._waiting.add(waiting)

    def leave(self, waiting: Waiting) -> None:
        """Do not check it any more."""
        self._waiting.discard(waiting)

    def _look(self) -> None:
        self._timer = None
        long_ago = self._loop.time() - self._most()
        for each in [each for each in self._waiting if each.since <= long_ago]:
            self._waiting.discard(each)
            self._end(each)
        if self._waiting and self._timer is None:  # `end` may have entered another
            self._timer = self._loop.call_later(_LOOK_S, self._look)
