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
from gateway.drivers.upstream.http_coding import CONTENT_ENCODING, decode_body
from gateway.drivers.upstream.http_connection import WHOLE, Connection
from gateway.drivers.upstream.http_pool import Pool, tls_context
from gateway.drivers.upstream.http_request import NO_HEADERS, Origin, PostBuilder
from gateway.drivers.upstream.http_tunnel import Proxy
from gateway.drivers.upstream.pouring import Pouring
from gateway.drivers.upstream.provider_calls import LAST_OK, ProviderCall, ProviderCalls
from gateway.drivers.upstream.provider_flow import AFTER_S, ProviderFlow
from gateway.drivers.upstream.signing import NO_SIGNERS, Signer

_OriginKey: TypeAlias = tuple[tuple[bool, str, int], str | None]
"""An origin, and the URL of the proxy used for it."""


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
        self._retired: WeakSet[Pool] = WeakSet()
        """Pools of replaced upstreams, until their last call is over."""
        self._pools: dict[str, Pool] = {}
        """By provider; those with the same origin and proxy share one."""
        self._endpoints: dict[str, tuple[Pool, PostBuilder]] = {}
        """By provider: its pool, and what builds its requests."""

    async def __aenter__(self) -> Self:
        self._wheel = DeadlineWheel()
        self._open_pools({}, self._wheel)
        return self

    def renewed(
        self,
        providers: Mapping[str, Provider],
        timeouts: Timeouts,
        signers: Mapping[str, Signer] = NO_SIGNERS,
    ) -> "PoolUpstream":
        """A replacement, which takes over closing. This one still serves its callers; a pool is
        kept for both only if none of the providers that share it changed.
        """
        if self._wheel is None:
            raise RuntimeError("PoolUpstream is used outside its context")
        new = PoolUpstream(providers, timeouts, signers, cafile=self._cafile)
        shared = {} if new._connect_s != self._connect_s else self._shared_pools(new)
        new._wheel, new._tls, new._retired = self._wheel, self._tls, self._retired
        new._open_pools(shared, self._wheel)
        for pool in {*self._pools.values()} - {*shared.values()}:
            pool.retire()
            new._retired.add(pool)
        return new

    def _shared_pools(self, new: "PoolUpstream") -> dict[_OriginKey, Pool]:
        """The pools whose providers are the same in both."""
        before, after = self._by_origin(), new._by_origin()  # noqa: SLF001 - one of us
        return {
            key: self._pools[same_providers[0].name]
            for key, same_providers in before.items()
            if after.get(key) == same_providers
        }

    def _by_origin(self) -> dict[_OriginKey, list[Provider]]:
        by_origin: dict[_OriginKey, list[Provider]] = {}
        for name in sorted(self._providers):
            by_origin.setdefault(self._origin_key(name), []).append(self._providers[name])
        return by_origin

    def _origin_key(self, name: str) -> _OriginKey:
        return self._origins[name].key, self._providers[name].proxy

    def _open_pools(self, shared: dict[_OriginKey, Pool], wheel: DeadlineWheel) -> None:
        secure = any(origin.tls for origin in self._origins.values())
        proxied = any(each.proxy for each in self._providers.values())
        if self._tls is None and (secure or proxied):
            self._tls = tls_context(self._cafile)
        for name, origin in self._origins.items():
            key = _, proxy = self._origin_key(name)
            if key not in shared:
                shared[key] = Pool(
                    origin.host,
                    origin.port,
                    self._tls if origin.tls else None,
                    wheel,
                    connect_s=self._connect_s,
                    proxy=Proxy(proxy, self._tls) if proxy else None,
                )
            pool = self._pools[name] = shared[key]
            self._endpoints[name] = pool, PostBuilder(origin, self._calls.headers[name])

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in {*self._pools.values(), *self._retired}:
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
        auth_headers = (
            NO_HEADERS if call.setup.signer is None else await call.auth_headers(timeout_s)
        )
        pool, builder = self._endpoints[candidate.deployment.provider]
        answer = await pool.ask(builder.build(call.http, auth_headers), deadline, whole=True)
        try:
            headers, status = answer.headers, answer.status
            body = decode_body(headers.find(CONTENT_ENCODING), answer.take(), status)
            return call.read(status, headers, body, auth_headers)
        finally:
            pool.release(answer)

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        call = self._calls.write(candidate, request, stream=True)
        deadline = _deadline(timeout_s)
        auth_headers = (
            NO_HEADERS if call.setup.signer is None else await call.auth_headers(timeout_s)
        )
        pool, builder = self._endpoints[candidate.deployment.provider]
        answer = await pool.ask(builder.build(call.http, auth_headers), deadline, whole=False)
        if answer.status > LAST_OK:
            await _raise_refusal(call, pool, answer, deadline, auth_headers)
        flow: Pouring | None = None
        try:
            flow = Pouring(call, answer, self._idle_s)
            while not flow.done:
                if body := answer.take():
                    for deltas in flow.read(body):
                        deadline = flow.pour_into((yield deltas))
                elif answer.state == WHOLE:
                    flow.body_ended()
                    break
                elif flow.full:
                    deadline = flow.pour_into((yield ()))
                elif not await _wait_for_more(answer, flow, deadline):
                    break
            await _wait_for_end(answer, flow)
            last = flow.finish(auth_headers)
        except BaseException as error:
            answer.close()
            (flow.prepare_error if flow else call.hide)(error, auth_headers)
            raise
        answer.take()  # drop what came after the end
        pool.release(answer)
        if last:
            yield last


def _deadline(timeout_s: float) -> float:
    if timeout_s <= 0:
        raise failures.no_time()
    return time.monotonic() + timeout_s


async def _wait_for_more(answer: Connection, flow: Pouring, deadline: float) -> bool:
    """Wait for more; False when it failed after a complete answer. Raises UpstreamError."""
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


async def _wait_for_end(answer: Connection, flow: ProviderFlow) -> None:
    """Wait briefly for the HTTP end of a finished answer, so that the connection can be reused."""
    if not flow.done or answer.state == WHOLE:
        return
    deadline = time.monotonic() + AFTER_S
    try:
        while answer.state != WHOLE and time.monotonic() < deadline:
            if not answer.take():
                await answer.wait(deadline)
    except UpstreamError:
        answer.close()


async def _raise_refusal(
    call: ProviderCall,
    pool: Pool,
    answer: Connection,
    deadline: float,
    auth_headers: Mapping[str, str],
) -> Never:
    """Not a stream: read the whole body, and raise the error in it."""
    try:
        await answer.collect(deadline)
    except BaseException:
        answer.close()
        raise
    try:
        headers, status = answer.headers, answer.status
        body = decode_body(headers.find(CONTENT_ENCODING), answer.take(), status)
        call.raise_refusal(status, headers, body, auth_headers)
    finally:
        pool.release(answer)
