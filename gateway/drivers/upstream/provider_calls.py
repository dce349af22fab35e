"""From a chat to the call that its provider understands, and from the answer back.

What every client of providers has in common; how bytes travel is each client's own.
"""

from collections.abc import Mapping
from typing import Final, Never, TypeAlias

from msgspec import Struct, structs

from gateway import __version__
from gateway.core.catalog import Deployment
from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.errors import (
    Broken,
    ClientError,
    Misconfigured,
    Unsuitable,
    UpstreamError,
)
from gateway.core.plan import Candidate
from gateway.core.snapshot import AzureAuth, GoogleAuth, Provider
from gateway.drivers.traces.traceparent import CALL
from gateway.drivers.upstream.http_privacy import Privacy
from gateway.drivers.upstream.http_request import NONE
from gateway.drivers.upstream.signing import NO_SIGNERS, Signer, fixed_headers, needs_signer
from gateway.wire import DIALECTS
from gateway.wire.buckets import ALLOWED, refuse_buckets
from gateway.wire.dialect import Dialect, HttpCall, Target
from gateway.wire.unsupported import decode_field, without_fields

_OURS: Final[Mapping[str, str]] = {
    "accept-encoding": "identity",
    "user-agent": f"tollgate/{__version__}",
}
"""Of every call, and never signed: a proxy may change them on the way."""
_NOT_ACCEPTED: Final = frozenset({400, 401, 403})
"""Misconfigured with one of these may mean a signature; with another, the model or the bill."""
_CONTEXTS: Final = 100
"""So many contexts of its model are in no call, not even in one whose provider runs tools in a
loop. A usage beyond is a mistake; believed, one of them would empty a budget."""


_MOST_WAYS: Final = 4096
"""Deployments come and go as configurations do. Emptied when there are more."""


class Way(Struct, frozen=True, eq=False):
    """How one deployment is asked."""

    deployment: Deployment
    quirks: frozenset[str]
    lacks: frozenset[str]
    altered: bool
    """Whether its calls are otherwise than the dialect writes them."""
    guarded: bool
    """Whether it would read files of ours, of which its dialect knows nothing."""
    provider: Provider
    dialect: Dialect
    api_version: str | None
    signer: Signer | None
    """None: the headers that are always the same are all there is."""
    privacy: Privacy


_Host: TypeAlias = tuple[Provider, Dialect, str | None, Signer | None, Privacy]
"""What all deployments of one provider have in common: the last fields of a way."""


class ProviderCall(Struct, frozen=True, gc=False):
    """A call as its provider's dialect writes it, and what reads its answer."""

    way: Way
    target: Target
    http: HttpCall
    most: int
    """Tokens that a usage may tell of a prompt, and of an answer."""

    async def proof(self, timeout_s: float) -> Mapping[str, str]:
        """The headers of this call alone. Raises Misconfigured."""
        signer = self.way.signer
        return NONE if signer is None else await signer.sign(self.url, self.http, timeout_s)

    @property
    def url(self) -> str:
        """To be sent exactly so: it is signed."""
        return self.way.provider.base_url + self.http.path

    def read(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        proof: Mapping[str, str] = NONE,
    ) -> Completion:
        """A whole answer. Raises UpstreamError for anything else."""
        try:
            answer = self.way.dialect.decode(status, headers, body, self.target)
        except UpstreamError as error:
            self._refused(error, status, proof)
            raise
        usage = answer.usage
        if usage is not None and (usage.prompt > self.most or usage.completion > self.most):
            answer = structs.replace(answer, usage=None)
        dropped = self.http.dropped
        return structs.replace(answer, dropped=dropped) if dropped else answer

    def refused(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        proof: Mapping[str, str] = NONE,
    ) -> Never:
        """What was said in place of a stream. Raises UpstreamError."""
        self.read(status, headers, body, proof)
        raise Broken(f"status {status} with a body that is no error")

    def _refused(self, error: UpstreamError, status: int, proof: Mapping[str, str]) -> None:
        self.hide(error, proof)
        signer = self.way.signer
        if signer is not None and isinstance(error, Misconfigured) and status in _NOT_ACCEPTED:
            signer.refused()

    def annotate(self, deltas: list[Delta], *, first: bool) -> list[Delta]:
        """Deltas of a stream; the first ones say what was dropped."""
        for at, delta in enumerate(deltas):
            usage = delta.usage
            if usage is not None and (usage.prompt > self.most or usage.completion > self.most):
                deltas[at] = structs.replace(delta, usage=None)
        dropped = self.http.dropped if first else ()
        if not dropped:
            return deltas
        return [structs.replace(deltas[0], dropped=dropped), *deltas[1:]]

    def hide(self, error: BaseException, proof: Mapping[str, str]) -> None:
        """Take our key, and where we asked, out of a provider's words, and counts beyond belief."""
        if isinstance(error, UpstreamError):
            usage = error.usage
            if usage is not None and (usage.prompt > self.most or usage.completion > self.most):
                error.usage = None
            self.way.privacy.hide(error, proof)


class ProviderCalls:
    """`headers` are those of every call to a provider, by its name: they carry the key.

    `signers` are those of the providers that need one: raises ValueError for one that is missing.
    """

    def __init__(
        self, providers: Mapping[str, Provider], signers: Mapping[str, Signer] = NO_SIGNERS
    ) -> None:
        self._hosts: dict[str, _Host] = {}
        self._ways: dict[str, Way] = {}
        """By deployment, as they are asked for."""
        self.headers: dict[str, Mapping[str, str]] = {}
        for name, provider in providers.items():
            dialect, auth, signer = DIALECTS[provider.dialect], provider.auth, signers.get(name)
            if needs_signer(provider) and signer is None:
                raise ValueError(f"the provider {name} has no signer")
            version = auth.api_version if isinstance(auth, AzureAuth) else None
            privacy = Privacy(provider.base_url, provider.api_key)
            self._hosts[name] = provider, dialect, version, signer, privacy
            self.headers[name] = {**_OURS, **fixed_headers(provider, dialect)}

    def write(self, candidate: Candidate, request: ChatRequest, *, stream: bool) -> ProviderCall:
        """Raises Unsuitable for what this provider cannot be asked."""
        deployment = candidate.deployment
        way = self._ways.get(deployment.name)
        if way is None or way.deployment is not deployment:
            way = self._way(deployment)
        # Made each time: it costs what a look into a cache would (0.2 us).
        target = Target(
            deployment.upstream,
            candidate.max_output,
            way.quirks,
            way.api_version,
            candidate.prompt,
            candidate.model.usable_context,
        )
        try:
            if way.altered:
                call = _altered(way, request, target, stream=stream)
            else:
                call = way.dialect.encode(request, target, stream=stream)
        except ClientError as error:
            # This format cannot say it; another candidate's may.
            raise Unsuitable(str(error), status=error.status, param=error.param) from error
        if call.dropped and way.provider.unsupported == "refuse":
            raise Unsuitable(
                f"{way.provider.name} cannot honour: {', '.join(call.dropped)}",
                status=400,
                param=call.dropped[0],
            )
        return ProviderCall(way, target, call, _CONTEXTS * candidate.model.context)

    def _way(self, deployment: Deployment) -> Way:
        """Of a deployment that is not known yet, or was another when it was."""
        provider, *_ = host = self._hosts[deployment.provider]
        quirks = provider.quirks if deployment.quirks is None else deployment.quirks
        lacks = provider.lacks if deployment.lacks is None else deployment.lacks
        google = provider.dialect == "openai" and isinstance(provider.auth, GoogleAuth)
        guarded = google and ALLOWED not in quirks
        altered = bool(lacks) or provider.forward_traceparent or guarded
        if len(self._ways) >= _MOST_WAYS:
            self._ways.clear()
        way = self._ways[deployment.name] = Way(deployment, quirks, lacks, altered, guarded, *host)
        return way


def _altered(way: Way, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """A call without what its provider lacks, and with the trace that it wants to be told."""
    missed: tuple[str, ...] = ()
    if way.guarded:
        refuse_buckets(decode_field(request, "messages"))
    if way.lacks:
        request, missed = without_fields(request, way.lacks, way.provider.name)
    call = way.dialect.encode(request, target, stream=stream)
    if way.provider.forward_traceparent and (trace := CALL.get()):
        call = structs.replace(call, headers={**call.headers, "traceparent": trace})
    if missed:
        call = structs.replace(call, dropped=tuple(sorted({*missed, *call.dropped})))
    return call
