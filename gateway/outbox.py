"""Writes of one iteration of the event loop go out together at its end.

A reader mostly sleeps, and to wake it is the dearest part of a write; a second write right after
the first finds it awake. Up to an eighth less CPU time for a request: docs/performance.md.

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
        """Append to what is queued for `to`, which is flushed before it grows large."""
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
        """Wait until all that is queued is out: for a writer that bypasses us."""
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
