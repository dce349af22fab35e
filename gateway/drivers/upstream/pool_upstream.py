"""Calls to providers, over connections of our own: the default."""

import asyncio
import time
from collections.abc import Collection, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Never, Self, TypeAlias
from weakref import WeakSet

from gateway.core.chat import ChatRequest, Completion
from gateway.core.errors import UpstreamError
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider, Timeouts
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.deadline_wheel import DeadlineWheel
from gateway.drivers.upstream.http_coding import plain
from gateway.drivers.upstream.http_connection import WHOLE, Connection
from gateway.drivers.upstream.http_pool import Pool, tls_context
from gateway.drivers.upstream.http_request import NONE, Origin, Posts
from gateway.drivers.upstream.http_tunnel import Proxy
from gateway.drivers.upstream.pouring import Pouring
from gateway.drivers.upstream.provider_calls import ProviderCall, ProviderCalls
from gateway.drivers.upstream.provider_flow import AFTER_S, ProviderFlow
from gateway.drivers.upstream.signing import NO_SIGNERS, Signer

_Where: TypeAlias = tuple[tuple[bool, str, int], str | None]
"""An origin, and the URL of the proxy on the way there."""


class PoolUpstream:
    """Use as an async context manager; it owns its connections.

    `cafile` names certificates to trust instead of the system's.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        timeouts: Timeouts,
        signers: Mapping[str, Signer] = NO_SIGNERS,
        *,
        cafile: str | None = None,
    ) -> None:
        self._providers = providers
        self._connect_s = timeouts.connect_s
        self._idle_s = timeouts.idle_s
        self._cafile = cafile
        self._calls = ProviderCalls(providers, signers)
        self._origins = {name: Origin(each.base_url) for name, each in providers.items()}
        self._wheel: DeadlineWheel | None = None
        self._tls: SSLContext | None = None
        self._left: WeakSet[Pool] = WeakSet()
        """Those of former upstreams, until their last call is over."""
        self._pools: dict[str, Pool] = {}
        """By provider; those at one origin, by the same way, share theirs."""
        self._ends: dict[str, tuple[Pool, Posts]] = {}
        """What a provider is asked by."""

    async def __aenter__(self) -> Self:
        self._wheel = DeadlineWheel()
        self._open({}, self._wheel)
        return self

    def renewed(
        self,
        providers: Mapping[str, Provider],
        timeouts: Timeouts,
        signers: Mapping[str, Signer] = NO_SIGNERS,
    ) -> "PoolUpstream":
        """What takes its place, and closes what both have. It still makes the calls of those who
        have it, but its connections are kept only where those who share them are as they were.
        """
        if self._wheel is None:
            raise RuntimeError("PoolUpstream is used outside its context")
        new = PoolUpstream(providers, timeouts, signers, cafile=self._cafile)
        kept = {} if new._connect_s != self._connect_s else self._same(new)
        new._wheel, new._tls, new._left = self._wheel, self._tls, self._left
        new._open(kept, self._wheel)
        for pool in {*self._pools.values()} - {*kept.values()}:
            pool.retire()
            new._left.add(pool)
        return new

    def _same(self, new: "PoolUpstream") -> dict[_Where, Pool]:
        """The pools of places whose providers are the same, in both."""
        before, after = self._by_place(), new._by_place()  # noqa: SLF001 - one of us
        return {
            where: self._pools[theirs[0].name]
            for where, theirs in before.items()
            if after.get(where) == theirs
        }

    def _by_place(self) -> dict[_Where, list[Provider]]:
        found: dict[_Where, list[Provider]] = {}
        for name in sorted(self._providers):
            found.setdefault(self._where(name), []).append(self._providers[name])
        return found

    def _where(self, name: str) -> _Where:
        return self._origins[name].key, self._providers[name].proxy

    def _open(self, shared: dict[_Where, Pool], wheel: DeadlineWheel) -> None:
        secure = any(origin.tls for origin in self._origins.values())
        proxied = any(each.proxy for each in self._providers.values())
        if self._tls is None and (secure or proxied):
            self._tls = tls_context(self._cafile)
        for name, origin in self._origins.items():
            where = _, proxy = self._where(name)
            if where not in shared:
                shared[where] = Pool(
                    origin.host,
                    origin.port,
                    self._tls if origin.tls else None,
                    wheel,
                    connect_s=self._connect_s,
                    proxy=Proxy(proxy, self._tls) if proxy else None,
                )
            pool = self._pools[name] = shared[where]
            self._ends[name] = pool, Posts(origin, self._calls.headers[name])

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in {*self._pools.values(), *self._left}:
            await pool.aclose()
        if self._wheel is not None:
            self._wheel.close()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return sum(pool.open for pool in {*self._pools.values()})

    async def warm(self, names: Collection[str]) -> None:
        """Open a connection to each of these providers where there is none."""
        pools = {self._pools[name] for name in names}
        await asyncio.gather(*(pool.warm() for pool in pools))

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        call = self._calls.write(candidate, request, stream=False)
        deadline = _deadline(timeout_s)
        proof = NONE if call.way.signer is None else await call.proof(timeout_s)
        pool, posts = self._ends[candidate.deployment.provider]
        answer = await pool.ask(posts.post(call.http, proof), deadline, whole=True)
        try:
            headers = answer.headers
            return call.read(answer.status, headers, plain(headers, answer.take()), proof)
        finally:
            pool.release(answer)

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        call = self._calls.write(candidate, request, stream=True)
        deadline = _deadline(timeout_s)
        proof = NONE if call.way.signer is None else await call.proof(timeout_s)
        pool, posts = self._ends[candidate.deployment.provider]
        answer = await pool.ask(posts.post(call.http, proof), deadline, whole=False)
        if answer.status != 200:
            await _refused(call, pool, answer, deadline, proof)
        flow: Pouring | None = None
        try:
            flow = Pouring(call, answer, self._idle_s)
            while not flow.done:
                if body := answer.take():
                    for deltas in flow.read(body):
                        deadline = flow.into((yield deltas))
                elif answer.state == WHOLE:
                    flow.body_ended()
                    break
                elif flow.full:
                    deadline = flow.into((yield ()))
                elif not await _more(answer, flow, deadline):
                    break
            await _rest(answer, flow)
            last = flow.finish(proof)
        except BaseException as error:
            answer.close()
            (flow.failed if flow else call.hide)(error, proof)
            raise
        answer.take()  # what came behind the end
        pool.release(answer)
        if last:
            yield last


def _deadline(timeout_s: float) -> float:
    if timeout_s <= 0:
        raise failures.no_time()
    return time.monotonic() + timeout_s


async def _more(answer: Connection, flow: Pouring, deadline: float) -> bool:
    """Wait for more; False when nothing comes, and nothing is missed. Raises UpstreamError."""
    try:
        if flow.sink is None:
            await answer.wait(deadline)
        else:
            await answer.pour(flow.take, deadline)
    except UpstreamError:
        if flow.complete:
            return False
        raise
    return True


async def _rest(answer: Connection, flow: ProviderFlow) -> None:
    """Wait a moment for the end of an answer that has said all."""
    if not flow.done or answer.state == WHOLE:
        return
    deadline = time.monotonic() + AFTER_S
    try:
        while answer.state != WHOLE and time.monotonic() < deadline:
            if not answer.take():
                await answer.wait(deadline)
    except UpstreamError:
        answer.close()


async def _refused(
    call: ProviderCall, pool: Pool, answer: Connection, deadline: float, proof: Mapping[str, str]
) -> Never:
    """There is no stream: what is said instead is read whole."""
    try:
        await answer.collect(deadline)
    except BaseException:
        answer.close()
        raise
    try:
        headers = answer.headers
        call.refused(answer.status, headers, plain(headers, answer.take()), proof)
    finally:
        pool.release(answer)
