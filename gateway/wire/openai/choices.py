"""What a stream has said so far of each choice, and where a piece of a tool call belongs."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from gateway.core.chat import ToolDelta
from gateway.core.errors import Broken
from gateway.wire.openai import strict, tolerant

NAMELESS: Final = "the provider's answer calls a tool without a name"


class CallSoFar:
    """One tool call so far."""

    __slots__ = ("filled", "id", "name")

    def __init__(self, given: str) -> None:
        self.id = given
        """As the provider gave it; "" when it gave none."""
        self.name = ""
        self.filled = False

    def goes_on(self, given: str, name: str) -> bool:
        """Whether a piece with its index is more of it, and not the first of another."""
        if given and name and self.id:
            return given == self.id
        return not (self.filled and name and self.name and name != self.name)


class ChoiceSoFar:
    """One choice so far."""

    __slots__ = ("calls", "finished", "index", "legacy", "places")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls: list[CallSoFar] = []
        self.places: dict[int, int] = {}
        """Where the calls with the provider's indexes are in `calls`."""
        self.finished = False
        self.legacy = False

    def place(self, index: int | None, given: str, name: str) -> int:
        """Which call a piece belongs to; a new one is added.

        Some providers number no calls, or all of them 0 (BerriAI/litellm#5231).
        """
        calls = self.calls
        if index is None:
            known = [at for at, call in enumerate(calls) if given and call.id == given]
            if known:
                return known[0]
            if calls and not given and not name:
                return len(calls) - 1
        else:
            at = self.places.get(index)
            if at is not None and calls[at].goes_on(given, name):
                return at
            self.places[index] = len(calls)
        calls.append(CallSoFar(given))
        return len(calls) - 1

    def piece(self, at: int, answer: str, name: str, arguments: str) -> ToolDelta:
        """A piece of a call; id and name are told once."""
        call = self.calls[at]
        given = None
        if not call.name and not call.filled:
            given = call.id or tolerant.call_id(answer, (self.index, at), name, arguments)
        told = name if name and not call.name else None
        call.name = call.name or name
        call.filled = call.filled or bool(arguments)
        return ToolDelta(at, given, told, arguments)

    def unfilled(self) -> list[ToolDelta]:
        """Arguments for the calls that came without any: they must be JSON. Raises Broken for a
        call that nobody has named.
        """
        if not all(call.name for call in self.calls):
            raise Broken(NAMELESS)
        pieces = [ToolDelta(at, arguments="{}") for at, c in enumerate(self.calls) if not c.filled]
        for piece in pieces:
            self.calls[piece.index].filled = True
        return pieces


def extra_of(piece: strict.Piece) -> Mapping[str, Raw]:
    """The other fields of a strict piece of a choice."""
    extra: dict[str, Raw] = {}
    for name in ("function_call", "audio", "annotations"):
        value = getattr(piece, name)
        if value:
            extra[name] = Raw(msgspec.json.encode(value))
    return extra
