"""Keeps a keyring up to date with its store: changes by one replica soon reach the others.

Known keys go on working while the store cannot be reached.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from gateway.core.errors import KeysDown
from gateway.core.keys import NEVER, KeyRecord, KeyStore, Version
from gateway.core.ports import Clock
from gateway.web.keys import Keyring

EVERY_S: Final = 0.25
"""How often the store is asked for changes: a revoked key works that much longer, and as long as
the store takes to answer."""
GAP_S: Final = 0.02
"""Between two looks for unknown keys, however many come: junk costs the store 50 reads a second."""
TOUCH_S: Final = 60.0
_AT_ONCE: Final = 500
"""Keys that are added in one turn of the event loop: some three milliseconds."""

_log: Final = logging.getLogger("gateway")


class KeyWatch:
    """For use on one event loop. `clock` gives monotonic seconds, `wall` Unix seconds."""

    def __init__(
        self,
        store: KeyStore,
        keyring: Keyring,
        *,
        clock: Clock,
        wall: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._version: Version = NEVER
        self._lock = asyncio.Lock()
        self._began = float("-inf")
        self._next: asyncio.Task[bool] | None = None
        self._looks: set[asyncio.Task[bool]] = set()
        self._well = True
        self._touched = clock()
        self._owed: set[str] = set()
        keyring.look = self.look

    def reconfigure(self, keyring: Keyring) -> None:
        """Keep this keyring from now on; it starts with the keys of the former one."""
        keyring.catch_up(self._keyring.records)
        keyring.look = self.look
        self._owed |= self._keyring.used()
        self._keyring = keyring

    async def keep(self) -> None:
        """Run until cancelled."""
        while True:
            await self.refresh()
            if self._clock() - self._touched >= TOUCH_S:
                await self.touch()
            await self._sleep(EVERY_S)

    async def refresh(self) -> bool:
        """Apply the store's changes. False when the store cannot be asked."""
        async with self._lock:
            return await self._refresh()

    async def look(self) -> bool:
        """A refresh that begins after this call, shared by all that wait for it."""
        if self._next is None:
            self._next = asyncio.create_task(self._soon())
            self._looks.add(self._next)
            self._next.add_done_callback(self._looks.discard)
        return await asyncio.shield(self._next)

    async def touch(self) -> None:
        """Record which keys were used in the last minute, or while the store was unreachable."""
        self._touched = self._clock()
        self._owed |= self._keyring.used()
        if not self._owed:
            return
        now = self._wall()
        try:
            await self._store.touch(dict.fromkeys(self._owed, now))
        except KeysDown:
            return
        self._owed = set()

    async def aclose(self) -> None:
        """Record what was used since; pending looks are cancelled."""
        for look in self._looks:
            look.cancel()
        if self._looks:
            await asyncio.wait(self._looks)
        await self.touch()

    async def _soon(self) -> bool:
        wait_s = self._began + GAP_S - self._clock()
        if wait_s > 0:
            await self._sleep(wait_s)
        async with self._lock:
            self._next = None  # later callers wait for another
            return await self._refresh()

    async def _refresh(self) -> bool:
        self._began = self._clock()
        try:
            changes = await self._store.changes(self._version)
        except KeysDown as error:
            self._is_well(well=False, why=str(error))
            return False
        if changes is not None:
            gone: Iterable[str] = changes.gone
            if changes.whole:
                gone = self._keyring.records.keys() - {record.id for record in changes.records}
            for key_id in gone:
                self._keyring.drop(key_id)
            await self._put(changes.records)
            self._version = changes.version
        self._is_well(well=True)
        return True

    async def _put(self, records: Sequence[KeyRecord]) -> None:
        """Add new or changed keys, some at a time: requests are served in between."""
        for start in range(0, len(records), _AT_ONCE):
            for record in records[start : start + _AT_ONCE]:
                if self._keyring.records.get(record.id) != record:
                    self._keyring.put(record)
            if start + _AT_ONCE < len(records):
                await asyncio.sleep(0)

    def _is_well(self, *, well: bool, why: str = "") -> None:
        if well != self._well:
            self._well = well
            if well:
                _log.warning("changes of keys are seen again")
            else:
                _log.warning("changes of keys are not seen: %s; known keys go on working", why)
