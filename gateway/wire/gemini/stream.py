"""Decodes a streamed answer: server-sent events, or one JSON array without `alt=sse`."""

from collections.abc import Callable

from gateway.core.chat import Choice, ChoiceDelta, Delta, ToolCall, ToolDelta, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import NO_TEMPLATE, Target
from gateway.wire.faults import with_usage
from gateway.wire.gemini import grounding
from gateway.wire.gemini.array import ArrayDecoder
from gateway.wire.gemini.candidate import Candidate, CandidateState, logprobs, require_index
from gateway.wire.gemini.reply import Answer, block_reason, blocked_choice, parse_answer
from gateway.wire.gemini.usage import parse_usage, with_searches
from gateway.wire.silence import count_silent_event
from gateway.wire.sse import SseDecoder
from gateway.wire.whole import LEADING_BLANKS


class Decoder:
    """Reads one streamed answer, cut anywhere; see StreamDecoder.

    Finish reasons are returned at the end of the stream: Google may send one with every piece, and
    a call in one piece turns the STOP of a later one into `tool_calls`. So only the end of the
    stream means done. If a failure arrives in one chunk with good deltas, those are returned first
    and the failure is raised at the next call.
    """

    done = False

    template = NO_TEMPLATE

    def __init__(self) -> None:
        self._pieces = _Framing()
        self._candidates: dict[int, CandidateState] = {}
        self._blocked: Choice | None = None
        self._usage: Usage | None = None
        self._queries: set[str] = set()
        """What the web was searched for."""
        self._started = False
        """Whether there has been any output."""
        self._id = ""
        self._silent_events = 0
        """Pieces that gave no delta."""
        self._failure: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        if self._failure is not None or self._usage is None or not self._candidates:
            return False
        return all(state.reason is not None for state in self._candidates.values())

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that this chunk completes. Raises UpstreamError."""
        return self._read(lambda: self._pieces.feed(chunk))

    def finish(self) -> list[Delta]:
        """The last deltas. Raises Broken if no finish reason has arrived."""
        deltas = self._read(self._pieces.finish)
        if self._failure is not None:
            raise self._failure
        if not self._candidates and self._blocked is not None:
            choice = self._blocked
            return [*deltas, self._delta(_as_choice_delta(choice))]
        try:
            return [*deltas, self._delta(*self._finish_choices())]
        except Broken as failure:
            raise with_usage(failure, self._usage) from None

    def _finish_choices(self) -> list[ChoiceDelta]:
        if not self._candidates or any(state.reason is None for state in self._candidates.values()):
            raise Broken("the stream ended before the answer did")
        return [
            ChoiceDelta(index, finish=state.finish(), extra=state.extra())
            for index, state in sorted(self._candidates.items())
        ]

    def _read(self, pieces: Callable[[], list[bytes]]) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            for data in pieces():
                delta = self._piece(data)
                if delta is None:
                    self._silent_events = count_silent_event(self._silent_events)
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
        if data in (b"", b"[DONE]"):  # added by some proxies
            return None
        answer = parse_answer(data)
        self._id = self._id or answer.responseId or ""
        for each in answer.candidates or ():
            self._queries |= grounding.queries(each.groundingMetadata)
        usage = parse_usage(answer.usageMetadata) or self._usage
        before, self._usage = self._usage, with_searches(usage, self._queries)
        if block_reason(answer) is not None:
            self._blocked = blocked_choice(answer)
        deltas = [self._candidate(each, answer) for each in answer.candidates or ()]
        choices = [choice for choice in deltas if choice is not None]
        self._started = self._started or bool(choices)
        # A new usage is returned at once: the stream may still fail at its end.
        counts = self._started and self._usage != before
        return self._delta(*choices) if choices or counts else None

    def _candidate(self, candidate: Candidate, answer: Answer) -> ChoiceDelta | None:
        """The delta for a piece of a candidate, if any. A missing index means 0."""
        index = candidate.index = require_index(candidate.index or 0)
        state = self._candidates.setdefault(index, CandidateState())
        before = state.calls
        piece = state.add(candidate, self._id)
        token_logprobs = logprobs(candidate.logprobsResult)
        if not (piece.text or piece.reasoning or piece.calls or token_logprobs):
            return None
        return ChoiceDelta(
            index,
            piece.text,
            tuple(_call(before + i, call) for i, call in enumerate(piece.calls)),
            reasoning=piece.reasoning,
            logprobs=token_logprobs,
        )

    def _delta(self, *choices: ChoiceDelta) -> Delta:
        return Delta(choices=choices, usage=self._usage, id=self._id)


class _Framing:
    """Recognises by the first byte how the pieces are framed."""

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._array: ArrayDecoder | None = None
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        if not self._started:
            chunk = chunk.lstrip(LEADING_BLANKS)
            if not chunk:
                return []
            self._started = True
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


def _as_choice_delta(choice: Choice) -> ChoiceDelta:
    return ChoiceDelta(choice.index, finish=choice.finish, refusal=choice.refusal or "")


def decoder(target: Target) -> Decoder:
    """A decoder for a streamed answer with status 200."""
    return Decoder()
