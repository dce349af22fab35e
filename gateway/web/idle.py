"""Connections that wait for a request, or for the rest of one, and for how long they may."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final, Protocol

from gateway.core.errors import RequestTimeout
from gateway.core.snapshot import Server

BODY_S: Final = 30.0
"""How long a body's next portion may take, or what is left of it."""
PORTION: Final = 64 * 1024
BUSY: Final = inf
"""`since` of who does not wait."""
_LOOK_S: Final = 1.0


def body_timed_out(most_s: float) -> RequestTimeout:
    more = f"64 KiB more of it, or its end, must come in {most_s:g} seconds"
    return RequestTimeout(f"The body stopped half-way: {more}.")


def default_keep_alive_s() -> float:
    """How long a connection may wait for a request where no configuration says it."""
    return Server().keep_alive_s


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
        if self._waiting:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
