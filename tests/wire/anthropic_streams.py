"""What tests of the Messages dialect share: building streams, and putting deltas together."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.chat import ChatRequest, Choice, Completion, Delta, ToolCall, Usage
from gateway.wire import anthropic
from gateway.wire.dialect import Target

WORDS: Final = st.text('ab \n"\\é\u2028\U0001f600', max_size=6)
"""Text with whatever is awkward in JSON and in server-sent events."""
PROPERTY: Final = settings(deadline=None, max_examples=60)
"""How long an example takes says nothing on a machine that is shared."""
TARGET: Final = Target("claude-sonnet-4-5", 8_192)


def sse(*events: Mapping[str, Any]) -> bytes:
    """Events framed as Anthropic frames them."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    )


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "usage": usage}}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def add(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def stop(reason: str | None = "end_turn", **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def text(index: int, said: str) -> list[dict[str, Any]]:
    """A whole text block."""
    return [begin(index, type="text", text=""), add(index, "text_delta", text=said), end(index)]


def read(chunks: Iterable[bytes]) -> list[Delta]:
    """Everything a decoder says of these chunks, the end included."""
    decoder = anthropic.decoder(TARGET)
    deltas = [delta for chunk in chunks for delta in decoder.feed(chunk)]
    return deltas + decoder.finish()


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
    return Completion(
        choices=(
            Choice(
                text="".join(choice.text for choice in choices) or None,
                tool_calls=tuple(calls),
                finish=finishes[0],
                refusal="".join(choice.refusal for choice in choices) or None,
                reasoning="".join(choice.reasoning for choice in choices) or None,
                extra=extra,
            ),
        ),
        id=next((delta.id for delta in told if delta.id), ""),
        usage=last_usage(told),
    )


def last_usage(deltas: Iterable[Delta]) -> Usage | None:
    return next((d.usage for d in reversed(list(deltas)) if d.usage is not None), None)


def chat(**fields: Any) -> ChatRequest:
    """A request as the door would have split it."""
    fields = {"model": "claude", "messages": [{"role": "user", "content": "Hi"}], **fields}
    raw = msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, Raw])
    limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
    return ChatRequest(
        raw,
        str(fields["model"]),
        max_tokens=limit if isinstance(limit, int) else None,
        n=fields["n"] if isinstance(fields.get("n"), int) else 1,
        user=fields["user"] if isinstance(fields.get("user"), str) else None,
    )


def body(target: Target = TARGET, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """What is sent upstream for a request with these fields."""
    call = anthropic.encode(chat(**fields), target, stream=stream)
    found: dict[str, Any] = json.loads(call.body)
    return found


def turns(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The turns that these messages become."""
    found: list[dict[str, Any]] = body(messages=list(messages), **fields)["messages"]
    return found
