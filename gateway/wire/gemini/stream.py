"""A streamed answer: server-sent events, or one JSON array where `alt=sse` was not asked for."""

from collections.abc import Callable

from gateway.core.chat import Choice, ChoiceDelta, Delta, ToolCall, ToolDelta, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import NO_TEMPLATE, Target
from gateway.wire.faults import with_usage
from gateway.wire.gemini.array import ArrayDecoder
from gateway.wire.gemini.candidate import Candidate, Told, logprobs, place
from gateway.wire.gemini.reply import Answer, blocked, blocking, parsed
from gateway.wire.gemini.usage import usage
from gateway.wire.silence import count_silent_event
from gateway.wire.sse import SseDecoder
from gateway.wire.whole import LEADING_BLANKS


class Decoder:
    """Reads one streamed answer, cut anywhere; see StreamDecoder.

    A candidate's finish reason comes at the end of the stream: Google may give one with every
    piece, and a call in one piece makes the STOP of a later one `tool_calls`. When a failure
    comes in one chunk with good deltas, they are given first and it is raised at the next call.
    For the same reason nothing but the end of the stream says that it is done.
    """

    done = False

    template = NO_TEMPLATE

    def __init__(self) -> None:
        self._pieces = _Framing()
        self._told: dict[int, Told] = {}
        self._blocked: Choice | None = None
        self._usage: Usage | None = None
        self._begun = False
        """Whether anything was said."""
        self._id = ""
        self._silent = 0
        """Pieces that gave no delta."""
        self._failure: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        if self._failure is not None or self._usage is None or not self._told:
            return False
        return all(told.reason is not None for told in self._told.values())

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that are whole now. Raises UpstreamError."""
        return self._read(lambda: self._pieces.feed(chunk))

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken when the provider had not said why it stopped."""
        deltas = self._read(self._pieces.finish)
        if self._failure is not None:
            raise self._failure
        if not self._told and self._blocked is not None:
            said = self._blocked
            return [*deltas, self._delta(_whole(said))]
        try:
            return [*deltas, self._delta(*self._finish_choices())]
        except Broken as failure:
            raise with_usage(failure, self._usage) from None

    def _finish_choices(self) -> list[ChoiceDelta]:
        if not self._told or any(told.reason is None for told in self._told.values()):
            raise Broken("the stream ended before the answer did")
        return [
            ChoiceDelta(index, finish=told.finish(), extra=told.extra())
            for index, told in sorted(self._told.items())
        ]

    def _read(self, pieces: Callable[[], list[bytes]]) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            for data in pieces():
                delta = self._piece(data)
                if delta is None:
                    self._silent = count_silent_event(self._silent)
                else:
                    deltas.append(delta)
        except UpstreamError as failure:
            if isinstance(failure, Broken):
                with_usage(failure, self._usage)
            self._failure = failure
            if not deltas:
                raise
        return deltas

    def _piece(self, data: bytes) -> Delta | None:
        if data in (b"", b"[DONE]"):  # not Google's own, but some proxies add it
            return None
        answer = parsed(data)
        self._id = self._id or answer.responseId or ""
        before, self._usage = self._usage, usage(answer.usageMetadata) or self._usage
        if blocking(answer) is not None:
            self._blocked = blocked(answer)
        told = [self._candidate(each, answer) for each in answer.candidates or ()]
        heard = [choice for choice in told if choice is not None]
        self._begun = self._begun or bool(heard)
        # The last count is told at once: the end of the answer may be that it failed.
        counts = self._begun and self._usage != before
        return self._delta(*heard) if heard or counts else None

    def _candidate(self, candidate: Candidate, answer: Answer) -> ChoiceDelta | None:
        """What a piece of a candidate adds, if anything. An index that is absent is 0."""
        index = candidate.index = place(candidate.index or 0)
        told = self._told.setdefault(index, Told())
        before = told.calls
        piece = told.add(candidate, self._id)
        chances = logprobs(candidate.logprobsResult)
        if not (piece.text or piece.reasoning or piece.calls or chances):
            return None
        return ChoiceDelta(
            index,
            piece.text,
            tuple(_call(before + i, call) for i, call in enumerate(piece.calls)),
            reasoning=piece.reasoning,
            logprobs=chances,
        )

    def _delta(self, *choices: ChoiceDelta) -> Delta:
        return Delta(choices=choices, usage=self._usage, id=self._id)


class _Framing:
    """Tells by the first byte how the pieces are framed."""

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._array: ArrayDecoder | None = None
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        if not self._begun:
            chunk = chunk.lstrip(LEADING_BLANKS)
            if not chunk:
                return []
            self._begun = True
            if chunk[:1] in {b"[", b"{"}:
                self._array = ArrayDecoder()
        if self._array is not None:
            return self._array.feed(chunk)
        return [data for _, data in self._sse.feed(chunk)]

    def finish(self) -> list[bytes]:
        if self._array is not None:
            return self._array.finish()
        return [data for _, data in self._sse.finish()]


def _call(index: int, call: ToolCall) -> ToolDelta:
    return ToolDelta(index, call.id, call.name, call.arguments, call.extra)


def _whole(choice: Choice) -> ChoiceDelta:
    return ChoiceDelta(choice.index, finish=choice.finish, refusal=choice.refusal or "")


def decoder(target: Target) -> Decoder:
    """For a streamed answer with status 200."""
    return Decoder()
