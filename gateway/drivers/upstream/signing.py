"""How a call proves who makes it: by headers that are always the same, or by a signer.

    auth       headers of every call          signer
    (none)     the dialect's own, with key
    azure      api-key
    bearer     authorization: Bearer <key>
    aws                                       Signature Version 4, over each call
    google                                    authorization: Bearer <token>, while it is good

No key or token is ever in a query, an error, or a repr.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Protocol, assert_never

from gateway.core.snapshot import (
    AwsAuth,
    AzureAuth,
    BearerAuth,
    GoogleAuth,
    Provider,
    Secret,
)
from gateway.drivers.upstream import aws_credentials, google_tokens
from gateway.drivers.upstream.http_tunnel import Proxy
from gateway.drivers.upstream.renewed import Issued, Renewed
from gateway.wire.dialect import Dialect, HttpCall
from gateway.wire.sigv4 import Credentials, Scope, sign

Clock = Callable[[], float]
"""Unix seconds."""


class Signer(Protocol):
    """For use on one event loop."""

    async def sign(self, url: str, call: HttpCall, timeout_s: float) -> Mapping[str, str]:
        """The headers to add to a call to exactly this URL. Raises Misconfigured."""
        ...

    def refused(self) -> None:
        """The provider did not accept a signature: fetch new credentials for the next one."""
        ...

    async def aclose(self) -> None: ...


NO_SIGNERS: Final[Mapping[str, Signer]] = {}


def fixed_headers(provider: Provider, dialect: Dialect) -> Mapping[str, str]:
    """The headers of every call to a provider; none for those with a signer."""
    key = provider.api_key or ""
    match provider.auth:
        case None:
            return dialect.auth(key)
        case AzureAuth():
            return {"api-key": key}
        case BearerAuth():
            return {"authorization": f"Bearer {key}"}
        case AwsAuth() | GoogleAuth():
            return {}
        case other:
            assert_never(other)


def needs_signer(provider: Provider) -> bool:
    return isinstance(provider.auth, AwsAuth | GoogleAuth)


@asynccontextmanager
async def open_signers(
    providers: Mapping[str, Provider], env: Mapping[str, str], wall: Clock
) -> AsyncIterator[Mapping[str, Signer]]:
    """The signers of those providers that need one, by name. `env` is the process's environment."""
    async with AsyncExitStack() as stack:
        signers: dict[str, Signer] = {}
        for name, provider in providers.items():
            signer = signer_of(provider, env, wall)
            if signer is not None:
                signers[name] = signer
                stack.push_async_callback(signer.aclose)
        yield signers


def signer_of(provider: Provider, env: Mapping[str, str], wall: Clock) -> Signer | None:
    """None where fixed headers are enough."""
    if isinstance(provider.auth, AwsAuth):
        return AwsSigner(provider.auth, env, wall)
    if isinstance(provider.auth, GoogleAuth):
        proxy = Proxy(provider.proxy) if provider.proxy else None
        return GoogleSigner(provider.auth, env, wall, proxy)
    return None


class AwsSigner:
    """Signs each call; credentials are found once, and again when they end or are refused."""

    def __init__(self, auth: AwsAuth, env: Mapping[str, str], wall: Clock) -> None:
        self._scope = Scope(auth.region)
        self._wall = wall

        async def find() -> Issued[Credentials]:
            return await asyncio.to_thread(aws_credentials.find, auth, env)

        self._credentials = Renewed(find, wall)

    async def sign(self, url: str, call: HttpCall, timeout_s: float) -> Mapping[str, str]:
        credentials = await self._credentials.get(timeout_s)
        return sign(
            credentials, self._scope, self._wall(), url=url, headers=call.headers, body=call.body
        )

    def refused(self) -> None:
        self._credentials.refused()

    async def aclose(self) -> None:
        await self._credentials.aclose()


class GoogleSigner:
    """Sends a bearer token, renewed in the background before it expires."""

    def __init__(
        self, auth: GoogleAuth, env: Mapping[str, str], wall: Clock, proxy: Proxy | None = None
    ) -> None:
        async def fetch() -> Issued[Secret]:
            return await asyncio.to_thread(google_tokens.fetch, auth, env, wall(), proxy)

        self._token = Renewed(fetch, wall)

    async def sign(self, url: str, call: HttpCall, timeout_s: float) -> Mapping[str, str]:
        return {"authorization": f"Bearer {await self._token.get(timeout_s)}"}

    def refused(self) -> None:
        self._token.refused()

    async def aclose(self) -> None:
        await self._token.aclose()
