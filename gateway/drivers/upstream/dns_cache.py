"""DNS lookups: one at a time for all who connect to a name, cached for a short time."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

TTL_S: Final = 30.0
"""How long a result is used: getaddrinfo does not report the record's TTL."""

Address: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As getaddrinfo gives it: family, type, protocol, canonical name, socket address."""
Lookup: TypeAlias = Callable[[str, int], Coroutine[Any, Any, Sequence[Address]]]


async def system_lookup(host: str, port: int) -> Sequence[Address]:
    """getaddrinfo, in a thread. Raises OSError, and UnicodeError for an invalid name."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Addresses:
    """The cached addresses of one name. For use on one event loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        lookup: Lookup = system_lookup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._lookup = lookup
        self._clock = clock
        self._expires_at = 0.0
        self._lookup_task: asyncio.Task[Sequence[Address]] | None = None
        self._addresses: Sequence[Address] = _parse_literal(host, port)
        self._fixed = bool(self._addresses)

    async def find(self) -> Sequence[Address]:
        """Raises what `system_lookup` does. Cancelling one caller does not cancel the lookup."""
        if self._fixed or (self._addresses and self._clock() < self._expires_at):
            return self._addresses
        if self._lookup_task is None:
            self._lookup_task = asyncio.create_task(self._refresh())
            self._lookup_task.add_done_callback(self._on_lookup_done)
        return await asyncio.shield(self._lookup_task)

    def forget(self) -> None:
        """Look the name up again next time: nobody answered at these addresses."""
        self._expires_at = 0.0

    async def _refresh(self) -> Sequence[Address]:
        self._addresses = await self._lookup(self._host, self._port)
        self._expires_at = self._clock() + TTL_S
        return self._addresses

    def _on_lookup_done(self, task: "asyncio.Task[Sequence[Address]]") -> None:
        self._lookup_task = None
        if not task.cancelled():
            task.exception()  # marks it as retrieved: there may be nobody left waiting


def _parse_literal(host: str, port: int) -> Sequence[Address]:
    """The addresses of a literal IP, without a thread; empty for a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()
