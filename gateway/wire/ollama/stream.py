"""Decodes a streamed answer: one JSON object per line, the last with `done`."""

from typing import Final

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import NO_TEMPLATE, StreamDecoder, Target
from gateway.wire.faults import with_usage
from gateway.wire.ollama.faults import fault_in_body, read
from gateway.wire.ollama.reply import (
    ChatResponse,
    finish,
    logprobs,
    parse_usage,
    seconds,
    tool_calls,
)
from gateway.wire.silence import MAX_SILENT_BYTES, count_silent_event, silent_stream
from gateway.wire.whole import LEADING_BLANKS

MAX_LINE: Final = 4 * 1024 * 1024


def decoder(target: Target) -> StreamDecoder:
    """A decoder for a streamed answer with status 200."""
    return _Decoder()


class _Decoder:
    """Errors are raised only after the deltas before them have been returned."""

    template = NO_TEMPLATE

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._calls = 0
        self._message_seen = False
        self._multiline = False
        """Whether it is one object over many lines, from a proxy: buffered until the end."""
        self._created = 0
        self._done = False
        self._blank = 0
        """Bytes of blank lines."""
        self._silent_lines = 0
        """Lines that gave no delta."""
        self._failure: UpstreamError | None = None

    @property
    def done(self) -> bool:
        """See StreamDecoder."""
        return self._done

    complete = done

    def feed(self, chunk: bytes) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            self._read(chunk, deltas)
        except UpstreamError as error:
            if not deltas:
                raise
            self._failure = error
        return deltas

    def finish(self) -> list[Delta]:
        """The last line, if it has no line break. Raises Broken if the answer is incomplete."""
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        self._multiline = False
        self._end_line(deltas)
        if not self._done:
            raise Broken("the stream ended before the answer was whole")
        return deltas

    def _read(self, chunk: bytes, deltas: list[Delta]) -> None:
        if self._multiline or self._done:
            self._buffer(chunk)
            return
        *lines, rest = chunk.split(b"\n")
        blank = self._blank
        for at, line in enumerate(lines):
            if not self._rest and not line.strip(LEADING_BLANKS):
                blank += len(line) + 1
                if blank > MAX_SILENT_BYTES:
                    raise silent_stream()
                continue
            self._buffer(line)
            if self._end_line(deltas):
                self._buffer(b"\n".join((*lines[at + 1 :], rest)))
                return
        self._blank = blank
        self._buffer(rest)

    def _buffer(self, piece: bytes) -> None:
        if self._done or not piece:
            return
        self._size += len(piece)
        if self._size > MAX_LINE:
            raise Broken("a line of the stream is beyond 4 MiB")
        self._rest.append(piece)

    def _end_line(self, deltas: list[Delta]) -> bool:
        """Ends the current line; True if its object goes on over the following lines."""
        line = b"".join(self._rest).strip(LEADING_BLANKS)
        if line == b"{" and not self._multiline:
            self._multiline = True
            return True
        self._rest.clear()
        self._size = 0
        if line and not self._done:
            response = read(line, ChatResponse)
            try:
                delta = self._to_delta(response)
            except UpstreamError as error:
                raise with_usage(error, parse_usage(response)) from None
            if delta is None:
                self._silent_lines = count_silent_event(self._silent_lines)
            else:
                deltas.append(delta)
        return False

    def _to_delta(self, response: ChatResponse) -> Delta | None:
        if response.error:
            raise fault_in_body(response.error)
        self._message_seen = self._message_seen or response.message is not None
        if not self._message_seen or (response.message is None and not response.done):
            raise Broken("a line of the stream says nothing")
        self._created = self._created or seconds(response.created_at)
        calls = tuple(
            ToolDelta(self._calls + at, call.id, call.name, call.arguments)
            for at, call in enumerate(tool_calls(response, self._calls))
        )
        self._calls += len(calls)
        self._done = response.done
        message = response.message
        delta = ChoiceDelta(
            text=(message.content if message else None) or "",
            tool_calls=calls,
            finish=finish(response.done_reason, called=self._calls > 0) if response.done else None,
            reasoning=(message.thinking if message else None) or "",
            logprobs=logprobs(response.logprobs),
        )
        if delta == ChoiceDelta():
            return None
        return Delta((delta,), parse_usage(response), created=self._created)
