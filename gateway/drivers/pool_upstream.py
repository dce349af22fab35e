"""Calls to providers, over connections of our own: the default."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Never, Self

from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider, Timeouts
from gateway.drivers import http_failures as failures
from gateway.drivers.deadline_wheel import DeadlineWheel
from gateway.drivers.http_coding import coding_of
from gateway.drivers.http_connection import WHOLE, Connection
from gateway.drivers.http_headers import Headers
from gateway.drivers.http_pool import Pool, tls_context
from gateway.drivers.http_request import NONE, Origin, Posts
from gateway.drivers.provider_calls import ProviderCall, ProviderCalls
from gateway.drivers.signing import NO_SIGNERS, Signer


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
        self._connect_s = timeouts.connect_s
        self._idle_s = timeouts.idle_s
        self._cafile = cafile
        self._calls = ProviderCalls(providers, signers)
        self._origins = {name: Origin(each.base_url) for name, each in providers.items()}
        self._posts = {
            name: Posts(origin, self._calls.headers[name]) for name, origin in self._origins.items()
        }
        self._wheel: DeadlineWheel | None = None
        self._pools: dict[str, Pool] = {}
        """By provider; those at one origin share theirs."""

    async def __aenter__(self) -> Self:
        self._wheel = DeadlineWheel()
        secure = any(origin.tls for origin in self._origins.values())
        tls = tls_context(self._cafile) if secure else None
        shared: dict[tuple[bool, str, int], Pool] = {}
        for name, origin in self._origins.items():
            if origin.key not in shared:
                shared[origin.key] = Pool(
                    origin.host,
                    origin.port,
                    tls if origin.tls else None,
                    self._wheel,
                    connect_s=self._connect_s,
                )
            self._pools[name] = shared[origin.key]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        if self._wheel is not None:
            self._wheel.close()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return sum(pool.open for pool in {*self._pools.values()})

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        call = self._calls.write(candidate, request, stream=False)
        pool = self._pools[call.provider.name]
        if timeout_s <= 0:
            raise failures.no_time()
        deadline = time.monotonic() + timeout_s
        proof = await call.proof(timeout_s) if call.signer else NONE
        post = self._posts[call.provider.name].post(call.http, proof)
        answer = await pool.ask(post, deadline, whole=True)
        body = answer.take()
        status, headers = answer.status, answer.headers
        pool.release(answer)
        return call.read(status, headers, _plain(headers, body), proof)

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> AsyncGenerator[Sequence[Delta], None]:
        call = self._calls.write(candidate, request, stream=True)
        pool = self._pools[call.provider.name]
        if timeout_s <= 0:
            raise failures.no_time()
        deadline = time.monotonic() + timeout_s
        proof = await call.proof(timeout_s) if call.signer else NONE
        post = self._posts[call.provider.name].post(call.http, proof)
        answer = await pool.ask(post, deadline, whole=False)
        if answer.status != 200:
            await _refused(call, pool, answer, deadline, proof)
        first = True
        try:
            body = _Flow(answer)
            decoder = call.dialect.decoder(call.target)
            while True:
                if piece := answer.take():
                    if deltas := decoder.feed(body.plain(piece)):
                        yield call.told(deltas, first=first)
                        first = False
                elif answer.state == WHOLE:
                    break
                else:
                    # Until the first deltas the wait is bounded as a whole, then each one.
                    await answer.wait(deadline if first else time.monotonic() + self._idle_s)
            body.coding.finish()
            deltas = decoder.finish()
        except BaseException as error:
            answer.close()
            call.hide(error, proof)
            raise
        pool.release(answer)
        if deltas:
            yield call.told(deltas, first=first)


class _Flow:
    """The body of a flowing answer, uncompressed."""

    __slots__ = ("_size", "coding")

    def __init__(self, answer: Connection) -> None:
        self.coding = coding_of(answer.headers)
        self._size = 0

    def plain(self, piece: bytes) -> bytes:
        """Raises Broken when it goes on beyond what is ever an answer."""
        told = self.coding.feed(piece)
        self._size += len(told)
        if self._size > failures.MAX_ANSWER:
            raise failures.too_large()
        return told


async def _refused(
    call: ProviderCall, pool: Pool, answer: Connection, deadline: float, proof: Mapping[str, str]
) -> Never:
    """There is no stream: what is said instead is read whole."""
    try:
        await answer.collect(deadline)
    except BaseException:
        answer.close()
        raise
    status, headers, body = answer.status, answer.headers, answer.take()
    pool.release(answer)
    call.refused(status, headers, _plain(headers, body), proof)


def _plain(headers: Headers, body: bytes) -> bytes:
    coding = coding_of(headers)
    plain = coding.feed(body)
    coding.finish()
    return plain
