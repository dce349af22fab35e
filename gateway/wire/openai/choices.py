"""What a stream has said so far of each choice, and where a piece of a tool call belongs."""

from typing import Final

from gateway.core.chat import ToolDelta
from gateway.core.errors import Broken
from gateway.wire.openai import tolerant

NAMELESS: Final = "the provider's answer calls a tool without a name"


class CallSoFar:
    """One tool call so far."""

    __slots__ = ("filled", "id", "name")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        """As the provider gave it; "" when it gave none."""
        self.name = ""
        self.filled = False

    def continues(self, call_id: str, name: str) -> bool:
        """Whether a piece with its index is more of it, and not the first of another."""
        if call_id and name and self.id:
            return call_id == self.id
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

    def place(self, index: int | None, call_id: str, name: str) -> int:
        """Which call a piece belongs to; a new one is added.

        Some providers number no calls, or all of them 0 (BerriAI/litellm#5231).
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
        calls.append(CallSoFar(call_id))
        return len(calls) - 1

    def piece(self, at: int, answer: str, name: str, arguments: str) -> ToolDelta:
        """A piece of a call; id and name are told once."""
        call = self.calls[at]
        new_id = None
        if not call.name and not call.filled:
            new_id = call.id or tolerant.call_id(answer, (self.index, at), name, arguments)
        new_name = name if name and not call.name else None
        call.name = call.name or name
        call.filled = call.filled or bool(arguments)
        return ToolDelta(at, new_id, new_name, arguments)

    def missing_arguments(self) -> list[ToolDelta]:
        """Arguments for the calls that came without any: they must be JSON. Raises Broken for a
        call that nobody has named.
        """
        if not all(call.name for call in self.calls):
            raise Broken(NAMELESS)
        pieces = [ToolDelta(at, arguments="{}") for at, c in enumerate(self.calls) if not c.filled]
        for piece in pieces:
            self.calls[piece.index].filled = True
        return pieces
