"""The deltas of a stream put together again, as a client would."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.core.chat import Delta, Usage


@dataclass
class Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class Folded:
    """One choice."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: dict[int, Call] = field(default_factory=dict)
    finishes: list[str] = field(default_factory=list)


def fold(deltas: Iterable[Delta]) -> tuple[dict[int, Folded], Usage | None]:
    """The choices by index, and the last usage."""
    choices: dict[int, Folded] = {}
    usage = None
    for delta in deltas:
        usage = delta.usage or usage
        for piece in delta.choices:
            choice = choices.setdefault(piece.index, Folded())
            choice.text += piece.text
            choice.reasoning += piece.reasoning
            choice.refusal += piece.refusal
            for part in piece.tool_calls:
                call = choice.calls.setdefault(part.index, Call())
                call.id += part.id or ""
                call.name += part.name or ""
                call.arguments += part.arguments
            if piece.finish is not None:
                choice.finishes.append(piece.finish)
    return choices, usage
