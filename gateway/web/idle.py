"""Connections that wait for a request, and for how long they may."""

import asyncio
from itertools import takewhile
from typing import Final, Protocol

_LOOK_S: Final = 1.0


class Connection(Protocol):
    def shutdown(self) -> None: ...


class Idle:
    """Closes those that have waited longer than `most_s`, a second later at most. One timer is
    for all of them: one for each would cost a request a microsecond.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
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
        long_ago = self._loop.time() - self._most_s
        for connection in [*takewhile(lambda each: self._since[each] <= long_ago, self._since)]:
            del self._since[connection]
            connection.shutdown()
        if self._since:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
