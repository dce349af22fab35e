"""Charges expired holds within seconds, in any number of homes, also those of dead processes; and
renews the places of this process's requests, so that they do not expire.

It polls: it reads when each home's first open hold expires. A home without holds is read again
after `ttl_s`, since a hold made now cannot expire earlier: so 100,000 idle homes cost 200 short
reads a second. At a start all are read: of 100,000 the last one after some ten seconds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from zlib import crc32

from gateway.core.errors import LedgerDown
from gateway.core.ports import Clock, LedgerDriver

EVERY_S: Final = 1.0
_RENEWALS: Final = 3
"""How often a place is renewed within its time to live."""
_HOMES_AT_ONCE: Final = 100
"""Homes read at once: a millisecond or two of work."""
_REST_S: Final = 0.002
"""The longest pause between two reads: it is as long as the first of them took."""

_log: Final = logging.getLogger("gateway")


class Sweeper:
    """`ttl_s` is how long a hold may stay open; `clock` gives monotonic seconds."""

    def __init__(
        self, ledger: LedgerDriver, homes: Iterable[str], ttl_s: float, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._ttl = ttl_s
        self._clock = clock
        self._second = int(clock())
        self._renewed_at = clock()
        self._slots: dict[int, list[str]] = {}
        """The homes to read, by the second when they are due."""
        self._overdue: deque[str] = deque()
        """Homes that are overdue, the longest first."""
        self._homes: set[str] = set()
        self._logged: set[str] = set()
        self.reconfigure(homes)

    def reconfigure(self, homes: Iterable[str]) -> None:
        """Add these homes. Former ones stay: they may still have holds."""
        new = dict.fromkeys(home for home in homes if home not in self._homes)
        self._overdue += new
        self._homes.update(new)

    async def run(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await self.round(sleep)
            self._renew_places()
            await sleep(EVERY_S)

    async def round(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Read all homes that are due, and the overdue ones until one fails."""
        due = self._due()
        for start in range(0, len(due), _HOMES_AT_ONCE):
            await self._check(due[start : start + _HOMES_AT_ONCE], sleep)
        for _ in range(0, len(self._overdue), _HOMES_AT_ONCE):
            batch = [
                self._overdue.popleft() for _ in range(min(_HOMES_AT_ONCE, len(self._overdue)))
            ]
            if not await self._check(batch, sleep):
                break

    def _renew_places(self) -> None:
        now = self._clock()
        if now >= self._renewed_at + self._ttl / _RENEWALS:
            self._renewed_at = now
            self._ledger.renew_places()

    def _due(self) -> list[str]:
        now = int(self._clock())
        due: list[str] = []
        for second in range(self._second, now + 1):
            due += self._slots.pop(second, ())
        self._second = now + 1
        return due

    async def _check(self, homes: list[str], sleep: Callable[[float], Awaitable[None]]) -> bool:
        """Read these homes, and sweep those with expired holds. Whether all succeeded."""
        began = self._clock()
        try:
            first = await self._ledger.first_expiry(homes)
        except LedgerDown:
            self._overdue += homes
            return False
        expired = []
        for home, seconds in zip(homes, first, strict=True):
            if seconds is None:
                self._schedule(home, began + self._empty_interval(home))
            elif seconds > 0:
                self._schedule(home, began + min(seconds, self._ttl))
            else:
                expired.append(home)
        swept = await asyncio.gather(*map(self._sweep, expired))
        await sleep(min(self._clock() - began, _REST_S))
        return all(swept)

    async def _sweep(self, home: str) -> bool:
        try:
            await self._ledger.sweep((home,))
        except LedgerDown:
            self._overdue.append(home)
            return False
        except Exception as error:  # noqa: BLE001 - one home's trouble is not the others'
            self._overdue.append(home)
            kind = type(error).__name__
            if kind not in self._logged:
                self._logged.add(kind)
                _log.exception("the expired holds of %s cannot be charged", home)
            return False
        self._schedule(home, self._clock())
        return True

    def _empty_interval(self, home: str) -> float:
        """Seconds until an empty home is read again; varied by name, to spread the load."""
        return self._ttl * (1 - crc32(home.encode("utf-8", "surrogatepass")) / 2**33)

    def _schedule(self, home: str, at: float) -> None:
        self._slots.setdefault(max(int(at) + 1, self._second), []).append(home)
