"""The messages that tests of the Messages dialect are made of, and the blocks they become."""

from typing import Any, Final

JSON = dict[str, Any]

CACHED: Final = {"type": "ephemeral"}
WEATHER: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
THOUGHT: Final = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SEALED: Final = {"type": "redacted_thinking", "data": "Y2lwaGVy"}


def user(content: Any = "Hi", **more: Any) -> JSON:
    return {"role": "user", "content": content, **more}


def call(id_: str = "c1", name: str = "weather", arguments: Any = "{}") -> JSON:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: JSON, content: Any = None, **more: Any) -> JSON:
    return {"role": "assistant", "content": content, "tool_calls": list(made), **more}


def result(id_: str = "c1", content: Any = "sunny", **more: Any) -> JSON:
    return {"role": "tool", "tool_call_id": id_, "content": content, **more}


def said(text: str, **more: Any) -> JSON:
    return {"type": "text", "text": text, **more}


def used(id_: str = "c1", name: str = "weather", **arguments: Any) -> JSON:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def found(id_: str = "c1", content: Any = "sunny", **more: Any) -> JSON:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}
