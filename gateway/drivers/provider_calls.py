"""From a chat to the call that its provider understands, and from the answer back.

What every client of providers has in common; how bytes travel is each client's own.
"""

from collections.abc import Mapping
from typing import Final, Never

from msgspec import Struct, structs

from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.errors import Broken, ClientError, Unsuitable
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect, HttpCall, Target
from gateway.wire.unsupported import without

_PLAIN: Final[Mapping[str, str]] = {"accept-encoding": "identity"}


class ProviderCall(Struct, frozen=True):
    """A call as its provider's dialect writes it, and what reads its answer."""

    provider: Provider
    dialect: Dialect
    target: Target
    http: HttpCall

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Completion:
        """A whole answer. Raises UpstreamError for anything else."""
        answer = self.dialect.decode(status, headers, body, self.target)
        dropped = self.http.dropped
        return structs.replace(answer, dropped=dropped) if dropped else answer

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Never:
        """What was said in place of a stream. Raises UpstreamError."""
        self.dialect.decode(status, headers, body, self.target)
        raise Broken(f"status {status} with a body that is no error")

    def told(self, deltas: list[Delta], *, first: bool) -> list[Delta]:
        """Deltas of a stream; the first ones say what was dropped."""
        dropped = self.http.dropped
        if not (first and dropped):
            return deltas
        return [structs.replace(deltas[0], dropped=dropped), *deltas[1:]]


class ProviderCalls:
    """`headers` are those of every call to a provider, by its name: they carry the key."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self.headers: Mapping[str, Mapping[str, str]] = {
            name: {**_PLAIN, **DIALECTS[provider.dialect].auth(provider.api_key or "")}
            for name, provider in providers.items()
        }

    def write(self, candidate: Candidate, request: ChatRequest, *, stream: bool) -> ProviderCall:
        """Raises Unsuitable for what this provider cannot be asked."""
        deployment = candidate.deployment
        provider = self._providers[deployment.provider]
        # Made each time: it costs what a look into a cache would (0.2 us).
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
        return ProviderCall(provider, dialect, target, call)
