"""Encodes a chat request for its provider's API, and decodes the answer.

Shared by both HTTP clients.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Never, TypeAlias

from msgspec import Struct, structs

from gateway import __version__
from gateway.core.catalog import Deployment
from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.errors import (
    UNSENT,
    Broken,
    ClientError,
    Misconfigured,
    Unsuitable,
    UpstreamError,
)
from gateway.core.plan import Candidate
from gateway.core.shape import asks_for_an_hour
from gateway.core.snapshot import AzureAuth, GoogleAuth, Provider
from gateway.drivers.traces.traceparent import CALL_TRACEPARENT
from gateway.drivers.upstream.http_privacy import Privacy
from gateway.drivers.upstream.http_request import NO_HEADERS
from gateway.drivers.upstream.signing import NO_SIGNERS, Signer, fixed_headers, needs_signer
from gateway.wire import DIALECTS
from gateway.wire.buckets import ALLOWED, refuse_buckets
from gateway.wire.dialect import Dialect, HttpCall, Target
from gateway.wire.unsupported import decode_field, without_fields

_COMMON_HEADERS: Final[Mapping[str, str]] = {
    "accept-encoding": "identity",
    "user-agent": f"tollgate/{__version__}",
}
"""Sent with every call, and never signed: a proxy may change them on the way."""
_AUTH_STATUSES: Final = frozenset({400, 401, 403})
"""A Misconfigured with one of these may be due to the signature; with others, to the model or an
unpaid bill."""
OK: Final = 200
LAST_OK: Final = 299
"""Statuses between these two are taken for the first."""
_MAX_CONTEXTS: Final = 100
"""No call uses so many times its model's context, even where the provider runs tools in a loop. A
reported usage beyond is a mistake: counted, one of them would exhaust a budget."""


_MAX_SETUPS: Final = 4096
"""Deployments come and go as configurations do. Emptied when there are more."""


class DeploymentSetup(Struct, frozen=True, eq=False):
    """What all calls to one deployment have in common."""

    deployment: Deployment
    quirks: frozenset[str]
    lacks: frozenset[str]
    altered: bool
    """Whether its calls differ from what the dialect encodes."""
    guarded: bool
    """Whether it could read our cloud storage, which its dialect does not check for."""
    provider: Provider
    dialect: Dialect
    api_version: str | None
    signer: Signer | None
    """None: fixed headers are enough."""
    privacy: Privacy


_ProviderSetup: TypeAlias = tuple[Provider, Dialect, str | None, Signer | None, Privacy]
"""What all deployments of one provider share: the last fields of DeploymentSetup."""


class ProviderCall(Struct, frozen=True, gc=False):
    """An encoded call, and what decodes its answer."""

    setup: DeploymentSetup
    target: Target
    http: HttpCall
    max_usage_tokens: int
    """The most prompt, or completion, tokens that a usage is believed to have."""

    async def auth_headers(self, timeout_s: float) -> Mapping[str, str]:
        """The headers of this call alone. Raises Misconfigured."""
        signer = self.setup.signer
        if signer is None:
            return NO_HEADERS
        try:
            return await signer.sign(self.url, self.http, timeout_s)
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            raise

    @property
    def url(self) -> str:
        """To be sent unchanged: it is signed."""
        return self.setup.provider.base_url + self.http.path

    def read(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        auth_headers: Mapping[str, str] = NO_HEADERS,
    ) -> Completion:
        """A whole answer. Raises UpstreamError for anything else."""
        try:
            answer = self.setup.dialect.decode(status, headers, body, self.target)
        except UpstreamError as error:
            if OK < status <= LAST_OK:  # some hosts say 201 of an answer as any other
                return self.read(OK, headers, body, auth_headers)
            self._note_error(error, status, auth_headers)
            raise
        usage = answer.usage
        if usage is not None and (
            usage.prompt > self.max_usage_tokens or usage.completion > self.max_usage_tokens
        ):
            answer = structs.replace(answer, usage=None)
        dropped = self.http.dropped
        return structs.replace(answer, dropped=dropped) if dropped else answer

    def raise_refusal(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        auth_headers: Mapping[str, str] = NO_HEADERS,
    ) -> Never:
        """Raises the UpstreamError of an answer that came in place of a stream."""
        self.read(status, headers, body, auth_headers)
        raise Broken(f"status {status} with a body that is no error")

    def _note_error(
        self, error: UpstreamError, status: int, auth_headers: Mapping[str, str]
    ) -> None:
        self.hide(error, auth_headers)
        signer = self.setup.signer
        if signer is not None and isinstance(error, Misconfigured) and status in _AUTH_STATUSES:
            signer.refused()

    def annotate(self, deltas: list[Delta], *, first: bool) -> list[Delta]:
        """Deltas of a stream; the first ones get the names of dropped parameters."""
        for at, delta in enumerate(deltas):
            usage = delta.usage
            if usage is not None and (
                usage.prompt > self.max_usage_tokens or usage.completion > self.max_usage_tokens
            ):
                deltas[at] = structs.replace(delta, usage=None)
        dropped = self.http.dropped if first else ()
        if not dropped:
            return deltas
        return [structs.replace(deltas[0], dropped=dropped), *deltas[1:]]

    def hide(self, error: BaseException, auth_headers: Mapping[str, str]) -> None:
        """Redact our key and the provider's URL in an error, and drop an implausible usage."""
        if isinstance(error, UpstreamError):
            usage = error.usage
            if usage is not None and (
                usage.prompt > self.max_usage_tokens or usage.completion > self.max_usage_tokens
            ):
                error.usage = None
            self.setup.privacy.hide(error, auth_headers)


class ProviderCalls:
    """`headers` are the fixed headers by provider name, with its key.

    `signers` are by provider name. Raises ValueError where one is missing.
    """

    def __init__(
        self, providers: Mapping[str, Provider], signers: Mapping[str, Signer] = NO_SIGNERS
    ) -> None:
        self._provider_setups: dict[str, _ProviderSetup] = {}
        self._setups: dict[str, DeploymentSetup] = {}
        """By deployment, made when first used."""
        self.headers: dict[str, Mapping[str, str]] = {}
        for name, provider in providers.items():
            dialect, auth, signer = DIALECTS[provider.dialect], provider.auth, signers.get(name)
            if needs_signer(provider) and signer is None:
                raise ValueError(f"the provider {name} has no signer")
            version = auth.api_version if isinstance(auth, AzureAuth) else None
            privacy = Privacy(provider.base_url, provider.api_key)
            self._provider_setups[name] = provider, dialect, version, signer, privacy
            self.headers[name] = {**_COMMON_HEADERS, **fixed_headers(provider, dialect)}

    def write(self, candidate: Candidate, request: ChatRequest, *, stream: bool) -> ProviderCall:
        """Raises Unsuitable for what this provider cannot be asked."""
        deployment = candidate.deployment
        setup = self._setups.get(deployment.name)
        if setup is None or setup.deployment is not deployment:
            setup = self._make_setup(deployment)
        # Not cached: making it costs no more than a look-up (0.2 us).
        target = Target(
            deployment.upstream,
            candidate.max_output,
            setup.quirks,
            setup.api_version,
            candidate.prompt,
            candidate.model.usable_context,
            candidate.surcharges.an_hour and _keeps_for_an_hour(deployment, request),
        )
        try:
            if setup.altered:
                call = _encode_altered(setup, request, target, stream=stream)
            else:
                call = setup.dialect.encode(request, target, stream=stream)
        except ClientError as error:
            # This dialect cannot express it; another candidate's may.
            raise Unsuitable(str(error), status=error.status, param=error.param) from error
        if call.dropped and setup.provider.unsupported == "refuse":
            raise Unsuitable(
                f"{setup.provider.name} cannot honour: {', '.join(call.dropped)}",
                status=400,
                param=call.dropped[0],
            )
        return ProviderCall(setup, target, call, _MAX_CONTEXTS * candidate.model.context)

    def _make_setup(self, deployment: Deployment) -> DeploymentSetup:
        """For a deployment that is new, or that changed."""
        provider, *_ = provider_setup = self._provider_setups[deployment.provider]
        quirks = provider.quirks if deployment.quirks is None else deployment.quirks
        lacks = provider.lacks if deployment.lacks is None else deployment.lacks
        google = provider.dialect == "openai" and isinstance(provider.auth, GoogleAuth)
        guarded = google and ALLOWED not in quirks
        altered = bool(lacks) or provider.forward_traceparent or guarded
        if len(self._setups) >= _MAX_SETUPS:
            self._setups.clear()
        setup = self._setups[deployment.name] = DeploymentSetup(
            deployment, quirks, lacks, altered, guarded, *provider_setup
        )
        return setup


def _keeps_for_an_hour(deployment: Deployment, request: ChatRequest) -> bool:
    """Whether what it writes to a prompt cache is for an hour, which only Claude does."""
    return "claude" in deployment.upstream and asks_for_an_hour(request.fields)


def _encode_altered(
    setup: DeploymentSetup, request: ChatRequest, target: Target, *, stream: bool
) -> HttpCall:
    """Encodes a call without the parameters that its provider lacks, and with a traceparent."""
    dropped: tuple[str, ...] = ()
    if setup.guarded:
        refuse_buckets(decode_field(request, "messages"))
    if setup.lacks:
        request, dropped = without_fields(request, setup.lacks, setup.provider.name)
    call = setup.dialect.encode(request, target, stream=stream)
    if setup.provider.forward_traceparent and (trace := CALL_TRACEPARENT.get()):
        call = structs.replace(call, headers={**call.headers, "traceparent": trace})
    if dropped:
        call = structs.replace(call, dropped=tuple(sorted({*dropped, *call.dropped})))
    return call
