"""Decodes a streamed answer: message_start, blocks, message_delta, message_stop."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.anthropic.blocks import Block, Piece, open_block
from gateway.wire.anthropic.faults import read, stream_fault
from gateway.wire.anthropic.reply import decode, finish, refusal
from gateway.wire.anthropic.usage import billed_usage, merge_usage, parse_usage
from gateway.wire.dialect import NO_TEMPLATE, StreamDecoder, Target
from gateway.wire.extra_fields import Collected, beside
from gateway.wire.faults import with_usage
from gateway.wire.silence import count_silent_event
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

    The usage of message_start is returned with the first delta, so that an answer that breaks off
    can be charged; not earlier, because before any output another provider can be tried. If a
    failure arrives in one chunk with good deltas, those are returned first and the failure is
    raised at the next call.

    The finish reason and the ends of blocks are returned at the end of the stream: imitators may
    continue the answer, even a stopped block, after a message_delta (BerriAI/litellm#28868).
    """

    template = NO_TEMPLATE

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._open: dict[int, Block] = {}
        self._collected = Collected()
        self._closing_calls: list[ToolDelta] = []
        """Deltas from ending blocks, returned with the last delta."""
        self._usage: Mapping[str, Any] = {}
        self._start_usage: Usage | None = None
        self._id = ""
        self._ending = _Ending()
        self._context_management: Any = None
        """The last that a message_delta had."""
        self._usage_final = False
        """Whether the final usage has arrived."""
        self._silent_events = 0
        """Events that gave no delta."""
        self._failure: UpstreamError | None = None
        self.done = False

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        return self._failure is None and self._stopped and self._usage_final

    @property
    def _stopped(self) -> bool:
        """Whether a stop_reason has arrived."""
        return self._ending.stop_reason is not None

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that this chunk completes. Raises UpstreamError."""
        return self._read(lambda: self._sse.feed(chunk))

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken if no stop_reason has arrived."""
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
            raise with_usage(Broken("the stream ended before the answer did"), self._start_usage)
        return deltas if self.done else [*deltas, self._last_delta()]

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
                    self._silent_events = count_silent_event(self._silent_events)
                else:
                    deltas.append(delta)
        except UpstreamError as failure:
            if isinstance(failure, Broken):
                with_usage(failure, self._start_usage)
            self._failure = failure
            if not deltas:
                raise
        return deltas

    def _event(self, data: bytes) -> Delta | None:
        if data in (b"", b"[DONE]"):  # added by some proxies
            return None
        handle = _EVENTS.get(read(data, _Kind).type)
        return None if handle is None else handle(self, data)

    def message_start(self, data: bytes) -> None:
        head = read(data, _MessageStart).message
        self._id = head.id
        self._usage = merge_usage(self._usage, head.usage)
        # Its output_tokens is about 1, before any output: useless if the final count never comes
        # or is implausible.
        self._start_usage = parse_usage({**self._usage, "output_tokens": 0})

    def block_start(self, data: bytes) -> Delta | None:
        event = read(data, _BlockStart)
        self._end_block(self._open.pop(event.index, None))  # imitators number all blocks 0
        block = self._open[event.index] = open_block(event.content_block, self._collected)
        return self._to_delta(block.begin())

    def block_delta(self, data: bytes) -> Delta | None:
        event = read(data, _BlockDelta)
        block = self._open.get(event.index)
        if block is None:
            raise Broken("the stream adds to a block that it did not begin")
        return self._to_delta(block.add(event.delta))

    def message_delta(self, data: bytes) -> Delta | None:
        event = read(data, _MessageDelta)
        self._usage = merge_usage(self._usage, event.usage)
        if event.delta.stop_reason or not self._stopped:
            self._ending = event.delta
        usage = self._billed_usage()
        self._context_management = event.context_management or self._context_management
        if usage is None:
            return None
        self._start_usage, self._usage_final = None, self._stopped
        return Delta(usage=usage, id=self._id)

    def message_stop(self, data: bytes) -> Delta | None:
        """Ignored before a stop_reason has arrived."""
        if not self._stopped:
            return None
        self.done = True
        return self._last_delta()

    def error(self, data: bytes) -> Delta:
        raise stream_fault(read(data, dict[str, Any]))

    def _end_block(self, block: Block | None) -> None:
        delta = None if block is None else block.end()
        if delta is not None:
            self._closing_calls += delta.tool_calls

    def _last_delta(self) -> Delta:
        """The last delta. Open blocks end here: content_block_stop is ignored."""
        for block in self._open.values():
            self._end_block(block)
        collected, ending = self._collected, self._ending
        last = ChoiceDelta(
            tool_calls=tuple(self._closing_calls),
            finish=finish(ending.stop_reason, calls=collected.tools > 0),
            refusal=refusal(ending.stop_reason, ending.stop_details) or "",
            extra=collected.extras(),
        )
        extra = beside(container=ending.container, context_management=self._context_management)
        return Delta((last,), self._billed_usage(), self._id, extra=extra)

    def _billed_usage(self) -> Usage | None:
        reason, details = self._ending.stop_reason, self._ending.stop_details
        return billed_usage(self._usage, reason, details, empty=not self._open)

    def _to_delta(self, delta: ChoiceDelta | None) -> Delta | None:
        if delta is None:
            return None
        early, self._start_usage = self._start_usage, None
        return Delta(choices=(delta,), usage=early, id=self._id)


_EVENTS: Final[Mapping[str, Callable[[Decoder, bytes], Delta | None]]] = {
    "message_start": Decoder.message_start,
    "content_block_start": Decoder.block_start,
    "content_block_delta": Decoder.block_delta,
    "message_delta": Decoder.message_delta,
    "message_stop": Decoder.message_stop,
    "error": Decoder.error,
}
"""`ping` and unknown events are ignored."""


def decoder(target: Target) -> StreamDecoder:
    """A decoder for a streamed answer with status 200."""
    return StreamOrWhole(Decoder(), lambda body: decode(200, {}, body, target))
