"""The messages that tests of Bedrock are made of, and the blocks they become."""

from typing import Any, Final

from tests.wire.bedrock_streams import JSON

CACHED: Final = {"type": "ephemeral"}
POINT: Final = {"cachePoint": {"type": "default"}}
TOOL: Final = {"type": "function", "function": {"name": "weather"}}
PIXEL: Final = "data:image/png;base64,iVBO"
IMAGE: Final = {"image": {"format": "png", "source": {"bytes": "iVBO"}}}


def user(content: Any = "Hi", **more: Any) -> JSON:
    return {"role": "user", "content": content, **more}


def call(id_: str = "c1", arguments: Any = "{}", **more: Any) -> JSON:
    function = {"name": "weather", "arguments": arguments}
    return {"id": id_, "type": "function", "function": function, **more}


def calls(*made: JSON, content: Any = None, **more: Any) -> JSON:
    return {"role": "assistant", "content": content, "tool_calls": list(made), **more}


def result(id_: str = "c1", content: Any = "sunny", **more: Any) -> JSON:
    return {"role": "tool", "tool_call_id": id_, "content": content, **more}


def text(said: str, **more: Any) -> JSON:
    return {"type": "text", "text": said, **more}


def used(id_: str = "c1", **arguments: Any) -> JSON:
    return {"toolUse": {"toolUseId": id_, "name": "weather", "input": arguments}}


def found(id_: str = "c1", *content: JSON, **more: Any) -> JSON:
    return {"toolResult": {"toolUseId": id_, "content": list(content or [SUNNY]), **more}}


SUNNY: Final = {"text": "sunny"}


def file(data: str, name: str | None = None) -> JSON:
    return {"type": "file", "file": {"file_data": data} | ({"filename": name} if name else {})}


def document(form: str, name: str, data: str = "QQ==") -> JSON:
    return {"document": {"name": name, "format": form, "source": {"bytes": data}}}
