"""Connections that wait for a request, or for the rest of one, and for how long they may."""

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final, Protocol

from gateway.core.errors import RequestTimeout

BODY_S: Final = 30.0
"""How long a body's next portion may take, or what is left of it."""
PORTION: Final = 64 * 1024
_LOOK_S: Final = 1.0


def late(most_s: float) -> RequestTimeout:
    more = f"64 KiB more of it, or its end, must come in {most_s:g} seconds"
    return RequestTimeout(f"The body stopped half-way: {more}.")


def _shut_down(connection: "Connection") -> None:
    connection.shutdown()


class Connection(Protocol):
    def shutdown(self) -> None: ...


class Idle:
    """Ends those that have waited longer than `most_s`, a second later at most. One timer is
    for all of them: one for each would cost a request a microsecond.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, most_s: float, end: Callable[[Any], None] = _shut_down) -> None:
        self.most_s = most_s
        self._end = end
        self._since: dict[Connection, float] = {}
        """In the order of their times."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Connection) -> None:
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(_LOOK_S, self._look)
        self._since.pop(connection, None)
        self._since[connection] = self._loop.time()

    def leave(self, connection: Connection) -> None:
        self._since.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        long_ago = self._loop.time() - self.most_s
        for connection in [*takewhile(lambda each: self._since[each] <= long_ago, self._since)]:
            del self._since[connection]
            self._end(connection)
        if self._since:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
