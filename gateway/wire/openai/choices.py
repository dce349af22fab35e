"""State of a stream's choices, and the assignment of pieces to tool calls."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from gateway.core.chat import ToolDelta
from gateway.core.errors import Broken
from gateway.wire.openai import strict, tolerant

NAMELESS: Final = "the provider's answer calls a tool without a name"


class CallState:
    """State of one tool call."""

    __slots__ = ("filled", "id", "name")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        """The provider's id; "" if it sent none."""
        self.name = ""
        self.filled = False

    def continues(self, call_id: str, name: str) -> bool:
        """Whether a piece with this call's index continues it, instead of beginning another."""
        if call_id and name and self.id:
            return call_id == self.id
        return not (self.filled and name and self.name and name != self.name)


class ChoiceState:
    """State of one choice."""

    __slots__ = ("calls", "finished", "in_deltas", "index", "legacy", "places")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls: list[CallState] = []
        self.places: dict[int, int] = {}
        """Positions in `calls` by the provider's index."""
        self.finished = False
        self.legacy = False
        self.in_deltas = False
        """Whether it says something in `delta`: then a `message` repeats the whole answer."""

    def place(self, index: int | None, call_id: str, name: str) -> int:
        """The position of the call that a piece belongs to; adds a new call if there is none.

        Some providers send no index, or 0 for every call (BerriAI/litellm#5231).
        """
        calls = self.calls
        if index is None:
            known = [at for at, call in enumerate(calls) if call_id and call.id == call_id]
            if known:
                return known[0]
            if calls and not call_id and not name:
                return len(calls) - 1
        else:
            at = self.places.get(index)
            if at is not None and calls[at].continues(call_id, name):
                return at
            self.places[index] = len(calls)
        calls.append(CallState(call_id))
        return len(calls) - 1

    def piece(self, at: int, answer: str, name: str, arguments: str) -> ToolDelta:
        """The delta for a piece of a call; id and name are sent only once."""
        call = self.calls[at]
        new_id = None
        if not call.name and not call.filled:
            new_id = call.id or tolerant.call_id(answer, (self.index, at), name, arguments)
        new_name = name if name and not call.name else None
        call.name = call.name or name
        call.filled = call.filled or bool(arguments)
        return ToolDelta(at, new_id, new_name, arguments)

    def missing_arguments(self) -> list[ToolDelta]:
        """`{}` as arguments for the calls that had none. Raises Broken for a call without a
        name.
        """
        if not all(call.name for call in self.calls):
            raise Broken(NAMELESS)
        pieces = [ToolDelta(at, arguments="{}") for at, c in enumerate(self.calls) if not c.filled]
        for piece in pieces:
            self.calls[piece.index].filled = True
        return pieces


def extra_of(piece: strict.Piece) -> Mapping[str, Raw]:
    """Other fields of a strict delta that are passed on to the client."""
    extra: dict[str, Raw] = {}
    for name in ("function_call", "audio", "annotations"):
        value = getattr(piece, name)
        if value:
            extra[name] = Raw(msgspec.json.encode(value))
    return extra
