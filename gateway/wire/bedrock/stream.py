"""Decodes a streamed answer: messageStart, blocks, messageStop, metadata with the usage."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, Delta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.bedrock.blocks import Block, Piece, TextOrThinking, open_block
from gateway.wire.bedrock.events import EventDecoder
from gateway.wire.bedrock.faults import read
from gateway.wire.bedrock.reply import decode, finish
from gateway.wire.bedrock.usage import parse_usage
from gateway.wire.dialect import Target
from gateway.wire.extra_fields import Collected, beside
from gateway.wire.faults import with_usage

_NO_START: Final[Mapping[str, Raw]] = {}


class _BlockStart(Struct, rename="camel"):
    content_block_index: int = 0
    start: Mapping[str, Raw] = _NO_START


class _BlockDelta(Struct, rename="camel"):
    delta: Piece
    content_block_index: int = 0


class _BlockStop(Struct, rename="camel"):
    content_block_index: int = 0


class _MessageStop(Struct, rename="camel"):
    stop_reason: str = ""
    additional_model_response_fields: Any = None


class _Metadata(Struct):
    usage: Any = None
    trace: Any = None


class Converse:
    """Turns the events of one answer of the model `upstream` into deltas."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._open: dict[int, Block] = {}
        self._collected = Collected()
        self._finished = False
        self._failure: UpstreamError | None = None
        """Why the answer failed; raised when the metadata have brought its usage."""
        self.done = False
        """Whether the metadata, the last event, have arrived."""

    @property
    def complete(self) -> bool:
        """See StreamDecoder: the usage is in the metadata."""
        return self.done

    def event(self, name: str, data: bytes) -> list[Delta]:
        """`messageStart` and unknown events are ignored."""
        handle = EVENTS.get(name)
        return [] if handle is None else handle(self, data)

    def finish(self) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        if not self._finished:
            raise Broken("the stream ended before the answer did")
        return []

    def block_start(self, data: bytes) -> list[Delta]:
        event = read(data, _BlockStart)
        block = self._open[event.content_block_index] = open_block(
            event.start, self._collected, self._upstream
        )
        return _to_deltas(block.begin())

    def block_delta(self, data: bytes) -> list[Delta]:
        event = read(data, _BlockDelta)
        block = self._open.get(event.content_block_index)
        if block is None:
            block = TextOrThinking(self._collected, self._upstream)
            self._open[event.content_block_index] = block
        return _to_deltas(block.add(event.delta))

    def block_stop(self, data: bytes) -> list[Delta]:
        block = self._open.pop(read(data, _BlockStop).content_block_index, None)
        return [] if block is None else _to_deltas(block.end())

    def message_stop(self, data: bytes) -> list[Delta]:
        if self._finished:
            return []
        deltas = [delta for block in self._open.values() for delta in _to_deltas(block.end())]
        self._open.clear()
        collected, event = self._collected, read(data, _MessageStop)
        try:
            reason = finish(event.stop_reason, calls=collected.tools > 0)
        except UpstreamError as failure:
            self._failure = failure
            return deltas
        last = ChoiceDelta(finish=reason, extra=collected.extras())
        extra = beside(additionalModelResponseFields=event.additional_model_response_fields)
        self._finished = True
        return [*deltas, Delta(choices=(last,), extra=extra)]

    def metadata(self, data: bytes) -> list[Delta]:
        event = read(data, _Metadata)
        usage, extra = parse_usage(event.usage), beside(trace=event.trace)
        if self._failure is not None:
            raise with_usage(self._failure, usage)
        self.done = self._finished
        return [Delta(usage=usage, extra=extra)] if usage is not None or extra else []


EVENTS: Final[Mapping[str, Callable[[Converse, bytes], list[Delta]]]] = {
    "contentBlockStart": Converse.block_start,
    "contentBlockDelta": Converse.block_delta,
    "contentBlockStop": Converse.block_stop,
    "messageStop": Converse.message_stop,
    "metadata": Converse.metadata,
}


def _to_deltas(delta: ChoiceDelta | None) -> list[Delta]:
    return [] if delta is None else [Delta(choices=(delta,))]


def decoder(target: Target) -> EventDecoder:
    """A decoder for a streamed answer with status 200."""
    return EventDecoder(Converse(target.upstream), lambda body: decode(200, {}, body, target))
