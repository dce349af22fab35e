"""A body that does not come whole with its head."""

import asyncio

from gateway.web.idle import BUSY, PORTION


class IncomingBody:
    """`left` bytes of it are still to come, `size` have been kept. `since` its last portion began
    to come; of no use before somebody waits for it.
    """

    __slots__ = ("_loop", "_parts", "_rest", "discarding", "is_last", "left", "since", "size")

    def __init__(self, length: int, loop: asyncio.AbstractEventLoop) -> None:
        self.left = length
        self.size = 0
        self.since = BUSY
        self.discarding = False
        """What is still to come is let pass."""
        self.is_last = False
        """The connection ends behind it."""
        self._loop = loop
        self._parts: list[bytes] = []
        self._rest: asyncio.Future[None] | None = None

    @property
    def waited_for(self) -> bool:
        return self._rest is not None

    def feed(self, data: bytes) -> bytes:
        """Some of it. What came behind it is given back."""
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
        """All of it, once it is here. To be asked once: its parts are joined and let go."""
        if self.left:
            self._rest = self._loop.create_future()
            await self._rest
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def fail(self, error: Exception) -> None:
        """Who waits for it is told."""
        if self._rest is not None and not self._rest.done():
            self._rest.set_exception(error)

    def discard(self) -> None:
        """Nobody reads it any more."""
        self.discarding = True
        self._parts = []
