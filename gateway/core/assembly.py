"""A streamed answer put together, as a client would."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.core.beside import beside_choices
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolCall, ToolDelta, Usage

_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_LOGPROBS: Final = msgspec.json.Decoder(dict[str, list[Raw] | None])
_OF_A_CHUNK: Final = frozenset(
    {"choices", "created", "error", "id", "model", "obfuscation", "object", "usage"}
)
"""Fields that are of a chunk alone, or are kept in another way."""
_IN_PIECES: Final = {"audio": ("data", "transcript"), "function_call": ("arguments",)}
"""OpenAI's objects that come in pieces, and their texts that go on."""
CUT: Final = "length"
"""How an answer ends that was stopped before its end: clients know it as not whole."""


class Assembly:
    """Collects deltas into an answer."""

    def __init__(self) -> None:
        self._choices: dict[int, _Parts] = {}
        self._extra: dict[str, Raw] = {}
        self._id = ""
        self._created = 0
        self._dropped: tuple[str, ...] = ()

    def add(self, deltas: Sequence[Delta]) -> None:
        for delta in deltas:
            if delta.size is None:
                self._add(delta)
            else:
                piece = delta.choices[0]
                self._choices[piece.index].text.append(piece.text)
                if piece.reasoning:
                    self._choices[piece.index].reasoning.append(piece.reasoning)

    def _add(self, delta: Delta) -> None:
        self._id = self._id or delta.id
        self._created = self._created or delta.created
        self._dropped = self._dropped or delta.dropped
        # Who sends a list of sources sends all of it with each chunk, or once.
        self._extra.update(delta.extra if delta.raw is None else _beside(delta.raw))
        for piece in delta.choices:
            choice = self._choices.get(piece.index)
            if choice is None:
                choice = self._choices[piece.index] = _Parts()
            choice.add(piece)
            if piece.finish and delta.raw is not None:
                choice.beside |= beside_choices(delta.raw).get(piece.index, {})

    def completion(self, usage: Usage | None, *, whole: bool = True) -> Completion:
        """The answer; one that is not whole is told as cut."""
        unsaid = "stop" if whole else CUT
        return Completion(
            choices=tuple(self._choices[at].choice(at, unsaid) for at in sorted(self._choices)),
            id=self._id,
            created=self._created,
            usage=usage,
            dropped=self._dropped,
            extra=self._extra,
        )


class _Parts:
    """Of one choice."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self._refusal: list[str] = []
        self.reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish: str | None = None
        self._logprobs: list[Raw] = []
        self.beside: dict[str, Raw] = {}
        self._extra: dict[str, list[Raw]] = {}
        """By name: several are to be joined at the end. Some send a list with each piece."""

    def add(self, piece: ChoiceDelta) -> None:
        self.text.append(piece.text)
        if piece.refusal:
            self._refusal.append(piece.refusal)
        if piece.reasoning:
            self.reasoning.append(piece.reasoning)
        for call in piece.tool_calls:
            self._calls.setdefault(call.index, _Call()).add(call)
        self._finish = piece.finish or self._finish
        if piece.logprobs:
            self._logprobs.append(piece.logprobs)
        if piece.beside:
            self.beside |= piece.beside
        for name, raw in piece.extra.items():
            so_far = self._extra.get(name)
            if so_far is None:
                self._extra[name] = [raw]
            elif name in _IN_PIECES or (_is_list(so_far[0]) and _is_list(raw)):
                so_far.append(raw)
            else:
                self._extra[name] = [raw]

    def choice(self, index: int, unsaid: str) -> Choice:
        return Choice(
            index,
            "".join(self.text) or None,
            tuple(self._calls[at].call() for at in sorted(self._calls)),
            self._finish or unsaid,
            "".join(self._refusal) or None,
            "".join(self.reasoning) or None,
            _joined_logprobs(self._logprobs),
            {name: _joined(name, pieces) for name, pieces in self._extra.items()},
            self.beside,
        )


class _Call:
    def __init__(self) -> None:
        self._id = self._name = ""
        self._arguments: list[str] = []
        self._extra: dict[str, Raw] = {}

    def add(self, piece: ToolDelta) -> None:
        """Id and name are told once."""
        self._id = self._id or piece.id or ""
        self._name = self._name or piece.name or ""
        self._arguments.append(piece.arguments)
        self._extra.update(piece.extra)

    def call(self) -> ToolCall:
        return ToolCall(self._id, self._name, "".join(self._arguments), self._extra)


def _beside(chunk: bytes) -> Mapping[str, Raw]:
    """What a provider's own chunk says of the whole answer: system_fingerprint, ..."""
    return {
        name: raw
        for name, raw in _FIELDS.decode(chunk).items()
        if name not in _OF_A_CHUNK and bytes(raw) != b"null"
    }


def _is_list(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"["


def _joined(name: str, pieces: list[Raw]) -> Raw:
    """Lists go on, as do some texts; of anything else there is one piece, the last that came."""
    if len(pieces) == 1:
        return pieces[0]
    if name in _IN_PIECES:
        return _object(pieces, _IN_PIECES[name])
    return Raw(msgspec.json.encode([each for piece in pieces for each in _ITEMS.decode(piece)]))


def _joined_logprobs(pieces: Sequence[Raw]) -> Raw | UnsetType:
    """`{"content": [...], "refusal": null}` of all tokens."""
    if len(pieces) < 2:
        return pieces[0] if pieces else UNSET
    joined: dict[str, list[Raw] | None] = {}
    for piece in pieces:
        for name, tokens in _LOGPROBS.decode(piece).items():
            so_far = joined.setdefault(name, tokens)
            if so_far is None:
                joined[name] = tokens
            elif tokens is not None and tokens is not so_far:
                so_far += tokens
    return Raw(msgspec.json.encode(joined))


def _object(pieces: list[Raw], go_on: Collection[str]) -> Raw:
    """Objects as one: the texts of these fields are joined, of any other the last one stands."""
    fields: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for piece in pieces:
        decoded = msgspec.json.decode(piece)
        for name, value in decoded.items() if isinstance(decoded, dict) else ():
            if name in go_on and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            else:
                fields[name] = value
    return Raw(msgspec.json.encode(fields | {name: "".join(t) for name, t in texts.items()}))
