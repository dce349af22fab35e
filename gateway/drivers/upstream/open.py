"""Opens the configured client for calls to providers, and replaces it when the configuration
changes, while calls are in flight.
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
"""Wraps an Upstream, to see its answers."""


def no_tap(upstream: Upstream) -> Upstream:
    return upstream


class Upstreams:
    """Use `open_upstreams`. A replaced upstream is closed when its last call is over.

    `env` may contain AWS's and Google's credentials, `wall` gives Unix seconds.
    """

    def __init__(
        self, env: Mapping[str, str], wall: Callable[[], float], tap: Tap = no_tap
    ) -> None:
        self._tap = tap
        self._env = env
        self._wall = wall
        self._providers: Mapping[str, Provider] = {}
        self._signers: dict[str, Signer] = {}
        self._former_signers: weakref.WeakSet[Signer] = weakref.WeakSet()
        self._pooled: PoolUpstream | None = None
        self._settings: tuple[str, Mapping[str, Provider], Timeouts] | None = None
        self._current: Upstream | None = None
        self._aiohttp_stacks: set[AsyncExitStack] = set()
        """Of aiohttp's sessions."""
        self._closing: set[asyncio.Task[None]] = set()

    async def reconfigure(self, snapshot: Snapshot) -> Upstream:
        """The upstream for this configuration: the current one if nothing relevant changed."""
        providers, timeouts = snapshot.providers, snapshot.timeouts
        settings = (snapshot.client, providers, timeouts)
        if self._current is not None and settings == self._settings:
            return self._current
        signers = self._renew_signers(providers)
        upstream: Upstream
        if snapshot.client == "aiohttp":
            upstream = await self._open_aiohttp(providers, timeouts, signers)
        else:
            upstream = self._pooled = await self._open_pools(providers, timeouts, signers)
        self._providers, self._signers = providers, signers
        self._settings, self._current = settings, self._tap(upstream)
        return self._current

    async def warm(self, snapshot: Snapshot) -> None:
        """Open a connection to each provider of a model, so that first requests need not; aiohttp
        has no such warm-up. `snapshot` is that of the last `reconfigure`.
        """
        if snapshot.client != "aiohttp" and self._pooled is not None:
            models = snapshot.catalog.models.values()
            await self._pooled.warm({each.provider for m in models for each in m.deployments})

    async def aclose(self) -> None:
        for stack in [*self._aiohttp_stacks]:
            await stack.aclose()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._pooled is not None:
            await self._pooled.__aexit__(None, None, None)
        for signer in {*self._signers.values(), *self._former_signers}:
            await signer.aclose()

    def _renew_signers(self, providers: Mapping[str, Provider]) -> dict[str, Signer]:
        """The signers by provider; one whose provider did not change is kept with its token."""
        signers = {}
        for name, provider in providers.items():
            before = self._providers.get(name)
            same = before and (before.auth, before.proxy) == (provider.auth, provider.proxy)
            if same and name in self._signers:
                signers[name] = self._signers[name]
            elif (new := signer_of(provider, self._env, self._wall)) is not None:
                signers[name] = new
        self._former_signers.update({*self._signers.values()} - {*signers.values()})
        return signers

    async def _open_pools(
        self, providers: Mapping[str, Provider], timeouts: Timeouts, signers: Mapping[str, Signer]
    ) -> PoolUpstream:
        if self._pooled is not None:
            return self._pooled.renewed(providers, timeouts, signers)
        return await PoolUpstream(providers, timeouts, signers).__aenter__()

    async def _open_aiohttp(
        self, providers: Mapping[str, Provider], timeouts: Timeouts, signers: Mapping[str, Signer]
    ) -> Upstream:
        # Imported only when chosen: it takes long.
        from gateway.drivers.upstream.aiohttp_upstream import AiohttpUpstream  # noqa: PLC0415

        upstream = AiohttpUpstream(providers, timeouts, signers)
        await upstream.__aenter__()
        stack = AsyncExitStack()
        for session in upstream.sessions:
            stack.push_async_callback(session.close)
        self._aiohttp_stacks.add(stack)
        # Its sessions are closed once no request refers to it; a finalizer may run in any thread.
        loop = asyncio.get_running_loop()
        finalizer = weakref.finalize(upstream, loop.call_soon_threadsafe, self._close_soon, stack)
        finalizer.atexit = False
        stack.callback(finalizer.detach)
        return upstream

    def _close_soon(self, stack: AsyncExitStack) -> None:
        self._aiohttp_stacks.discard(stack)
        closing = asyncio.create_task(stack.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


@asynccontextmanager
async def open_upstreams(
    env: Mapping[str, str], wall: Callable[[], float], tap: Tap = no_tap
) -> AsyncIterator[Upstreams]:
    """Closes everything it opened at the end."""
    opened = Upstreams(env, wall, tap)
    try:
        yield opened
    finally:
        await opened.aclose()
