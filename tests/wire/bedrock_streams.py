"""What tests of Bedrock share: building streams, putting deltas together, asking for a body."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hypothesis import settings
from msgspec import Raw

from gateway.core.chat import Delta
from gateway.wire import bedrock
from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.eventstream import Message, encode
from tests.wire.chats import chat

PROPERTY: Final = settings(deadline=None, max_examples=60)
"""How long an example takes says nothing on a machine that is shared."""
CLAUDE: Final = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 8_192)
NOVA: Final = Target("us.amazon.nova-2-lite-v1:0", 8_192)
LLAMA: Final = Target("us.meta.llama3-3-70b-instruct-v1:0", 8_192)

JSON = dict[str, Any]


def event(kind: str, **body: Any) -> bytes:
    """One event, framed as Bedrock frames it."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(Message(headers, json.dumps({**body, "p": "abc"}, ensure_ascii=False).encode()))


def broke(kind: str, message: str = "sorry") -> bytes:
    """An exception in the stream."""
    headers = {":exception-type": kind, ":message-type": "exception"}
    return encode(Message(headers, json.dumps({"message": message}).encode()))


def start(index: int, **begun: Any) -> bytes:
    return event("contentBlockStart", contentBlockIndex=index, start=begun)


def add(index: int, **delta: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=delta)


def end(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


def text(index: int, *said: str) -> bytes:
    """A whole text block."""
    return b"".join(add(index, text=each) for each in said) + end(index)


def call(index: int, *said: str, id_: str = "t1", name: str = "weather") -> bytes:
    """A whole call of a tool, its arguments in these pieces."""
    pieces = b"".join(add(index, toolUse={"input": each}) for each in said)
    return start(index, toolUse={"toolUseId": id_, "name": name}) + pieces + end(index)


def stop(reason: str = "end_turn", **usage: int) -> bytes:
    told = event("metadata", usage=usage, metrics={"latencyMs": 5}) if usage else b""
    return event("messageStop", stopReason=reason) + told


BEGIN: Final = event("messageStart", role="assistant")


def read(
    chunks: Iterable[bytes], decoder: Callable[[Target], StreamDecoder] = bedrock.decoder
) -> list[Delta]:
    """Everything a decoder says of these chunks, the end included."""
    reading = decoder(CLAUDE)
    deltas = [delta for chunk in chunks for delta in reading.feed(chunk)]
    return deltas + reading.finish()


def comparable(deltas: Iterable[Delta]) -> list[Any]:
    """Raw values compare by identity: their bytes are what counts."""
    return [
        (
            delta.usage,
            delta.id,
            [(c.text, c.tool_calls, c.finish, c.reasoning, kept(c.extra)) for c in delta.choices],
        )
        for delta in deltas
    ]


def kept(extra: Mapping[str, Raw]) -> JSON:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


def body(target: Target = CLAUDE, *, stream: bool = False, **fields: Any) -> JSON:
    """What is sent upstream for a request with these fields."""
    found: JSON = json.loads(bedrock.encode(chat(**fields), target, stream=stream).body)
    return found


def turns(*messages: JSON, target: Target = CLAUDE, **fields: Any) -> list[JSON]:
    """The turns that these messages become."""
    found: list[JSON] = body(target, messages=list(messages), **fields)["messages"]
    return found
