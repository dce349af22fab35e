"""Another configuration while requests are served: whole, or not at all.

A request keeps what it began with to its end: prices, plan, ladder, tenant, limits. Who comes later
finds the new one. What was learned of a deployment that stays as it was is kept.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from msgspec import Struct

from gateway.config.faults import ConfigError
from gateway.config.load import Loaded, Stamp
from gateway.core.changes import Reloaded, changes, fixed
from gateway.core.errors import ConfigRefused
from gateway.core.events import ConfigRead
from gateway.core.ladder import ladders
from gateway.core.ports import Clock, Observer
from gateway.core.prompt_caches import lifetimes
from gateway.core.snapshot import Snapshot
from gateway.drivers.upstream.open import Upstreams
from gateway.web.door import Door, Generation
from gateway.web.key_watch import KeyWatch
from gateway.web.keys import Keyring

_LOOK_S: Final = 1.0
"""Between two looks at the files: a few stats each, which also work where no file system tells of
changes (network mounts, bind mounts, a cluster's config maps)."""
_QUIET_S: Final = 0.2
"""For so long a file must not change any more before it is read."""
_SHOWN: Final = 20
"""So many changes are named in the log; the rest is counted."""
_log: Final = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What stays while configurations come and go. `parts` go by the snapshot that they are given
    last, and never fail; `observer` makes what a configuration's requests tell.
    """

    door: Door
    upstreams: Upstreams
    keys: KeyWatch
    keyring: Callable[[Snapshot], Keyring]
    observer: Callable[[Snapshot], Observer]
    parts: Sequence[Callable[[Snapshot], None]]

    async def reconfigure(self, old: Snapshot, new: Snapshot) -> None:
        """Serve the new one to whoever comes from now on. Raises OSError, and has changed nothing
        then, where certificates cannot be read.
        """
        # With many keys it takes a while: meanwhile others are served.
        keyring = await asyncio.to_thread(self._keyring, new)
        named = await asyncio.to_thread(ladders, new.catalog)
        upstream = await self.upstreams.reconfigure(new)
        # From here on nobody else runs, and nothing fails.
        learned = _Learned.of(old, new)
        world = self.door.now.world
        world.health.reconfigure(learned.deployments, learned.anew)
        world.pace.reconfigure(learned.deployments, learned.anew)
        world.factors.reconfigure(learned.models)
        world.warmth.forget(learned.anew | learned.gone)
        world.warmth.reconfigure(lifetimes(new.catalog))
        world = replace(
            world,
            ladders=named,
            upstream=upstream,
            observe=self.observer(new),
            timeouts=new.timeouts,
        )
        for part in self.parts:
            part(new)
        self.keys.reconfigure(keyring)
        self.door.reconfigure(Generation(world, keyring, new.limits, new.tags))

    def _keyring(self, new: Snapshot) -> Keyring:
        keyring = self.keyring(new)
        keyring.catch_up(dict(self.door.now.keyring.records))
        return keyring


class _Learned(Struct, frozen=True):
    """Of whom something may be known, and of whom that is worth nothing any more: deployments that
    are asked elsewhere, with another key or for another model, and models that are another's.
    """

    deployments: frozenset[str]
    anew: frozenset[str]
    gone: frozenset[str]
    models: frozenset[str]

    @classmethod
    def of(cls, old: Snapshot, new: Snapshot) -> "_Learned":
        before, after = _ways(old), _ways(new)
        anew = {name for name, way in after.items() if before.get(name, way) != way}
        was = {name: _upstreams(old, name) for name in old.catalog.models}
        same = {name for name in new.catalog.models if _upstreams(new, name) == was.get(name)}
        gone = before.keys() - after.keys()
        return cls(frozenset(after), frozenset(anew), frozenset(gone), frozenset(same))


def _ways(snapshot: Snapshot) -> dict[str, tuple[object, str]]:
    """How each deployment is asked."""
    return {
        each.name: (snapshot.providers[each.provider], each.upstream)
        for model in snapshot.catalog.models.values()
        for each in model.deployments
    }


def _upstreams(snapshot: Snapshot, model: str) -> list[str]:
    return [each.upstream for each in snapshot.catalog.models[model].deployments]


class Source(Struct, frozen=True):
    """What was read at the start, and what reads again: it may block. It raises ConfigError.

    `stamp` tells whether files changed, those that a configuration names among them; `first` is
    what it told of them as they were read; `beside` tells the others who serve the same files that
    these are to be read again.
    """

    began: Loaded
    read: Callable[[], Loaded]
    stamp: Callable[[Snapshot], Stamp] = lambda snapshot: ()
    first: Stamp = ()
    beside: Callable[[], None] | None = None


def no_source(snapshot: Snapshot) -> Source:
    """There is nothing to read again."""
    loaded = Loaded(snapshot, "")
    return Source(loaded, lambda: loaded)


class Reload:
    """Reads again and turns; one at a time. `wall` gives Unix seconds."""

    def __init__(
        self,
        source: Source,
        apply: Callable[[Snapshot, Snapshot], Awaitable[None]],
        *,
        observe: Observer,
        wall: Clock,
    ) -> None:
        self._began = source.began.snapshot
        self._now = source.began
        self._source = source
        self._apply = apply
        self._observe = observe
        self._wall = wall
        self._lock = asyncio.Lock()
        observe(ConfigRead("start", source.began.hash, wall()))

    @property
    def snapshot(self) -> Snapshot:
        """What is served now."""
        return self._now.snapshot

    async def __call__(self, why: str, *, alone: bool = False) -> Reloaded:
        """Those beside us do the same, unless it is for us alone: also where nothing changed for
        us, since one of them may have been refused what we were not. Raises ConfigRefused, whose
        text is one line a fault: then the old one goes on.
        """
        async with self._lock:
            try:
                done = await self._again(why)
            except (ConfigError, OSError) as error:
                self._observe(ConfigRead("refused", self._now.hash, self._wall()))
                _log.warning(
                    "the configuration was not reloaded (%s); %s goes on:\n%s",
                    why,
                    self._now.hash,
                    error,
                )
                raise ConfigRefused(str(error)) from None
        if not alone and self._source.beside is not None:
            self._source.beside()
        return done

    async def reload_and_log(self, why: str, *, alone: bool = False) -> None:
        """The same, where nobody waits for the answer: it is in the log."""
        try:
            await self(why, alone=alone)
        except ConfigRefused:
            pass
        except Exception:  # noqa: BLE001 - a bug of ours, which nobody else would hear of
            _log.exception("a reload met a bug (%s)", why)

    async def watch(self) -> None:
        """Read again whenever a file has changed, once it is written. Runs until cancelled."""
        seen, over = self._source.first, threading.Event()
        try:
            while True:
                found = await asyncio.to_thread(self._other, seen, over)
                while seen != found:
                    await asyncio.sleep(_QUIET_S)
                    seen = found
                    found = await asyncio.to_thread(self._source.stamp, self.snapshot)
                await self.reload_and_log("a file has changed")
        finally:
            over.set()

    def _other(self, seen: Stamp, over: threading.Event) -> Stamp:
        """Look, in a thread that waits for itself, until the files are others: a look costs a fifth
        of what it does where the loop wakes for it and hands it to a thread.
        """
        while not over.wait(_LOOK_S):
            snapshot = self.snapshot
            found = self._source.stamp(snapshot) if snapshot.server.watch else seen
            if found != seen:
                return found
        return seen

    async def _again(self, why: str) -> Reloaded:
        loaded = await asyncio.to_thread(self._source.read)
        old, new = self._now.snapshot, loaded.snapshot
        held = fixed(self._began, new)
        if held:
            raise ConfigError(loaded.faults(held, "cannot change while it runs: restart for that"))
        found = changes(old, new)
        if found:
            await self._apply(old, new)
        self._now = loaded
        at = self._wall()
        self._observe(ConfigRead("changed" if found else "unchanged", loaded.hash, at))
        shown = [*map(str, found[:_SHOWN])]
        if len(found) > _SHOWN:
            shown.append(f"and {len(found) - _SHOWN} more")
        summary = ", ".join(shown) or "nothing changed"
        _log.warning("the configuration was reloaded (%s): %s, %s", why, loaded.hash, summary)
        return Reloaded(loaded.hash, at, found)
