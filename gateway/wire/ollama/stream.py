"""A streamed answer: one JSON object a line, the last of them with `done`."""

from typing import Final

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import NO_TEMPLATE, StreamDecoder, Target
from gateway.wire.faults import with_usage
from gateway.wire.ollama.faults import fault_inside, read
from gateway.wire.ollama.reply import Said, finish, logprobs, seconds, tool_calls, usage
from gateway.wire.silence import MAX_SILENT_BYTES, count_silent_event, silent_stream
from gateway.wire.whole import LEADING_BLANKS

MAX_LINE: Final = 4 * 1024 * 1024


def decoder(target: Target) -> StreamDecoder:
    """For a streamed answer with status 200."""
    return _Decoder()


class _Decoder:
    """Raises an error only after the deltas ahead of it have been given."""

    template = NO_TEMPLATE

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._calls = 0
        self._spoken = False
        self._spread = False
        """Whether it is one answer over many lines: some proxy's, held until it is whole."""
        self._created = 0
        self._done = False
        self._blank = 0
        """Bytes of lines with nothing on them."""
        self._silent = 0
        """Lines that said nothing."""
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
        """The last line, where it has no end. Raises Broken when the answer is not whole."""
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        self._spread = False
        self._end_line(deltas)
        if not self._done:
            raise Broken("the stream ended before the answer was whole")
        return deltas

    def _read(self, chunk: bytes, deltas: list[Delta]) -> None:
        if self._spread or self._done:
            self._hold(chunk)
            return
        *lines, rest = chunk.split(b"\n")
        blank = self._blank
        for at, line in enumerate(lines):
            if not self._rest and not line.strip(LEADING_BLANKS):
                blank += len(line) + 1
                if blank > MAX_SILENT_BYTES:
                    raise silent_stream()
                continue
            self._hold(line)
            if self._end_line(deltas):
                self._hold(b"\n".join((*lines[at + 1 :], rest)))
                return
        self._blank = blank
        self._hold(rest)

    def _hold(self, piece: bytes) -> None:
        if self._done or not piece:
            return
        self._size += len(piece)
        if self._size > MAX_LINE:
            raise Broken("a line of the stream is beyond 4 MiB")
        self._rest.append(piece)

    def _end_line(self, deltas: list[Delta]) -> bool:
        """Whether it is spread over the lines to come, too."""
        line = b"".join(self._rest).strip(LEADING_BLANKS)
        if line == b"{" and not self._spread:
            self._spread = True
            return True
        self._rest.clear()
        self._size = 0
        if line and not self._done:
            said = read(line, Said)
            try:
                delta = self._to_delta(said)
            except UpstreamError as error:
                raise with_usage(error, usage(said)) from None
            if delta is None:
                self._silent = count_silent_event(self._silent)
            else:
                deltas.append(delta)
        return False

    def _to_delta(self, said: Said) -> Delta | None:
        if said.error:
            raise fault_inside(said.error)
        self._spoken = self._spoken or said.message is not None
        if not self._spoken or (said.message is None and not said.done):
            raise Broken("a line of the stream says nothing")
        self._created = self._created or seconds(said.created_at)
        calls = tuple(
            ToolDelta(self._calls + at, call.id, call.name, call.arguments)
            for at, call in enumerate(tool_calls(said, self._calls))
        )
        self._calls += len(calls)
        self._done = said.done
        message = said.message
        told = ChoiceDelta(
            text=(message.content if message else None) or "",
            tool_calls=calls,
            finish=finish(said.done_reason, called=self._calls > 0) if said.done else None,
            reasoning=(message.thinking if message else None) or "",
            logprobs=logprobs(said.logprobs),
        )
        if told == ChoiceDelta():
            return None
        return Delta((told,), usage(said), created=self._created)
