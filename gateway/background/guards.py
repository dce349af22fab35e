"""What guards have seen: read from memory, and told to the other replicas in the background.

While the store is away the last known states hold, with what was seen here since; that is told
when the store is back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final

from gateway.core.errors import LedgerDown
from gateway.core.events import GuardRead
from gateway.core.guard import BUCKETS, DEFAULT_SETTINGS, Growth, Guard, GuardSettings, GuardStore
from gateway.core.ladder import Ladder
from gateway.core.money import Nanos
from gateway.core.ports import Observer

EVERY_S: Final = 1.0
"""So old may be what a replica knows of the others."""
_MOST: Final = 10_000
"""Comparisons that are kept for a store that is away. What is over is not told."""

_log: Final = logging.getLogger("gateway")


class _Owed:
    """What was seen of one state, and is not told yet."""

    def __init__(self) -> None:
        self.same: list[bool] = []
        self.missed = self.spent = self.audit = 0

    def growth(self, settings: GuardSettings) -> Growth:
        return Growth(tuple(self.same), self.missed, self.spent, self.audit, settings.memory)


class Guards:
    """For use on one event loop. States go by an AuditPolicy's key and a bucket: "key:bucket"."""

    def __init__(self, store: GuardStore, observe: Observer) -> None:
        self._store = store
        self._observe = observe
        self._settings: dict[str, GuardSettings] = {}
        self._known: dict[str, Guard] = {}
        self._owed: dict[str, _Owed] = {}
        self._telling: dict[str, Growth] = {}
        self._number = 0
        self._shown: dict[str, Guard] = {}
        self._current: Collection[str] | None = None
        """The names that are configured; None: not known, so that all are shown."""
        self._well = True
        self._lock = asyncio.Lock()

    def state(self, name: str, settings: GuardSettings = DEFAULT_SETTINGS) -> Guard:
        """As it is known here. It is refreshed from now on."""
        self._settings[name] = settings
        return self._known.get(name, _NOTHING)

    def know(self, ladders: Iterable[Ladder]) -> None:
        """Whose states are to be read before anybody asks. Of those that were known before nothing
        more is read, unless something is to be told of them.
        """
        current: dict[str, GuardSettings] = {}
        for ladder in ladders:
            for each in (ladder, *(of for _, _, of in ladder.rules)):
                if each.audit_policy is not None and each.audit_policy.guard is not None:
                    names = (f"{each.audit_policy.key}:{kind}" for kind in BUCKETS)
                    current.update(dict.fromkeys(names, each.audit_policy.guard))
        for name in self._settings.keys() - current.keys():
            self._shown.pop(name, None)
            if name not in self._owed:
                self._settings.pop(name)
                self._known.pop(name, None)
        self._settings.update(current)
        self._current = current.keys()

    def compared(self, name: str, same: bool | None) -> None:
        """Both were asked. None: what they said could not be compared."""
        owed = self._owes(name)
        if same is None:
            owed.missed += 1
            self._known[name] = self.state(name, self._settings_of(name)).missed()
        elif len(owed.same) < _MOST:
            owed.same.append(same)
            settings = self._settings_of(name)
            self._known[name] = self.state(name, settings).observe(same, settings)

    def paid(self, name: str, spent: Nanos, *, audit: bool = False) -> None:
        """What a request cost, or its audit."""
        owed = self._owes(name)
        owed.spent += spent
        owed.audit += spent if audit else 0
        self._known[name] = self.state(name, self._settings_of(name)).pay(spent, audit=audit)

    async def keep(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await self.refresh()
            await sleep(EVERY_S)

    async def refresh(self) -> bool:
        """Tell what was seen here, and learn what all have seen. False when that failed."""
        async with self._lock:
            return not self._settings or await self._refresh()

    async def aclose(self) -> None:
        await self.refresh()
        await self._store.aclose()

    async def _refresh(self) -> bool:
        """What could not be told is told again as it was, by the same number."""
        if not self._telling:
            self._number += 1
            owed, self._owed = self._owed, {}
            self._telling = {
                name: owed[name].growth(settings)
                if name in owed
                else Growth(memory=settings.memory)
                for name, settings in self._settings.items()
            }
        try:
            found = await self._store.grow(self._number, self._telling)
        except LedgerDown as error:
            self._is_well(well=False, why=str(error))
            return False
        self._telling = {}
        for name in found.keys() & self._settings.keys():
            guard, since = found[name], self._owed.get(name)
            known = guard if since is None else since.growth(self._settings_of(name)).onto(guard)
            self._known[name] = known
            self._show(name, known)
        self._is_well(well=True)
        return True

    def _show(self, name: str, guard: Guard) -> None:
        """Not what a reload took away: requests that began before it may still pay."""
        if self._current is not None and name not in self._current:
            return
        if guard.spent and self._shown.get(name) != guard:
            self._shown[name] = guard
            route, _, kind = name.rsplit(":", 2)
            settings = self._settings_of(name)
            self._observe(GuardRead(route, kind, guard.state(settings), guard))

    def _owes(self, name: str) -> _Owed:
        owed = self._owed.get(name)
        if owed is None:
            owed = self._owed[name] = _Owed()
        return owed

    def _settings_of(self, name: str) -> GuardSettings:
        return self._settings.get(name, DEFAULT_SETTINGS)

    def _is_well(self, *, well: bool, why: str = "") -> None:
        if well != self._well:
            self._well = well
            if well:
                _log.warning("the guards of all replicas are read again")
            else:
                _log.warning("guards go by what is known here: %s", why)


_NOTHING: Final = Guard()
