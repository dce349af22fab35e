"""The interface of a dialect: encodes requests and decodes answers. No I/O of its own."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from msgspec import Raw, Struct

from gateway.core.chat import ChatRequest, Completion, Delta


class Target(Struct, frozen=True, gc=False):
    """The model to call, and how.

    `max_output` is the output limit, in tokens, to send when the client gave none.
    `quirks` are the provider's named departures from its dialect.
    """

    upstream: str
    max_output: int
    quirks: frozenset[str] = frozenset()
    api_version: str | None = None
    """Azure's `api-version`; with it the model goes into the path as the deployment."""
    prompt: int = 0
    """Upper bound of the prompt's tokens, as estimated when the call is planned."""
    context: int | None = None
    """The model's context window in tokens, input and output; None if unknown."""
    an_hour: bool = False
    """Whether what the call writes to a prompt cache is for an hour, where its host does not say
    how long for, as OpenRouter.
    """


Content: TypeAlias = bytes | tuple[bytes | Raw, ...]
"""A request body. A large one is in parts, so that the client's messages are not copied."""
COPY_BELOW: Final = 64 * 1024
"""Smaller bodies are joined: that is cheaper than sending parts. Copying 256 kB costs 150 us, since
its memory is newly allocated each time.
"""


class HttpCall(Struct, frozen=True, gc=False):
    """A POST ready to be sent; the driver adds base URL and key. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    content: Content
    dropped: tuple[str, ...] = ()
    """Names of request fields that the call does not honour, or not exactly; see
    unsupported.py."""

    @property
    def body(self) -> bytes:
        """The content as one bytes object."""
        return self.content if isinstance(self.content, bytes) else b"".join(self.content)


ReadChunk: TypeAlias = Callable[[bytes], Delta | None]


def read_nothing(_: bytes) -> Delta | None:
    """`ChunkTemplate.read` as long as no template is known."""
    return None


class ChunkTemplate:
    """Fast path for a stream's chunks that differ only in their text."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read: ReadChunk = read_nothing
        """The delta of a chunk that is one event and differs from an earlier one only in its text;
        None for any other, which must go to `feed`. Most chunks match. Reading one does not change
        the decoder's state. Large chunks always go to `feed`.
        """


NO_TEMPLATE: Final = ChunkTemplate()
"""For decoders without this fast path."""


class StreamDecoder(Protocol):
    """Decodes one streamed answer; chunks may be cut anywhere. Raises only UpstreamError."""

    @property
    def template(self) -> ChunkTemplate:
        """The same object for the whole stream. A chunk that it reads must not be fed."""
        ...

    @property
    def done(self) -> bool:
        """The end marker has arrived; later bytes do not belong to the answer."""
        ...

    @property
    def complete(self) -> bool:
        """The answer and its usage have arrived; a connection that breaks now loses nothing.

        Reading still goes on until `done`: the provider may correct itself.
        """
        ...

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that this chunk completes."""
        ...

    def finish(self) -> list[Delta]:
        """The last deltas, at the end of the stream. Raises Broken if it is incomplete."""
        ...


class Dialect(Protocol):
    """A wire format. Packages implement it as module-level functions; see wire.DIALECTS."""

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
        """Raises InvalidRequest, naming the field, for what this format cannot express."""
        ...

    def decode(
        self, status: int, headers: Mapping[str, str], body: bytes, target: Target
    ) -> Completion:
        """A whole answer. Raises UpstreamError for anything else. Header names are lower case."""
        ...

    def decoder(self, target: Target) -> StreamDecoder:
        """A decoder for a streamed answer with status 200."""
        ...

    def auth(self, api_key: str) -> Mapping[str, str]:
        """The headers that carry the key."""
        ...
