"""A streamed answer: events in the order message_start, blocks, message_delta, message_stop."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.anthropic.blocks import Block, Piece, opened
from gateway.wire.anthropic.faults import read, stream_fault
from gateway.wire.anthropic.reply import decode, finish, refusal
from gateway.wire.anthropic.usage import latest, usage
from gateway.wire.dialect import NEVER_ALIKE, StreamDecoder, Target
from gateway.wire.faults import counted
from gateway.wire.kept import Kept, beside
from gateway.wire.silence import one_more
from gateway.wire.sse import SseDecoder
from gateway.wire.whole import StreamOrWhole


class _Kind(Struct):
    type: str = ""


class _Head(Struct):
    id: str = ""
    usage: Any = None


class _MessageStart(Struct):
    message: _Head


class _BlockStart(Struct):
    index: int
    content_block: Raw


class _BlockDelta(Struct):
    index: int
    delta: Piece


class _Ending(Struct, frozen=True):
    stop_reason: str | None = None
    stop_details: Any = None
    container: Any = None


class _MessageDelta(Struct):
    delta: _Ending = _Ending()
    usage: Any = None
    context_management: Any = None


class Decoder:
    """Reads one streamed answer, cut anywhere; see StreamDecoder.

    The usage that a stream begins with comes with the first delta, so that an answer that breaks
    off can be charged, and not before it: until there is output, a failure can go elsewhere. When
    a failure comes in one chunk with good deltas, they are given first and the failure is raised
    at the next call.

    The reason to stop comes with the end of the stream, as do the ends of the blocks: imitators
    go on with the answer, and even with a block that they had ended, behind a message_delta
    (BerriAI/litellm#28868).
    """

    alike = NEVER_ALIKE

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._open: dict[int, Block] = {}
        self._kept = Kept()
        self._ended: list[ToolDelta] = []
        """What blocks said at their ends."""
        self._usage: Mapping[str, Any] = {}
        self._early: Usage | None = None
        self._id = ""
        self._ending = _Ending()
        self._managed: Any = None
        """What was done to the context."""
        self._counted = False
        """Whether the usage came that ends it."""
        self._silent = 0
        """Events that gave no delta."""
        self._failure: UpstreamError | None = None
        self.done = False

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        return self._failure is None and self._stopped and self._counted

    @property
    def _stopped(self) -> bool:
        """Whether the provider said why."""
        return self._ending.stop_reason is not None

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that are whole now. Raises UpstreamError."""
        return self._read(lambda: self._sse.feed(chunk))

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken when the provider had not said why it stopped."""
        if self._failure is not None:
            raise self._failure
        whole = self.complete
        try:
            deltas = self._read(self._sse.finish)
        except Broken:
            if not whole:  # else what was cut off came after the answer
                raise
            deltas, self._failure = [], None
        if self._failure is not None:
            raise self._failure
        if not self._stopped:
            raise counted(Broken("the stream ended before the answer did"), self._early)
        return deltas if self.done else [*deltas, self._last()]

    def _read(self, events: Callable[[], list[tuple[str, bytes]]]) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            for _, data in events():
                if self.done:
                    break
                delta = self._event(data)
                if delta is None:
                    self._silent = one_more(self._silent)
                else:
                    deltas.append(delta)
        except UpstreamError as failure:
            if isinstance(failure, Broken):
                counted(failure, self._early)
            self._failure = failure
            if not deltas:
                raise
        return deltas

    def _event(self, data: bytes) -> Delta | None:
        if data in (b"", b"[DONE]"):  # not Anthropic's own, but some proxies add it
            return None
        handle = _EVENTS.get(read(data, _Kind).type)
        return None if handle is None else handle(self, data)

    def message_start(self, data: bytes) -> None:
        head = read(data, _MessageStart).message
        self._id = head.id
        self._usage = latest(self._usage, head.usage)
        # Of the answer it says 1 or so, before there is any: not what an answer costs whose last
        # count never comes, or makes no sense.
        self._early = usage({**self._usage, "output_tokens": 0})

    def block_start(self, data: bytes) -> Delta | None:
        event = read(data, _BlockStart)
        self._end(self._open.pop(event.index, None))  # imitators number all blocks 0
        block = self._open[event.index] = opened(event.content_block, self._kept)
        return self._told(block.begin())

    def block_delta(self, data: bytes) -> Delta | None:
        event = read(data, _BlockDelta)
        block = self._open.get(event.index)
        if block is None:
            raise Broken("the stream adds to a block that it did not begin")
        return self._told(block.add(event.delta))

    def message_delta(self, data: bytes) -> Delta | None:
        event = read(data, _MessageDelta)
        self._usage = latest(self._usage, event.usage)
        told = usage(self._usage)
        if event.delta.stop_reason or not self._stopped:
            self._ending = event.delta
        self._managed = event.context_management or self._managed
        if told is None:
            return None
        self._early, self._counted = None, self._stopped
        return Delta(usage=told, id=self._id)

    def message_stop(self, data: bytes) -> Delta | None:
        """One that comes before the reason to stop is no end."""
        if not self._stopped:
            return None
        self.done = True
        return self._last()

    def error(self, data: bytes) -> Delta:
        raise stream_fault(read(data, dict[str, Any]))

    def _end(self, block: Block | None) -> None:
        told = None if block is None else block.end()
        if told is not None:
            self._ended += told.tool_calls

    def _last(self) -> Delta:
        """How it ends; no event of its own ends a block earlier."""
        for block in self._open.values():
            self._end(block)
        kept, ending = self._kept, self._ending
        last = ChoiceDelta(
            tool_calls=tuple(self._ended),
            finish=finish(ending.stop_reason, calls=kept.tools > 0),
            refusal=refusal(ending.stop_reason, ending.stop_details) or "",
            extra=kept.extras(),
        )
        extra = beside(container=ending.container, context_management=self._managed)
        return Delta((last,), usage(self._usage), self._id, extra=extra)

    def _told(self, delta: ChoiceDelta | None) -> Delta | None:
        if delta is None:
            return None
        early, self._early = self._early, None
        return Delta(choices=(delta,), usage=early, id=self._id)


_EVENTS: Final[Mapping[str, Callable[[Decoder, bytes], Delta | None]]] = {
    "message_start": Decoder.message_start,
    "content_block_start": Decoder.block_start,
    "content_block_delta": Decoder.block_delta,
    "message_delta": Decoder.message_delta,
    "message_stop": Decoder.message_stop,
    "error": Decoder.error,
}
"""`ping` and events newer than this say nothing that is needed."""


def decoder(target: Target) -> StreamDecoder:
    """For a streamed answer with status 200."""
    return StreamOrWhole(Decoder(), lambda body: decode(200, {}, body, target))
