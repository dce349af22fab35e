"""What tests of the ollama dialect share: requests, and streams put together."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.core.chat import Delta
from gateway.wire import ollama
from gateway.wire.dialect import Target
from tests.wire.chats import chat

JSON = dict[str, Any]

TARGET: Final = Target("llama3", 100)
USER: Final[JSON] = {"role": "user", "content": "Hi"}


def body(*messages: JSON, stream: bool = False, **fields: Any) -> JSON:
    """What is sent for these messages, or for "Hi"."""
    asked = chat(messages=list(messages) or [USER], **fields)
    found: JSON = json.loads(ollama.encode(asked, TARGET, stream=stream).body)
    return found


def lines(*said: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in said)


def feed(pieces: Iterable[bytes]) -> list[Delta]:
    """Everything a decoder says of these pieces, the end included."""
    decoder = ollama.decoder(TARGET)
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return deltas + decoder.finish()
