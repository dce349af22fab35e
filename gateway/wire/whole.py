"""One whole answer in JSON where a stream was asked for: some providers, and proxies, do that."""

from collections.abc import Callable
from typing import Final

from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.dialect import StreamDecoder

MAX_WHOLE: Final = 64 * 1024 * 1024
"""Bytes of an answer that is held until it is whole."""
BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""What may stand before a body: white space, a byte order mark."""


def begins_json(chunk: bytes | bytearray) -> bool | None:
    """Whether a body is a JSON object; None while nothing but white space has come."""
    begun = chunk.lstrip(BLANK)
    return begun.startswith(b"{") if begun else None


class StreamOrWhole:
    """A StreamDecoder: the first byte tells which of them it is. No event begins with a brace.

    `whole` reads a whole body with status 200: an answer, or an error that it raises.
    """

    def __init__(self, stream: StreamDecoder, whole: Callable[[bytes], Completion]) -> None:
        self._stream = stream
        self.alike = stream.alike
        self._whole = whole
        self._held: list[bytes] | None = None
        self._size = 0
        self.feed: Callable[[bytes], list[Delta]] = self._first
        """The deltas that are whole now: once it is a stream, that stream's own, at no cost."""

    @property
    def done(self) -> bool:
        """See StreamDecoder."""
        return self._stream.done

    @property
    def complete(self) -> bool:
        """See StreamDecoder. Of one JSON answer only its end can tell."""
        return self._stream.complete

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken when the answer is not whole."""
        if self._held is None:
            return self._stream.finish()
        return [recut(self._whole(b"".join(self._held).strip(BLANK)))]

    def _first(self, chunk: bytes) -> list[Delta]:
        is_json = begins_json(chunk)
        if is_json is None:
            return []
        if is_json:
            self._held = []
            self.feed = self._hold
        else:
            self.feed = self._stream.feed
            chunk = chunk.lstrip(BLANK)  # the rest of a mark that was cut in two is of no event
        return self.feed(chunk)

    def _hold(self, chunk: bytes) -> list[Delta]:
        self._size += len(chunk)
        if self._held is None or self._size > MAX_WHOLE:
            raise Broken("the provider's answer is beyond 64 MiB")
        self._held.append(chunk)
        return []


def recut(answer: Completion) -> Delta:
    """A whole answer as the one delta of its stream."""
    choices = tuple(_piece(choice) for choice in answer.choices)
    return Delta(choices, answer.usage, answer.id, answer.created, extra=answer.beside)


def _piece(choice: Choice) -> ChoiceDelta:
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
    )
