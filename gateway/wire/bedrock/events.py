"""Decodes an AWS event stream into deltas, and its exceptions into errors."""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.core.chat import Completion, Delta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.bedrock.faults import foreign_fault, stream_fault
from gateway.wire.dialect import NO_TEMPLATE
from gateway.wire.eventstream import EventStreamReader, Message
from gateway.wire.faults import with_usage
from gateway.wire.silence import count_silent_event
from gateway.wire.whole import LEADING_BLANKS, MAX_BODY, as_delta, begins_json

_MAX_FOREIGN: Final = 64 * 1024
"""Bytes buffered of a body that is neither an event stream nor JSON, like a proxy's page."""


class Answer(Protocol):
    """Handles the events of one answer. `done` and `complete` are those of StreamDecoder."""

    @property
    def done(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def event(self, name: str, data: bytes) -> list[Delta]:
        """Raises UpstreamError."""
        ...

    def finish(self) -> list[Delta]:
        """At the end of the stream. Raises Broken if the answer is incomplete."""
        ...


class EventDecoder:
    """Reads one streamed answer, cut anywhere; see StreamDecoder.

    If a failure arrives in one chunk with good deltas, those are returned first and the failure is
    raised at the next call. A body that is not an event stream (a whole JSON answer, a JSON error,
    a page) is recognised by its first byte, since no message is 16 MiB long. `whole` decodes a JSON
    answer.
    """

    template = NO_TEMPLATE

    def __init__(self, answer: Answer, whole: Callable[[bytes], Completion]) -> None:
        self._answer = answer
        self._whole = whole
        self._reader = EventStreamReader()
        self._begun = False
        self._foreign: bytearray | None = None
        self._silent_events = 0
        """Messages that gave no delta."""
        self._failure: UpstreamError | None = None

    @property
    def done(self) -> bool:
        """See StreamDecoder."""
        return self._answer.done

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        return self._failure is None and self._answer.complete

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that this chunk completes. Raises UpstreamError."""
        if self._failure is not None:
            raise self._failure
        if not self._begun and chunk:
            self._begun = True
            self._foreign = bytearray() if chunk[0] > 1 else None
        if self._foreign is not None:
            self._buffer_foreign(self._foreign, chunk)
            return []
        deltas: list[Delta] = []
        try:
            for message in self._reader.feed(chunk):
                if self.done:
                    break
                new = self._event(message)
                if new:
                    deltas += new
                else:
                    self._silent_events = count_silent_event(self._silent_events)
        except UpstreamError as failure:
            self._failure = failure
            if not deltas:
                raise
        return deltas

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken if no finish reason has arrived."""
        if self._failure is not None:
            raise self._failure
        if self._foreign is not None:
            return [self._read_whole(bytes(self._foreign))]
        self._reader.raise_pending()
        return self._answer.finish()

    def _event(self, message: Message) -> list[Delta]:
        kind = message.text(":message-type")
        if kind == "exception":
            raise stream_fault(message.text(":exception-type"), message.payload)
        if kind == "error":
            raise stream_fault(
                message.text(":error-code"), message.payload, message.text(":error-message")
            )
        return self._answer.event(message.text(":event-type"), message.payload)

    def _read_whole(self, body: bytes) -> Delta:
        try:
            return as_delta(self._whole(body.strip(LEADING_BLANKS)))
        except Broken as error:
            raise with_usage(foreign_fault(body), error.usage) from None

    def _buffer_foreign(self, foreign: bytearray, chunk: bytes) -> None:
        foreign += chunk
        if len(foreign) > (MAX_BODY if begins_json(foreign[:64]) else _MAX_FOREIGN):
            self._failure = Broken("the provider's stream is not an event stream")
            raise self._failure
