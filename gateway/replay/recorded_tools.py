"""Tools and tool calls as sets of recordings write them, as OpenAI's JSON."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ToolCall

_PYTHON_TYPES: Final = {
    "any": None,
    "dict": "object",
    "float": "number",
    "int": "integer",
    "list": "array",
    "tuple": "array",
}
"""Berkeley's function-calling sets name types as Python does."""
_SPECIAL: Final = re.compile(r"[^a-zA-Z0-9_-]")


def as_tool(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function's description as a tool of a request."""
    fields = {key: function[key] for key in ("name", "description") if key in function}
    if "name" in fields:
        fields["name"] = plain_name(str(fields["name"]))
    if "parameters" in function:
        fields["parameters"] = _schema(function["parameters"])
    return {"type": "function", "function": fields}


def tool_calls(recorded: Any) -> tuple[ToolCall, ...]:
    """Calls as {"name", "arguments"}, as OpenAI's {"function": {...}}, or as {name: arguments};
    arguments as an object or as JSON text. What is none of these is a call without a name.
    """
    calls = recorded if isinstance(recorded, list) else [recorded]
    return tuple(_call(number, call) for number, call in enumerate(calls) if call is not None)


def plain_name(name: str) -> str:
    """As every provider takes it: letters, digits, _ and -."""
    return _SPECIAL.sub("_", name)


def _call(number: int, call: Any) -> ToolCall:
    function = call.get("function", call) if isinstance(call, Mapping) else {}
    if isinstance(function, Mapping) and "name" in function:
        name, arguments = (
            function["name"],
            function.get("arguments", function.get("parameters", {})),
        )
    elif isinstance(function, Mapping) and len(function) == 1:
        ((name, arguments),) = function.items()
    else:
        name, arguments = "", function
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(f"call_{number}", plain_name(str(name)), arguments)


def _schema(node: Any) -> Any:
    if isinstance(node, list):
        return [_schema(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    schema = {key: _schema(each) for key, each in node.items()}
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _PYTHON_TYPES:
        json_type = _PYTHON_TYPES[kind]
        if json_type is None:
            del schema["type"]
        else:
            schema["type"] = json_type
    return schema
