"""A streamed answer, chunk by chunk.

A chunk that is strictly valid, and follows from those before it, is relayed; any other is
understood as far as possible and rebuilt later.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, ValidationError

from gateway.core.chat import ChoiceDelta, Delta, ToolDelta
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.faults import counted
from gateway.wire.openai import signatures, strict, tolerant
from gateway.wire.openai.alike import AlikeText, plain_size
from gateway.wire.openai.choices import ChoiceSoFar, extra_of
from gateway.wire.openai.faults import fault_inside
from gateway.wire.openai.reply import strict_usage
from gateway.wire.silence import one_more
from gateway.wire.sse import SseDecoder

_NO_EXTRA: Final[Mapping[str, Raw]] = {}
_UNREADABLE: Final = "the provider's stream cannot be read"


def decoder(target: Target) -> StreamDecoder:
    """For a streamed answer with status 200."""
    return _Decoder()


class _Decoder:
    """Raises an error only after the deltas ahead of it have been given."""

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self.alike = AlikeText()
        self._choices: dict[int, ChoiceSoFar] = {}
        self._id = ""
        self._created = 0
        self.done = False
        """See StreamDecoder."""
        self._counted = False
        """Whether a usage has come."""
        self._waiting: dict[str, Raw] = {}
        """What was said where there were neither choices nor usage: told with the next delta."""
        self._silent = 0
        """Events that said nothing."""
        self._failure: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """See StreamDecoder. Hosts without `[DONE]` may still send a better usage."""
        choices = self._choices.values()
        ended = self._counted and bool(choices) and all(choice.finished for choice in choices)
        return self._failure is None and ended

    def feed(self, chunk: bytes) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            self._read(self._sse.feed(chunk), deltas)
        except UpstreamError as error:
            self.alike.open(between=False)
            if not deltas:
                raise
            self._failure = error
        else:
            self.alike.open(between=self._sse.between and not self.done)
        return deltas

    def finish(self) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            self._read(self._sse.finish(), deltas)
        except Broken:
            # The answer was whole, and what was cut off came after it.
            if not any(choice.finished for choice in self._choices.values()):
                raise
        choices = self._choices.values()
        if not choices or not (self.done or all(choice.finished for choice in choices)):
            raise Broken("the stream ended before the answer was whole")
        last = tuple(self._ended(choice) for choice in choices if not choice.finished)
        if last or self._waiting:
            extra = self._beside(_NO_EXTRA)
            deltas.append(Delta(last, id=self._id, created=self._created, extra=extra))
        return deltas

    def _ended(self, choice: ChoiceSoFar) -> ChoiceDelta:
        choice.finished = True
        reason = tolerant.inferred(called=bool(choice.calls), legacy=choice.legacy)
        return ChoiceDelta(choice.index, tool_calls=tuple(choice.unfilled()), finish=reason)

    def _read(self, events: list[tuple[str, bytes]], deltas: list[Delta]) -> None:
        for name, data in events:
            if self.done:
                return
            if not name and (alike := self.alike.read_data(data)) is not None:
                deltas.append(alike)
            elif data == b"[DONE]":
                self.done = True
            elif (delta := self._event(name, data)) is not None:
                deltas.append(delta)
                self._counted = self._counted or delta.usage is not None
            else:
                self._silent = one_more(self._silent)

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
        told: Any = None
        try:
            told = msgspec.json.decode(data)
            return self._loose(told, failed=name == "error")
        except UpstreamError as error:
            raise counted(error, tolerant.usage_of(told)) from None
        except (ValueError, RecursionError) as error:
            raise Broken(_UNREADABLE) from error

    def _strict(self, chunk: strict.Chunk, data: bytes) -> Delta | None:
        relay, known = self._same(chunk.id, chunk.created), len(self._choices)
        choices: list[ChoiceDelta] = []
        for told in chunk.choices:
            choice, clean = self._strict_choice(told)
            relay = relay and clean
            if choice is not None:
                choices.append(choice)
        usage = None if chunk.usage is None else strict_usage(chunk.usage)
        if not choices and usage is None:
            if chunk.moderation is not None and relay and strict.one_line_of_text(data):
                return Delta((), None, self._id, self._created, data)
            if not chunk.choices:
                self._waiting |= tolerant.beside_strict(chunk, data)
            return None
        pieces, name, created = tuple(choices), self._id, self._created
        if relay and usage is None and strict.one_line_of_text(data):
            size = plain_size(pieces) if known == len(self._choices) else None
            if size:
                self.alike.learn(data, chunk)
            return Delta(pieces, None, name, created, data, size=size)
        return Delta(
            pieces, usage, name, created, extra=self._beside(tolerant.beside_strict(chunk, data))
        )

    def _beside(self, told: Mapping[str, Raw]) -> Mapping[str, Raw]:
        """What a chunk says beside its choices, and what waits to be told with it."""
        waited, self._waiting = self._waiting, {}
        return {**waited, **told}

    def _same(self, name: str, created: int) -> bool:
        """Whether a chunk has the id and time of those before it."""
        if not self._id:
            self._id, self._created = name, created
        return name == self._id and created == self._created

    def _choice(self, index: int) -> tuple[ChoiceSoFar, bool]:
        """The choice so far, and whether this is its first piece."""
        choice = self._choices.get(index)
        if choice is not None:
            return choice, False
        choice = self._choices[index] = ChoiceSoFar(index)
        return choice, True

    def _strict_choice(self, told: strict.ChunkChoice) -> tuple[ChoiceDelta | None, bool]:
        """One choice of a strict chunk, and whether it may be relayed."""
        piece = told.delta
        choice, first = self._choice(told.index)
        clean = not first or piece.role is not UNSET
        calls: list[ToolDelta] = []
        if piece.tool_calls is not UNSET:
            clean = self._strict_calls(choice, piece.tool_calls, calls) and clean
        extra = _NO_EXTRA
        if piece.function_call is not UNSET or piece.audio or piece.annotations:
            extra = extra_of(piece)
            choice.legacy = choice.legacy or "function_call" in extra
        finish: str | None = told.finish_reason
        if finish is not None:
            pieces = choice.unfilled()
            calls += pieces
            clean = clean and not pieces and not choice.finished
            finish = None if choice.finished else finish
            choice.finished = True
        delta = ChoiceDelta(
            told.index,
            piece.content or "",
            tuple(calls),
            finish,
            piece.refusal or "",
            piece.reasoning_content or piece.reasoning or "",
            None if told.logprobs is None else Raw(msgspec.json.encode(told.logprobs)),
            extra,
        )
        return (delta if clean or first or _says_something(delta) else None), clean

    def _strict_calls(
        self, choice: ChoiceSoFar, told: list[strict.CallPiece], calls: list[ToolDelta]
    ) -> bool:
        clean = True
        for piece in told:
            given = "" if piece.id is UNSET else piece.id
            name = arguments = ""
            if piece.function is not UNSET:
                name = "" if piece.function.name is UNSET else piece.function.name
                arguments = "" if piece.function.arguments is UNSET else piece.function.arguments
            before = len(choice.calls)
            at = choice.place(piece.index, given, name)
            delta = choice.piece(at, self._id, name, arguments)
            calls.append(delta)
            if at == before:
                whole = given and name and piece.type is not UNSET
                clean = clean and at == piece.index and bool(whole)
            else:
                told_once = not given and delta.name == (name or None)
                clean = clean and at == piece.index and told_once
        return clean

    def _loose(self, chunk: Any, *, failed: bool) -> Delta | None:
        error = fault_inside(chunk, sure=failed)
        if error is not None:
            raise error
        if not isinstance(chunk, Mapping):
            raise Broken(_UNREADABLE)
        name = tolerant.string(chunk.get("id"))
        if name:
            self._same(name, tolerant.seconds(chunk.get("created")))
        told = chunk.get("choices")
        choices: list[ChoiceDelta] = []
        for at, choice in enumerate(told if isinstance(told, list) else ()):
            if isinstance(choice, Mapping):
                delta = self._loose_choice(at, choice)
                if delta is not None:
                    choices.append(delta)
        usage, told_beside = tolerant.usage_of(chunk), tolerant.beside(chunk)
        if not choices and usage is None:
            self._waiting |= told_beside
            return None
        extra = self._beside(told_beside)
        return Delta(tuple(choices), usage, self._id, self._created, extra=extra)

    def _loose_choice(self, at: int, told: Mapping[str, Any]) -> ChoiceDelta | None:
        piece = told.get("delta") or told.get("message")
        if not isinstance(piece, Mapping):
            piece = {"content": told.get("text")}
        choice, first = self._choice(tolerant.index(told.get("index"), at))
        text, thoughts = tolerant.content(piece.get("content"))
        calls = self._loose_calls(choice, piece.get("tool_calls"))
        extra = tolerant.others(piece, whole=False)
        choice.legacy = choice.legacy or "function_call" in extra
        finish = tolerant.finish(told.get("finish_reason"))
        if finish is not None:
            calls += choice.unfilled()
            finish = None if choice.finished else finish
            choice.finished = True
        delta = ChoiceDelta(
            choice.index,
            text or "",
            tuple(calls),
            finish,
            tolerant.string(piece.get("refusal")),
            tolerant.reasoning(piece) or thoughts,
            tolerant.logprobs(told.get("logprobs")),
            extra or _NO_EXTRA,
        )
        return delta if first or _says_something(delta) else None

    def _loose_calls(self, choice: ChoiceSoFar, told: Any) -> list[ToolDelta]:
        calls: list[ToolDelta] = []
        for call in told if isinstance(told, list) else ():
            if isinstance(call, Mapping):
                given, name, arguments = tolerant.called(call)
                index = tolerant.index(call.get("index"), -1)
                at = choice.place(None if index < 0 else index, given, name)
                piece = choice.piece(at, self._id, name, arguments)
                calls.append(signatures.signed_piece(piece, call))
        return calls


def _says_something(delta: ChoiceDelta) -> bool:
    return delta != ChoiceDelta(delta.index)
