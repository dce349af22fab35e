"""What tests of all dialects share: a request, and a streamed answer put together."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.chat import ChatRequest, Choice, Completion, Delta, ToolCall, Usage


def chat(**fields: Any) -> ChatRequest:
    """A request as the door would have split it."""
    fields = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    raw = msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, Raw])
    limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
    return ChatRequest(
        raw,
        str(fields["model"]),
        max_tokens=limit if isinstance(limit, int) else None,
        n=fields["n"] if isinstance(fields.get("n"), int) else 1,
        user=fields["user"] if isinstance(fields.get("user"), str) else None,
    )


def assembled(deltas: Iterable[Delta]) -> Completion:
    """The answer that deltas amount to, as a client puts them together."""
    told = list(deltas)
    choices = [choice for delta in told for choice in delta.choices]
    calls: list[ToolCall] = []
    for piece in (piece for choice in choices for piece in choice.tool_calls):
        if piece.id is not None:
            assert piece.index == len(calls), f"call {piece.index} begun out of order"
            calls.append(ToolCall(piece.id, piece.name or "", piece.arguments))
        else:
            old = calls[piece.index]
            calls[piece.index] = ToolCall(old.id, old.name, old.arguments + piece.arguments)
    finishes = [choice.finish for choice in choices if choice.finish]
    assert len(finishes) == 1, f"finished {len(finishes)} times"
    extra: dict[str, Raw] = {}
    for choice in choices:
        extra |= choice.extra
    whole = Choice(
        text="".join(choice.text for choice in choices) or None,
        tool_calls=tuple(calls),
        finish=finishes[0],
        refusal="".join(choice.refusal for choice in choices) or None,
        reasoning="".join(choice.reasoning for choice in choices) or None,
        extra=extra,
    )
    name = next((delta.id for delta in told if delta.id), "")
    return Completion(choices=(whole,), id=name, usage=last_usage(told))


def last_usage(deltas: Iterable[Delta]) -> Usage | None:
    return next((d.usage for d in reversed(list(deltas)) if d.usage is not None), None)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """A body cut at these places, wherever they lie."""
    ends = sorted({place % (len(body) + 1) for place in places})
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]
