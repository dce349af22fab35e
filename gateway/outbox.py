"""What a turn of the event loop has to send goes out at its end, together.

Whoever is written to mostly sleeps, and to wake it is the dearest part of a write; written to once
more at once, it is awake. Up to an eighth less CPU time for a request: docs/performance.md.

And it goes out in order: what must be `first`, the ledger's commands, before all else. So a settle
is on its way before the answer that it is for, and no answer waits for that.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakValueDictionary

MOST: Final = 16 * 1024
"""Bytes for one connection that are put into one; what is larger is not copied."""


class Turns(Protocol):
    """An event loop, as far as is needed here: it calls back at the end of this turn."""

    def call_soon(self, callback: Callable[[], None], /) -> object: ...


class Outbox:
    """Of one event loop."""

    def __init__(self, loop: Turns) -> None:
        self._at_its_end = loop.call_soon
        self._first: list[Callable[[], None]] = []
        self._waiting: dict[asyncio.WriteTransport, bytes] = {}
        self._due = False

    def first(self, send: Callable[[], None]) -> None:
        """Is called once, before anything is written."""
        self._first.append(send)
        if not self._due:
            self._due = True
            self._at_its_end(self.flush)

    def write(self, to: asyncio.WriteTransport, data: bytes) -> None:
        """After what else is for `to`, which is out before that is much: it may want no more."""
        waiting = self._waiting
        if to in waiting:
            before = waiting.pop(to)
            if len(before) + len(data) < MOST:
                data = before + data
            else:
                self._go_first()
                to.write(before)
        waiting[to] = data
        if not self._due:
            self._due = True
            self._at_its_end(self.flush)

    def close(self, transport: asyncio.WriteTransport) -> None:
        """With all that is for it sent."""
        self._go_first()
        data = self._waiting.pop(transport, None)
        if data is not None:
            transport.write(data)
        transport.close()

    def flush(self) -> None:
        """All of it, now. Who is gone is sent nothing."""
        self._due = False
        if self._first:
            self._go_first()
        waiting, self._waiting = self._waiting, {}
        for to, data in waiting.items():
            if not to.is_closing():
                to.write(data)

    async def sent(self) -> None:
        """Wait until what waits by now is out. For who writes past us, and is to come after it."""
        if self._due:
            await asyncio.sleep(0)

    def _go_first(self) -> None:
        while self._first:
            self._first.pop()()


_of_loops: Final[WeakValueDictionary[int, Outbox]] = WeakValueDictionary()
"""By the id of a loop that each keeps, and is kept itself by those who write."""


def outbox(loop: asyncio.AbstractEventLoop | None = None) -> Outbox:
    """That of the running loop, or of this one."""
    loop = loop or asyncio.get_running_loop()
    found = _of_loops.get(id(loop))
    if found is None:
        found = _of_loops[id(loop)] = Outbox(loop)
    return found
