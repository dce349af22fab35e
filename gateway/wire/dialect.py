"""What every dialect offers: values to bytes and back. It does no I/O; feed it bytes."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from msgspec import Raw, Struct

from gateway.core.chat import ChatRequest, Completion, Delta


class Target(Struct, frozen=True, gc=False):
    """Which model to ask, and how it is to be asked.

    `max_output` is the limit, in tokens, to send when the client gave none.
    `quirks` are the provider's named departures from its dialect.
    """

    upstream: str
    max_output: int
    quirks: frozenset[str] = frozenset()
    api_version: str | None = None
    """Of Azure, where the model is in the path and not only in the body."""
    prompt: int = 0
    """The most tokens that go in, as far as they are known when the call is planned."""
    context: int | None = None
    """The most tokens that the model can be trusted with, in and out; None where nobody knows."""


Content: TypeAlias = bytes | tuple[bytes | Raw, ...]
"""Of a body; a large one in parts, of which the client's own is as it came."""
COPY_BELOW: Final = 64 * 1024
"""Fewer bytes are cheaper to copy than to send apart. Of 256 kB a copy costs 150 us: its memory is
new each time.
"""


class HttpCall(Struct, frozen=True, gc=False):
    """A POST ready to be sent; the driver adds base URL and key. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    content: Content
    dropped: tuple[str, ...] = ()
    """Fields of the request that ask for something and are not in the call, or in it otherwise than
    they were asked; see unsupported.py."""

    @property
    def body(self) -> bytes:
        """The content as one."""
        return self.content if isinstance(self.content, bytes) else b"".join(self.content)


ReadChunk: TypeAlias = Callable[[bytes], Delta | None]


def read_nothing(_: bytes) -> Delta | None:
    """What `Alike.read` is until something is known: no chunk is alike yet."""
    return None


class ChunkTemplate:
    """What the chunks of one streamed answer have in common, once it is known."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read: ReadChunk = read_nothing
        """The delta of a chunk that is one event, like one before it in all but its text, and to be
        read now; None for any other, which `feed` reads. Nearly all chunks are so, and to read such
        a one changes nothing: not even whether the answer is whole. Large ones are always fed.
        """


NO_TEMPLATE: Final = ChunkTemplate()
"""Of who does not look for it."""


class StreamDecoder(Protocol):
    """Reads one streamed answer, cut anywhere. Raises UpstreamError, and nothing else."""

    @property
    def template(self) -> ChunkTemplate:
        """The same as long as the answer comes; a chunk that it reads is not fed."""
        ...

    @property
    def done(self) -> bool:
        """The mark of the end has come: nothing that comes now belongs to the answer."""
        ...

    @property
    def complete(self) -> bool:
        """What has come is a whole answer with its usage: what breaks off now comes after it.

        Not the end where a provider may still correct itself: more is read, and heard.
        """
        ...

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that are whole now."""
        ...

    def finish(self) -> list[Delta]:
        """The last deltas, at the end of the stream. Raises Broken when the answer is not whole."""
        ...


class Dialect(Protocol):
    """A wire format. A module offers these as functions; the table in wire/__init__ names it."""

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
        """Raises InvalidRequest for what this format cannot say, naming the field."""
        ...

    def decode(
        self, status: int, headers: Mapping[str, str], body: bytes, target: Target
    ) -> Completion:
        """The answer; raises UpstreamError for anything else. Header names are lower case."""
        ...

    def decoder(self, target: Target) -> StreamDecoder:
        """For a streamed answer with status 200."""
        ...

    def auth(self, api_key: str) -> Mapping[str, str]:
        """The headers that carry the key."""
        ...
