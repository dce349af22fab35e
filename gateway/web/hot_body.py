"""A request's body that does not arrive together with its head."""

import asyncio

from gateway.web.idle import BUSY, PORTION


class IncomingBody:
    """`left` bytes are still to come, `size` have been kept. `since` is when its latest portion
    began (see idle.py); it counts only while somebody waits for the body.
    """

    __slots__ = ("_loop", "_parts", "_rest", "discarding", "is_last", "left", "since", "size")

    def __init__(self, length: int, loop: asyncio.AbstractEventLoop) -> None:
        self.left = length
        self.size = 0
        self.since = BUSY
        self.discarding = False
        """What is still to come is dropped."""
        self.is_last = False
        """The connection is closed after it."""
        self._loop = loop
        self._parts: list[bytes] = []
        self._rest: asyncio.Future[None] | None = None

    @property
    def waited_for(self) -> bool:
        return self._rest is not None

    def feed(self, data: bytes) -> bytes:
        """Take some of it; returns the bytes behind it."""
        behind = b""
        if len(data) > self.left:
            data, behind = data[: self.left], data[self.left :]
        self.left -= len(data)
        if self.discarding:
            return behind
        self._parts.append(data)
        before, self.size = self.size, self.size + len(data)
        if self.size // PORTION > before // PORTION:
            self.since = self._loop.time()
        if not self.left and self._rest is not None and not self._rest.done():
            self._rest.set_result(None)
        return behind

    async def whole(self) -> bytes:
        """All of it, once it has arrived. Call it once: it keeps no copy."""
        if self.left:
            self._rest = self._loop.create_future()
            await self._rest
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def fail(self, error: Exception) -> None:
        """Raise this in `whole`, if somebody waits."""
        if self._rest is not None and not self._rest.done():
            self._rest.set_exception(error)

    def discard(self) -> None:
        """Nobody reads it any more."""
        self.discarding = True
        self._parts = []
