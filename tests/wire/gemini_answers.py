"""What tests of the gemini dialect share: building answers, asking, and reading streams."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from gateway.wire import gemini
from gateway.wire.dialect import Target
from tests.wire.chats import chat

JSON = dict[str, Any]

TARGET: Final = Target("gemini-2.5-flash", 8_192)
THIRD: Final = Target("gemini-3-flash-preview", 8_192)
WEATHER: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SIGNATURE: Final = "c2lnbmVkIQ=="


def candidate(*parts: Any, reason: str | None = "STOP", **more: Any) -> JSON:
    """A candidate of an answer; a part that is a text is its text."""
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    found = {"content": {"parts": said, "role": "model"}, **more}
    return found if reason is None else {**found, "finishReason": reason}


def called(name: str = "weather", **more: Any) -> JSON:
    return {"functionCall": {"name": name, "args": {"city": "Rome"}}, **more}


def answer(*candidates: JSON, prompt: int = 5, **more: Any) -> JSON:
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": 2}
    return {"candidates": [*candidates], "usageMetadata": usage, "responseId": "r1", **more}


def as_sse(*answers: Any, end: str = "\r\n\r\n") -> bytes:
    return "".join(
        f"data: {json.dumps(each, ensure_ascii=False)}{end}" for each in answers
    ).encode()


def as_array(*answers: Any) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(each, indent=1).encode() for each in answers) + b"\n]\n"


def read(chunks: Iterable[bytes]) -> list[Delta]:
    """Everything a decoder says of these chunks, the end included."""
    decoder = gemini.decoder(TARGET)
    deltas = [delta for chunk in chunks for delta in decoder.feed(chunk)]
    return deltas + decoder.finish()


def told(chunks: Iterable[bytes]) -> tuple[bytes, str]:
    """The deltas as JSON, and how the stream ended: "whole" or an error's kind."""
    decoder = gemini.decoder(TARGET)
    deltas: list[Delta] = []
    ending = "whole"
    try:
        for chunk in chunks:
            deltas += decoder.feed(chunk)
        deltas += decoder.finish()
    except UpstreamError as error:
        ending = error.kind
    return msgspec.json.encode(deltas), ending


def body(target: Target = TARGET, **fields: Any) -> JSON:
    """What is sent upstream for a request with these fields."""
    found: JSON = json.loads(gemini.encode(chat(**fields), target, stream=False).body)
    return found


def contents(*messages: Mapping[str, Any], target: Target = TARGET) -> list[JSON]:
    """The turns that these messages become."""
    found: list[JSON] = body(target, messages=list(messages))["contents"]
    return found


def settings(target: Target = TARGET, **fields: Any) -> JSON:
    """The generationConfig of a request with these fields, without the output limit."""
    found: JSON = body(target, **fields)["generationConfig"]
    return {name: value for name, value in found.items() if name != "maxOutputTokens"}


def user(content: Any = "Hi") -> JSON:
    return {"role": "user", "content": content}


def call(id_: str = "c1", name: str = "weather", arguments: Any = "{}", **more: Any) -> JSON:
    return {
        "id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **more,
    }  # fmt: skip


def calls(*made: JSON, content: Any = None, **more: Any) -> JSON:
    return {"role": "assistant", "content": content, "tool_calls": list(made), **more}


def result(id_: str = "c1", content: Any = "sunny") -> JSON:
    return {"role": "tool", "tool_call_id": id_, "content": content}
