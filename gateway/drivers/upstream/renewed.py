"""A value that expires: fetched when first needed, by one task at a time, and renewed in the
background before it expires.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from msgspec import Struct

from gateway.core.errors import Misconfigured
from gateway.drivers.background import stop

T = TypeVar("T")

_AHEAD_S: Final = 300.0
"""How long before its expiry a value is renewed; a quarter of its lifetime, if that is shorter."""
_MARGIN_S: Final = 10.0
"""A value is not used in its last seconds: a call takes time to arrive."""
_PAUSE_S: Final = 5.0
"""After a failed fetch: until then calls without a value fail at once."""
_REFUSED_S: Final = 30.0
"""How often a refusal may cause a new fetch: most refusals are not about the value's age."""


class Issued(Struct, Generic[T], frozen=True):
    """`until` is in Unix seconds. After `look_again_s` the source is read again, since it may have
    a new value earlier.
    """

    value: T
    until: float = math.inf
    look_again_s: float = math.inf


class Renewed(Generic[T]):
    """`fetch` raises Misconfigured, and nothing else. For use on one event loop."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Issued[T]]], wall: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._wall = wall
        self._current: Issued[T] | None = None
        self._renew_at = -math.inf
        self._suspect = False
        self._next_refusal_at = -math.inf
        self._failure = ""
        self._pause_until = -math.inf
        self._task: asyncio.Task[None] | None = None

    async def get(self, timeout_s: float) -> T:
        """Waits only when there is no good value. Raises Misconfigured."""
        now = self._wall()
        current = self._current
        if current is not None and now < self._renew_at:
            return current.value
        if self._task is None and now >= self._pause_until:
            self._task = asyncio.create_task(self._renew())
        usable = current is not None and not self._suspect and now < current.until - _MARGIN_S
        if self._task is not None and not usable:
            # Others may wait for the task as well: asyncio.wait does not cancel it.
            done, _ = await asyncio.wait([self._task], timeout=timeout_s)
            if not done:
                raise Misconfigured("the provider's credentials did not come in time")
            now = self._wall()
        current = self._current
        if current is None or now >= current.until - _MARGIN_S:
            raise Misconfigured(self._failure)
        return current.value

    def refused(self) -> None:
        """The provider did not accept the value: the next call waits for another."""
        now = self._wall()
        if self._current is not None and now >= self._next_refusal_at:
            self._next_refusal_at = now + _REFUSED_S
            self._suspect = True
            self._renew_at = -math.inf

    async def aclose(self) -> None:
        if self._task is not None:
            await stop(self._task)

    async def _renew(self) -> None:
        try:
            issued = await self._fetch()
        except Misconfigured as error:
            self._failure = str(error)
            self._pause_until = self._wall() + _PAUSE_S
        else:
            now = self._wall()
            left_s = issued.until - now
            if left_s <= _MARGIN_S:
                self._failure = "the provider's credentials have expired"
                self._pause_until = now + _PAUSE_S
            else:
                self._current = issued
                self._renew_at = now + min(
                    max(left_s - _AHEAD_S, left_s * 0.75), issued.look_again_s
                )
        finally:
            self._suspect = False
            self._task = None
