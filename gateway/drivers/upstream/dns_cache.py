"""Where a name is: looked up once for all who connect meanwhile, and kept for a moment."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

KEPT_S: Final = 30.0
"""How long the system's answer is taken for true: it does not say how long that is."""

Address: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As getaddrinfo gives it: family, type, protocol, canonical name, socket address."""
Lookup: TypeAlias = Callable[[str, int], Coroutine[Any, Any, Sequence[Address]]]


async def looked_up(host: str, port: int) -> Sequence[Address]:
    """By the system, in a thread. Raises OSError, and UnicodeError for a name that is none."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Addresses:
    """Of one name: what is kept is one answer. Lives in one event loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        lookup: Lookup = looked_up,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._lookup = lookup
        self._clock = clock
        self._until = 0.0
        self._asking: asyncio.Task[Sequence[Address]] | None = None
        self._found: Sequence[Address] = _literal(host, port)
        self._fixed = bool(self._found)

    async def find(self) -> Sequence[Address]:
        """Raises what `looked_up` does. Who stops waiting does not stop the others' lookup."""
        if self._fixed or (self._found and self._clock() < self._until):
            return self._found
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._on_lookup_done)
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """Nobody answers there: it may be elsewhere by now."""
        self._until = 0.0

    async def _ask(self) -> Sequence[Address]:
        self._found = await self._lookup(self._host, self._port)
        self._until = self._clock() + KEPT_S
        return self._found

    def _on_lookup_done(self, task: "asyncio.Task[Sequence[Address]]") -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # those who wait are told; there may be none left


def _literal(host: str, port: int) -> Sequence[Address]:
    """An address needs no thread to be looked up in."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()
