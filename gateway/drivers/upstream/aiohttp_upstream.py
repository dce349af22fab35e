"""Calls to providers, over aiohttp."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from socket import AF_UNSPEC, AddressFamily
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from gateway.core.chat import ChatRequest, Completion
from gateway.core.errors import UNSENT, Unsuitable, UpstreamError, is_unsent
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider, Timeouts
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.aiohttp_bodies import (
    encoding,
    lower_names,
    next_chunk,
    raise_refusal,
    read_body,
    read_to_the_end,
)
from gateway.drivers.upstream.http_coding import decoder_for
from gateway.drivers.upstream.http_connection import MAX_HEAD
from gateway.drivers.upstream.http_pool import tls_context
from gateway.drivers.upstream.http_request import NO_HEADERS, is_path
from gateway.drivers.upstream.http_tunnel import Proxy, addresses, connect
from gateway.drivers.upstream.provider_calls import LAST_OK, ProviderCall, ProviderCalls
from gateway.drivers.upstream.provider_flow import ProviderFlow
from gateway.drivers.upstream.signing import NO_SIGNERS, Signer

_CONNECTIONS: Final = 0  # unlimited: admission bounds the requests in flight
_MIN_TIMEOUT_S: Final = 0.001  # no time at all would be no limit
_SENDING: Final[ContextVar[bool]] = ContextVar("sending", default=False)
"""Whether this task has a connection for its call, which is on its way."""


class _Request(aiohttp.ClientRequest):
    """Refuses a connection with unread bytes: aiohttp would take an unsolicited answer, sent while
    the connection was idle, for the answer to this request.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            conn.close()
            raise aiohttp.ServerDisconnectedError
        _SENDING.set(True)
        return await super().send(conn)


class _Resolver(aiohttp.ThreadedResolver):
    """Raises OSError, as aiohttp expects, also for a host that cannot be a name, such as `a..b`."""

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            return await super().resolve(host, port, family)
        except UnicodeError as error:
            raise OSError("the host cannot be a name") from error


class _TunnelConnector(aiohttp.BaseConnector):
    """Opens every connection through a CONNECT tunnel of one proxy. With aiohttp's own proxy
    support, a proxy reads requests to a plain `http` provider, and its errors look like the
    provider's.
    """

    def __init__(self, proxy: Proxy, tls: SSLContext, connect_s: float) -> None:
        super().__init__(limit=_CONNECTIONS)
        self._proxy = proxy
        self._addresses = addresses(proxy.host, proxy.port)
        self._tls = tls
        self._connect_s = connect_s

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: object,
        timeout: object,  # noqa: ASYNC109
    ) -> ResponseHandler:
        """The method that each aiohttp connector overrides."""
        host, port = req.url.raw_host or "", req.url.port or 0
        tls = self._tls if req.is_ssl() else None
        try:
            async with asyncio.timeout(self._connect_s):
                _, handler = await connect(
                    self._factory, host, port, tls, self._proxy, self._addresses
                )
        except (OSError, RuntimeError, UnicodeError) as error:  # uvloop has RuntimeErrors
            raise failures.unreachable(proxied=True) from error
        return handler


class AiohttpUpstream:
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
        self._timeouts = timeouts
        self._calls = ProviderCalls(providers, signers)
        self._cafile = cafile
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        """By the URL of the proxy; None: no proxy."""
        self._proxies = {each.proxy for each in providers.values() if each.proxy}

    async def __aenter__(self) -> Self:
        tls = tls_context(self._cafile) if self._cafile or self._proxies else None
        direct = aiohttp.TCPConnector(
            limit=_CONNECTIONS, ttl_dns_cache=60, ssl=tls or True, resolver=_Resolver()
        )
        self._sessions[None] = _session(direct)
        for url in self._proxies:
            assert tls is not None  # noqa: S101
            self._sessions[url] = _session(
                _TunnelConnector(Proxy(url, tls), tls, self._timeouts.connect_s)
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self.sessions:
            await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Its connections through no proxy."""
        return self._session_for(None)

    @property
    def sessions(self) -> Collection[aiohttp.ClientSession]:
        """All its connections."""
        return self._sessions.values()

    def _session_for(self, proxy: str | None) -> aiohttp.ClientSession:
        try:
            return self._sessions[proxy]
        except KeyError:
            raise RuntimeError("AiohttpUpstream is used outside its context") from None

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        call = self._calls.write(candidate, request, stream=False)
        if timeout_s <= 0:  # aiohttp reads this as no timeout
            raise failures.no_time()
        began_s = time.monotonic()
        auth_headers = await call.auth_headers(timeout_s)
        left_s = max(timeout_s - (time.monotonic() - began_s), _MIN_TIMEOUT_S)
        response_started = False
        try:
            async with await self._post(call, auth_headers, left_s) as response:
                response_started = True
                body = await read_body(response)
                return call.read(response.status, lower_names(response.headers), body, auth_headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            elapsed_s = time.monotonic() - began_s
            raise _classify(error, elapsed_s, response_started=response_started) from error

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        call = self._calls.write(candidate, request, stream=True)
        began_s = time.monotonic()
        response_started = False
        flow = ProviderFlow(call)
        auth_headers = NO_HEADERS
        # Each wait has a timeout of its own: one for all would strike the task that it began in,
        # and that may be another than reads on.
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                auth_headers = await call.auth_headers(timeout_s)
                response = await self._post(call, auth_headers, None)
            async with response:
                response_started = True
                if response.status > LAST_OK:
                    await raise_refusal(call, response, deadline, auth_headers)
                flow = ProviderFlow(call, decoder_for(encoding(response)))
                while not flow.done and (chunk := await next_chunk(response, deadline)):
                    for deltas in flow.read(chunk):
                        yield deltas
                        deadline = clock() + self._timeouts.idle_s
                if not flow.done:
                    flow.body_ended()
                await read_to_the_end(response)
        except UpstreamError as error:
            flow.prepare_error(error, auth_headers)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not flow.complete:
                elapsed_s = time.monotonic() - began_s
                failure = _classify(error, elapsed_s, response_started=response_started)
                flow.prepare_error(failure, auth_headers)
                raise failure from error
        last = flow.finish(auth_headers)
        if last:
            yield last

    async def _post(
        self, call: ProviderCall, auth_headers: Mapping[str, str], total_s: float | None
    ) -> aiohttp.ClientResponse:
        """The head of an answer. Cancelled, or out of time, it says where nothing was sent."""
        if not is_path(call.http.path):
            raise Unsuitable("the model's name cannot be sent")
        _SENDING.set(False)
        try:
            return await self._session_for(call.setup.provider.proxy).post(
                URL(call.url, encoded=True),  # else %3A becomes a colon: not what was signed
                data=call.http.body,
                headers={
                    **call.http.headers,
                    **self._calls.headers[call.setup.provider.name],
                    **auth_headers,
                },
                timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=self._timeouts.connect_s),
                allow_redirects=False,
            )
        except (asyncio.CancelledError, TimeoutError) as error:
            if not _SENDING.get():
                error.add_note(UNSENT)
            raise


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("user-agent", "accept-encoding"),
        auto_decompress=False,  # it cannot do all of them, nor without a bound
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
        trust_env=False,
    )


def _classify(error: Exception, elapsed_s: float, *, response_started: bool) -> UpstreamError:
    """Maps a transport failure, `elapsed_s` after the request was sent. Its own text may contain
    our URL, so it is not used.
    """
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return failures.unreachable()
    if isinstance(error, TimeoutError):
        unsent = is_unsent(error) or is_unsent(error.__context__)  # the cancellation it is made of
        return failures.no_time() if unsent else failures.timed_out()
    if response_started or isinstance(error, aiohttp.ClientResponseError):
        return failures.broken()
    return failures.closed_early(elapsed_s, error)
