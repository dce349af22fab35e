"""Ollama's chat, from the provider's side: parsing and validation of requests.

Refused is what Go's JSON decoder cannot decode into the request's fields; unknown fields and
options are ignored, as by the real server. Source: api/types.go of github.com/ollama/ollama.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.simulator.format import read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest, Tool

_ROLES: Final = ("system", "user", "assistant", "tool")
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "messages": (list, "[]api.Message"),
    "model": (str, "string"),
    "options": (dict, "map[string]interface {}"),
    "stream": (bool, "bool"),
    "tools": (list, "api.Tools"),
}
_GO_TYPES: Final[Mapping[type, str]] = {
    bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. `stream` defaults to true."""
    fields = read_object(body)
    if fields is None:
        raise Fault(400, "invalid character in the request's JSON" if body else _EMPTY)
    given = {name: value for name, value in fields.items() if value is not None}
    for name, (kind, go_type) in _TYPES.items():
        if name in given and not isinstance(given[name], kind):
            raise _mismatch(given[name], f"ChatRequest.{name}", go_type)
    if not given.get("model"):
        raise Fault(400, "model is required")
    messages = [_message(each) for each in given.get("messages", ())]
    questions = [each["content"] for each in messages if each["role"] == "user"]
    options = given.get("options", {})
    limit = options.get("num_predict")
    output_format = given.get("format") or None
    if isinstance(output_format, str) and output_format != "json":
        raise Fault(
            400, f'invalid format: "{output_format}"; expected "json" or a valid JSON Schema'
        )
    tools = tuple(_tool(each) for each in given.get("tools", ()))
    return SimulatedRequest(
        model=given["model"],
        texts=tuple(each["content"] for each in messages),
        question=next((text for text in reversed(questions) if text), ""),
        stream=given.get("stream", True),
        limit=limit if isinstance(limit, int) and limit > 0 else None,
        stop=tuple(options.get("stop") or ()),
        tools=() if messages and messages[-1]["role"] == "tool" else tools,
        wants_json=output_format is not None,
        schema=output_format if isinstance(output_format, dict) else None,
    )


_EMPTY: Final = "missing request body"


def _mismatch(value: Any, field: str, go_type: str) -> Fault:
    got = _GO_TYPES.get(type(value), "null")
    message = f"json: cannot unmarshal {got} into Go struct field {field} of type {go_type}"
    return Fault(400, message)


def _message(message: Any) -> dict[str, Any]:
    """Checks a message: a role, a text, and objects as arguments of calls."""
    if not isinstance(message, dict):
        raise _mismatch(message, "ChatRequest.messages", "api.Message")
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise _mismatch(content, "ChatRequest.messages.content", "string")
    if message.get("role") not in _ROLES:
        raise Fault(400, f"invalid role: {message.get('role')}")
    for call in message.get("tool_calls") or ():
        given = (call.get("function") or {}).get("arguments", {})
        if not isinstance(given, dict):
            field = "ChatRequest.messages.tool_calls.function.arguments"
            raise _mismatch(given, field, "api.ToolCallFunctionArguments")
    return {"role": message["role"], "content": content}


def _tool(tool: Any) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _mismatch(tool, "ChatRequest.tools", "api.Tool")
    return Tool(function["name"], function.get("parameters") or {"type": "object"})
