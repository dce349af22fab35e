"""Decodes a streamed answer, chunk by chunk.

A chunk that is strictly valid and consistent with those before it is relayed unchanged; any other
is parsed as far as possible and rebuilt later.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, ValidationError

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.faults import with_usage
from gateway.wire.openai import signatures, strict, tolerant
from gateway.wire.openai.alike import TextTemplate, plain_size
from gateway.wire.openai.choices import ChoiceState, extra_of
from gateway.wire.openai.faults import fault_in_body
from gateway.wire.openai.usage import strict_usage, usage_of
from gateway.wire.silence import count_silent_event
from gateway.wire.sse import SseDecoder

_NO_EXTRA: Final[Mapping[str, Raw]] = {}
_UNREADABLE: Final = "the provider's stream cannot be read"


def decoder(target: Target) -> StreamDecoder:
    """A decoder for a streamed answer with status 200."""
    return _Decoder(target.an_hour)


class _Decoder:
    """Errors are raised only after the deltas before them have been returned."""

    def __init__(self, an_hour: bool) -> None:
        self._sse = SseDecoder()
        self._an_hour = an_hour
        self.template = TextTemplate()
        self._choices: dict[int, ChoiceState] = {}
        self._id = ""
        self._created = 0
        self.done = False
        """See StreamDecoder."""
        self._usage_seen = False
        """Whether a usage has arrived."""
        self._pending_extra: dict[str, Raw] = {}
        """Extra fields of chunks with neither choices nor usage; sent with the next delta."""
        self._silent_events = 0
        """Events that gave no delta."""
        self._failure: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """See StreamDecoder. Hosts without `[DONE]` may still send a better usage."""
        choices = self._choices.values()
        ended = self._usage_seen and bool(choices) and all(choice.finished for choice in choices)
        return self._failure is None and ended

    def feed(self, chunk: bytes) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            self._read(self._sse.feed(chunk), deltas)
        except UpstreamError as error:
            self.template.open(at_event_end=False)
            if not deltas:
                raise
            self._failure = error
        else:
            self.template.open(at_event_end=self._sse.at_event_end and not self.done)
        return deltas

    def finish(self) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            self._read(self._sse.finish(), deltas)
        except Broken:
            # A finished answer is whole: what was cut off came after it.
            if not any(choice.finished for choice in self._choices.values()):
                raise
        choices = self._choices.values()
        if not choices or not (self.done or all(choice.finished for choice in choices)):
            raise Broken("the stream ended before the answer was whole")
        last = tuple(self._finish(choice) for choice in choices if not choice.finished)
        if last or self._pending_extra:
            extra = self._with_pending(_NO_EXTRA)
            deltas.append(Delta(last, id=self._id, created=self._created, extra=extra))
        return deltas

    def _finish(self, choice: ChoiceState) -> ChoiceDelta:
        choice.finished = True
        reason = tolerant.infer_finish(called=bool(choice.calls), legacy=choice.legacy)
        return ChoiceDelta(
            choice.index, tool_calls=tuple(choice.missing_arguments()), finish=reason
        )

    def _read(self, events: list[tuple[str, bytes]], deltas: list[Delta]) -> None:
        for name, data in events:
            if self.done:
                return
            if not name and (alike := self.template.read_data(data)) is not None:
                deltas.append(alike)
            elif data == b"[DONE]":
                self.done = True
            elif (delta := self._event(name, data)) is not None:
                deltas.append(delta)
                self._usage_seen = self._usage_seen or delta.usage is not None
            else:
                self._silent_events = count_silent_event(self._silent_events)

    def _event(self, name: str, data: bytes) -> Delta | None:
        if name != "error":
            try:
                chunk = strict.chunk(data)
            except (ValueError, RecursionError) as error:
                if data.strip() in (b"", b"[DONE]"):
                    self.done = self.done or bool(data.strip())
                    return None
                if not isinstance(error, ValidationError):
                    raise Broken(_UNREADABLE) from error
            else:
                return self._strict(chunk, data)
        decoded: Any = None
        try:
            decoded = msgspec.json.decode(data)
            return self._loose(decoded, failed=name == "error")
        except UpstreamError as error:
            raise with_usage(error, usage_of(decoded, an_hour=self._an_hour)) from None
        except (ValueError, RecursionError) as error:
            raise Broken(_UNREADABLE) from error

    def _strict(self, chunk: strict.Chunk, data: bytes) -> Delta | None:
        relay, known = self._same_head(chunk.id, chunk.created), len(self._choices)
        choices: list[ChoiceDelta] = []
        for entry in chunk.choices:
            choice, relayable = self._strict_choice(entry)
            relay = relay and relayable
            if choice is not None:
                choices.append(choice)
        usage = None if chunk.usage is None else strict_usage(chunk.usage, an_hour=self._an_hour)
        if not choices and usage is None:
            if chunk.moderation is not None and relay and strict.is_one_line(data):
                return Delta((), None, self._id, self._created, data)
            if not chunk.choices:
                self._pending_extra |= tolerant.with_extra((), chunk, data)[1]
            return None
        pieces, name, created = tuple(choices), self._id, self._created
        if relay and usage is None and strict.is_one_line(data):
            size = plain_size(pieces) if known == len(self._choices) else None
            if size:
                self.template.learn(data, chunk)
            return Delta(pieces, None, name, created, data, size=size)
        pieces, extra = tolerant.with_extra(pieces, chunk, data)
        return Delta(pieces, usage, name, created, extra=self._with_pending(extra))

    def _with_pending(self, extra: Mapping[str, Raw]) -> Mapping[str, Raw]:
        """A chunk's extra fields, together with the pending ones."""
        pending, self._pending_extra = self._pending_extra, {}
        return {**pending, **extra}

    def _same_head(self, name: str, created: int) -> bool:
        """Whether a chunk has the id and `created` of those before it."""
        if not self._id:
            self._id, self._created = name, created
        return name == self._id and created == self._created

    def _choice(self, index: int) -> tuple[ChoiceState, bool]:
        """The choice's state, and whether this is its first piece."""
        choice = self._choices.get(index)
        if choice is not None:
            return choice, False
        choice = self._choices[index] = ChoiceState(index)
        return choice, True

    def _strict_choice(self, entry: strict.ChunkChoice) -> tuple[ChoiceDelta | None, bool]:
        """One choice of a strict chunk, and whether it may be relayed."""
        piece = entry.delta
        choice, first = self._choice(entry.index)
        relayable = not first or piece.role is not UNSET
        calls: list[ToolDelta] = []
        if piece.tool_calls is not UNSET:
            relayable = self._strict_calls(choice, piece.tool_calls, calls) and relayable
        if piece.content or calls:
            choice.in_deltas = True
        extra = _NO_EXTRA
        if piece.function_call is not UNSET or piece.audio or piece.annotations:
            extra = extra_of(piece)
            choice.legacy = choice.legacy or "function_call" in extra
        finish: str | None = entry.finish_reason
        if finish is not None:
            pieces = choice.missing_arguments()
            calls += pieces
            relayable = relayable and not pieces and not choice.finished
            finish = None if choice.finished else finish
            choice.finished = True
        delta = ChoiceDelta(
            entry.index,
            piece.content or "",
            tuple(calls),
            finish,
            piece.refusal or "",
            piece.reasoning_content or piece.reasoning or "",
            None if entry.logprobs is None else Raw(msgspec.json.encode(entry.logprobs)),
            extra,
        )
        return (delta if relayable or first or _says_something(delta) else None), relayable

    def _strict_calls(
        self, choice: ChoiceState, pieces: list[strict.CallPiece], calls: list[ToolDelta]
    ) -> bool:
        relayable = True
        for piece in pieces:
            call_id = "" if piece.id is UNSET else piece.id
            name = arguments = ""
            if piece.function is not UNSET:
                name = "" if piece.function.name is UNSET else piece.function.name
                arguments = "" if piece.function.arguments is UNSET else piece.function.arguments
            before = len(choice.calls)
            at = choice.place(piece.index, call_id, name)
            delta = choice.piece(at, self._id, name, arguments)
            calls.append(delta)
            if at == before:
                complete = call_id and name and piece.type is not UNSET
                relayable = relayable and at == piece.index and bool(complete)
            else:
                told_once = not call_id and delta.name == (name or None)
                relayable = relayable and at == piece.index and told_once
        return relayable

    def _loose(self, chunk: Any, *, failed: bool) -> Delta | None:
        error = fault_in_body(chunk, sure=failed)
        if error is not None:
            raise error
        if not isinstance(chunk, Mapping):
            raise Broken(_UNREADABLE)
        name = tolerant.string(chunk.get("id"))
        if name:
            self._same_head(name, tolerant.seconds(chunk.get("created")))
        entries = chunk.get("choices")
        choices: list[ChoiceDelta] = []
        for at, choice in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(choice, Mapping):
                delta = self._loose_choice(at, choice)
                if delta is not None:
                    choices.append(delta)
        usage, extra = usage_of(chunk, an_hour=self._an_hour), tolerant.answer_extra(chunk)
        if not choices and usage is None:
            self._pending_extra |= extra
            return None
        return Delta(
            tuple(choices), usage, self._id, self._created, extra=self._with_pending(extra)
        )

    def _loose_choice(self, at: int, entry: Mapping[str, Any]) -> ChoiceDelta | None:
        choice, first = self._choice(tolerant.index(entry.get("index"), at))
        piece = entry.get("delta") or (not choice.in_deltas and entry.get("message"))
        if not isinstance(piece, Mapping):
            piece = {} if choice.in_deltas else {"content": entry.get("text")}
        text, thoughts = tolerant.content(piece.get("content"))
        calls = self._loose_calls(choice, piece.get("tool_calls"))
        extra = tolerant.message_extra(piece, whole=False)
        choice.legacy = choice.legacy or "function_call" in extra
        choice.in_deltas = choice.in_deltas or bool(entry.get("delta") and (text or calls))
        finish = tolerant.finish(entry.get("finish_reason"))
        if finish is not None:
            calls += choice.missing_arguments()
            finish = None if choice.finished else finish
            choice.finished = True
        delta = ChoiceDelta(
            choice.index,
            text or "",
            tuple(calls),
            finish,
            tolerant.string(piece.get("refusal")),
            tolerant.reasoning(piece) or thoughts,
            tolerant.logprobs(entry.get("logprobs")),
            extra or _NO_EXTRA,
            tolerant.choice_extra(entry),
        )
        return delta if first or _says_something(delta) else None

    def _loose_calls(self, choice: ChoiceState, pieces: Any) -> list[ToolDelta]:
        calls: list[ToolDelta] = []
        for call in tolerant.calls(pieces):
            call_id, name, arguments = tolerant.parse_call(call)
            index = tolerant.index(call.get("index"), -1)
            at = choice.place(None if index < 0 else index, call_id, name)
            piece = choice.piece(at, self._id, name, arguments)
            calls.append(signatures.with_signature(piece, call))
        return calls


def _says_something(delta: ChoiceDelta) -> bool:
    return delta != ChoiceDelta(delta.index)
