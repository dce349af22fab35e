"""What makes the calls to providers, as a configuration names it; and what takes its place when
that changes, while calls are on their way.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.core.ports import Upstream
from gateway.core.snapshot import Provider, Snapshot, Timeouts
from gateway.drivers.upstream.pool_upstream import PoolUpstream
from gateway.drivers.upstream.signing import Signer, signer_of

Tap = Callable[[Upstream], Upstream]
"""Puts something between calls and those who make them."""


def no_tap(upstream: Upstream) -> Upstream:
    return upstream


class Upstreams:
    """Use `open_upstreams`. What a former upstream has alone ends with the last call that has it.

    `env` is where AWS's and Google's credentials may be named, `wall` gives Unix seconds.
    """

    def __init__(
        self, env: Mapping[str, str], wall: Callable[[], float], tap: Tap = no_tap
    ) -> None:
        self._tap = tap
        self._env = env
        self._wall = wall
        self._providers: Mapping[str, Provider] = {}
        self._signers: dict[str, Signer] = {}
        self._left: weakref.WeakSet[Signer] = weakref.WeakSet()
        self._own: PoolUpstream | None = None
        self._asked: tuple[str, Mapping[str, Provider], Timeouts] | None = None
        self._last: Upstream | None = None
        self._others: set[AsyncExitStack] = set()
        """Of aiohttp's sessions."""
        self._closing: set[asyncio.Task[None]] = set()

    async def reconfigure(self, snapshot: Snapshot) -> Upstream:
        """What this configuration's calls are made by: the same while nothing of it changed."""
        providers, timeouts = snapshot.providers, snapshot.timeouts
        asked = (snapshot.client, providers, timeouts)
        if self._last is not None and asked == self._asked:
            return self._last
        signers = self._sign(providers)
        upstream: Upstream
        if snapshot.client == "aiohttp":
            upstream = await self._aiohttp(providers, timeouts, signers)
        else:
            upstream = self._own = await self._pools(providers, timeouts, signers)
        self._providers, self._signers = providers, signers
        self._asked, self._last = asked, self._tap(upstream)
        return self._last

    async def warm(self, snapshot: Snapshot) -> None:
        """Open a connection to each provider that a model has, so that first requests need not;
        aiohttp opens its own when it is asked. `snapshot` is the one of the last turn.
        """
        if snapshot.client != "aiohttp" and self._own is not None:
            models = snapshot.catalog.models.values()
            await self._own.warm({each.provider for m in models for each in m.deployments})

    async def aclose(self) -> None:
        for stack in [*self._others]:
            await stack.aclose()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._own is not None:
            await self._own.__aexit__(None, None, None)
        for signer in {*self._signers.values(), *self._left}:
            await signer.aclose()

    def _sign(self, providers: Mapping[str, Provider]) -> dict[str, Signer]:
        """A signer whose provider is as it was keeps what it has fetched."""
        signers = {}
        for name, provider in providers.items():
            before = self._providers.get(name)
            same = before and (before.auth, before.proxy) == (provider.auth, provider.proxy)
            if same and name in self._signers:
                signers[name] = self._signers[name]
            elif (made := signer_of(provider, self._env, self._wall)) is not None:
                signers[name] = made
        self._left.update({*self._signers.values()} - {*signers.values()})
        return signers

    async def _pools(
        self, providers: Mapping[str, Provider], timeouts: Timeouts, signers: Mapping[str, Signer]
    ) -> PoolUpstream:
        if self._own is not None:
            return self._own.renewed(providers, timeouts, signers)
        return await PoolUpstream(providers, timeouts, signers).__aenter__()

    async def _aiohttp(
        self, providers: Mapping[str, Provider], timeouts: Timeouts, signers: Mapping[str, Signer]
    ) -> Upstream:
        # Who does not choose it need not wait for its import.
        from gateway.drivers.upstream.aiohttp_upstream import AiohttpUpstream  # noqa: PLC0415

        upstream = AiohttpUpstream(providers, timeouts, signers)
        await upstream.__aenter__()
        stack = AsyncExitStack()
        for session in upstream.sessions:
            stack.push_async_callback(session.close)
        self._others.add(stack)
        # Its session ends when no request has it any more. That may be noticed in any thread.
        loop = asyncio.get_running_loop()
        ends = weakref.finalize(upstream, loop.call_soon_threadsafe, self._end, stack)
        ends.atexit = False
        stack.callback(ends.detach)
        return upstream

    def _end(self, stack: AsyncExitStack) -> None:
        self._others.discard(stack)
        closing = asyncio.create_task(stack.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


@asynccontextmanager
async def open_upstreams(
    env: Mapping[str, str], wall: Callable[[], float], tap: Tap = no_tap
) -> AsyncIterator[Upstreams]:
    """All that they opened is closed at the end."""
    opened = Upstreams(env, wall, tap)
    try:
        yield opened
    finally:
        await opened.aclose()
