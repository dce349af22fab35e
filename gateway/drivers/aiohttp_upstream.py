"""Calls to providers, over aiohttp."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import aiohttp
from msgspec import structs
from multidict import CIMultiDictProxy

from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.errors import (
    Broken,
    ClientError,
    Reset,
    TimedOut,
    Unreachable,
    Unsuitable,
    UpstreamError,
)
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider, Timeouts
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect, HttpCall, Target
from gateway.wire.unsupported import without

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one answer that are read before the provider is taken for broken."""

_CONNECTIONS: Final = 0  # no limit: the door bounds what is in flight


class AiohttpUpstream:
    """Use as an async context manager; it owns its connections."""

    def __init__(self, providers: Mapping[str, Provider], timeouts: Timeouts) -> None:
        self._providers = providers
        self._timeouts = timeouts
        self._auth = {
            provider.name: DIALECTS[provider.dialect].auth(provider.api_key or "")
            for provider in providers.values()
        }
        self._targets: dict[tuple[str, int], Target] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("user-agent", "accept-encoding"),
            auto_decompress=True,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        dialect, target, call = self._encode(candidate, request, stream=False)
        if timeout_s <= 0:  # to aiohttp that is for ever
            raise TimedOut("there was no time left to ask the provider")
        begun = False
        try:
            async with self._post(candidate, call, timeout_s, None) as response:
                begun = True
                body = await _read(response)
                answer = dialect.decode(response.status, _lower(response.headers), body, target)
                return structs.replace(answer, dropped=call.dropped) if call.dropped else answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _meant(error, begun=begun) from error

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> AsyncGenerator[Sequence[Delta], None]:
        dialect, target, call = self._encode(candidate, request, stream=True)
        begun = False
        dropped = call.dropped
        try:
            # Until the first deltas the wait is bounded as a whole, then from piece to piece.
            async with asyncio.timeout(timeout_s) as until_first:
                async with self._post(candidate, call, None, self._timeouts.idle_s) as response:
                    begun = True
                    if response.status != 200:
                        body = await _read(response)
                        dialect.decode(response.status, _lower(response.headers), body, target)
                        raise Broken(f"status {response.status} with a body that is no error")
                    decoder = dialect.decoder(target)
                    async for chunk in response.content.iter_any():
                        if deltas := decoder.feed(chunk):
                            if dropped:
                                deltas[0] = structs.replace(deltas[0], dropped=dropped)
                                dropped = ()
                            if until_first.when() is not None:
                                until_first.reschedule(None)
                            yield deltas
                    deltas = decoder.finish()
                    if until_first.when() is not None:
                        until_first.reschedule(None)  # else it would strike whoever reads this
                    if deltas:
                        if dropped:
                            deltas[0] = structs.replace(deltas[0], dropped=dropped)
                        yield deltas
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _meant(error, begun=begun) from error

    def _encode(
        self, candidate: Candidate, request: ChatRequest, *, stream: bool
    ) -> tuple[Dialect, Target, HttpCall]:
        deployment = candidate.deployment
        provider = self._providers[deployment.provider]
        target = Target(deployment.upstream, candidate.max_output, provider.quirks)
        dialect = DIALECTS[provider.dialect]
        try:
            missed: tuple[str, ...] = ()
            if provider.lacks:
                request, missed = without(request, provider.lacks, provider.name)
            call = dialect.encode(request, target, stream=stream)
            if missed:
                call = structs.replace(call, dropped=tuple(sorted({*missed, *call.dropped})))
        except ClientError as error:
            # This format cannot say it; another candidate's may.
            raise Unsuitable(str(error), status=error.status, param=error.param) from error
        if call.dropped and provider.unsupported == "refuse":
            raise Unsuitable(
                f"{provider.name} cannot honour: {', '.join(call.dropped)}",
                status=400,
                param=call.dropped[0],
            )
        return dialect, target, call

    def _post(
        self, candidate: Candidate, call: HttpCall, total_s: float | None, read_s: float | None
    ) -> "aiohttp.client._RequestContextManager":
        provider = self._providers[candidate.deployment.provider]
        session = self._session
        if session is None:
            raise RuntimeError("AiohttpUpstream is used outside its context")
        return session.post(
            provider.base_url + call.path,
            data=call.body,
            headers={**call.headers, **self._auth[provider.name]},
            timeout=aiohttp.ClientTimeout(
                total=total_s, sock_connect=self._timeouts.connect_s, sock_read=read_s
            ),
            allow_redirects=False,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, in memory, as long as it is not absurd."""
    if (response.content_length or 0) > MAX_ANSWER:
        raise Broken("the answer is beyond 64 MiB")
    if response.content_length is not None and "Content-Encoding" not in response.headers:
        return await response.read()
    size = 0
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER:
            raise Broken("the answer is beyond 64 MiB")
        parts.append(chunk)
    return b"".join(parts)


def _lower(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _meant(error: Exception, *, begun: bool) -> UpstreamError:
    """What a failure of the transport means. Its own text may name our URL: it is not shown."""
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return Unreachable("the provider could not be connected to")
    if isinstance(error, TimeoutError):
        return TimedOut("the provider did not answer in time")
    if begun or isinstance(error, aiohttp.ClientResponseError):
        return Broken("the provider's answer broke off, or was no HTTP")
    return Reset("the provider closed the connection without an answer")
