"""What tests of the Messages dialect share: building streams, and putting deltas together."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from gateway.core.chat import Delta
from gateway.wire import anthropic
from gateway.wire.dialect import Target
from tests.wire.chats import chat

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


def body(target: Target = TARGET, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """What is sent upstream for a request with these fields."""
    call = anthropic.encode(chat(**fields), target, stream=stream)
    found: dict[str, Any] = json.loads(call.body)
    return found


def turns(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The turns that these messages become."""
    found: list[dict[str, Any]] = body(messages=list(messages), **fields)["messages"]
    return found
