"""One whole JSON answer where a stream was requested: some providers and proxies do that."""

from collections.abc import Callable
from typing import Final

from gateway.core.beside import with_beside
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.dialect import StreamDecoder

MAX_BODY: Final = 64 * 1024 * 1024
"""Largest answer, in bytes, that is buffered."""
LEADING_BLANKS: Final = b" \t\r\n\xef\xbb\xbf"
"""Skipped before a body: white space and a byte order mark."""


def begins_json(chunk: bytes | bytearray) -> bool | None:
    """Whether a body begins as a JSON object; None as long as there is only white space."""
    body = chunk.lstrip(LEADING_BLANKS)
    return body.startswith(b"{") if body else None


class StreamOrWhole:
    """A StreamDecoder that tells by the first byte whether a stream or one JSON answer comes: no
    event begins with a brace. `whole` decodes a whole body with status 200, or raises its error.
    """

    def __init__(self, stream: StreamDecoder, whole: Callable[[bytes], Completion]) -> None:
        self._stream = stream
        self.template = stream.template
        self._whole = whole
        self._body: list[bytes] | None = None
        self._size = 0
        self.feed: Callable[[bytes], list[Delta]] = self._first
        """See StreamDecoder. Once it is known to be a stream, this is the stream's own `feed`."""

    @property
    def done(self) -> bool:
        """See StreamDecoder."""
        return self._stream.done

    @property
    def complete(self) -> bool:
        """See StreamDecoder. For one JSON answer it is False until the end."""
        return self._stream.complete

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken if the answer is incomplete."""
        if self._body is None:
            return self._stream.finish()
        return [as_delta(self._whole(b"".join(self._body).strip(LEADING_BLANKS)))]

    def _first(self, chunk: bytes) -> list[Delta]:
        is_json = begins_json(chunk)
        if is_json is None:
            return []
        if is_json:
            self._body = []
            self.feed = self._collect
        else:
            self.feed = self._stream.feed
            chunk = chunk.lstrip(LEADING_BLANKS)  # the rest of a split byte order mark
        return self.feed(chunk)

    def _collect(self, chunk: bytes) -> list[Delta]:
        self._size += len(chunk)
        if self._body is None or self._size > MAX_BODY:
            raise Broken("the provider's answer is beyond 64 MiB")
        self._body.append(chunk)
        return []


def as_delta(answer: Completion) -> Delta:
    """A whole answer as the only delta of a stream."""
    choices = tuple(map(_choice_delta, with_beside(answer)))
    return Delta(choices, answer.usage, answer.id, answer.created, extra=answer.beside)


def _choice_delta(choice: Choice) -> ChoiceDelta:
    return ChoiceDelta(
        choice.index,
        choice.text or "",
        tuple(
            ToolDelta(number, call.id, call.name, call.arguments, call.extra)
            for number, call in enumerate(choice.tool_calls)
        ),
        choice.finish,
        choice.refusal or "",
        choice.reasoning or "",
        choice.logprobs or None,
        choice.extra,
        choice.beside,
    )
