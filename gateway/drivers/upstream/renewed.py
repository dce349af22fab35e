"""A value that runs out: fetched when first wanted, by one at a time, and renewed behind the calls
before it ends.
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
"""How long before its end a value is renewed; a quarter of its life, if that is shorter."""
_MARGIN_S: Final = 10.0
"""A call takes time to arrive: a value is not used in its last seconds."""
_PAUSE_S: Final = 5.0
"""After a fetch that failed: until then calls fail at once, and the source is left alone."""
_REFUSED_S: Final = 30.0
"""Refusals fetch a value anew at most so often: most of them are not about its age."""


class Issued(Struct, Generic[T], frozen=True):
    """`until` is in Unix seconds. After `look_again_s` its source is read again, since another may
    be there before the end.
    """

    value: T
    until: float = math.inf
    look_again_s: float = math.inf


class Renewed(Generic[T]):
    """`fetch` raises Misconfigured, and nothing else. Lives in one event loop."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Issued[T]]], wall: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._wall = wall
        self._held: Issued[T] | None = None
        self._renew_at = -math.inf
        self._doubted = False
        self._doubt_at = -math.inf
        self._failure = ""
        self._pause_until = -math.inf
        self._task: asyncio.Task[None] | None = None

    async def get(self, timeout_s: float) -> T:
        """Waits only when there is no good value. Raises Misconfigured."""
        now = self._wall()
        held = self._held
        if held is not None and now < self._renew_at:
            return held.value
        if self._task is None and now >= self._pause_until:
            self._task = asyncio.create_task(self._renew())
        good = held is not None and not self._doubted and now < held.until - _MARGIN_S
        if self._task is not None and not good:
            # Others may wait for it as well: whoever is cancelled does not cancel it.
            done, _ = await asyncio.wait([self._task], timeout=timeout_s)
            if not done:
                raise Misconfigured("the provider's credentials did not come in time")
            now = self._wall()
        held = self._held
        if held is None or now >= held.until - _MARGIN_S:
            raise Misconfigured(self._failure)
        return held.value

    def refused(self) -> None:
        """The provider did not accept the value: the next call waits for another."""
        now = self._wall()
        if self._held is not None and now >= self._doubt_at:
            self._doubt_at = now + _REFUSED_S
            self._doubted = True
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
                self._held = issued
                self._renew_at = now + min(
                    max(left_s - _AHEAD_S, left_s * 0.75), issued.look_again_s
                )
        finally:
            self._doubted = False
            self._task = None
