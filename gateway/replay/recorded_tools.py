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


def declared(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function's description as a tool of a request."""
    known = {key: function[key] for key in ("name", "description") if key in function}
    if "name" in known:
        known["name"] = plain_name(str(known["name"]))
    if "parameters" in function:
        known["parameters"] = _schema(function["parameters"])
    return {"type": "function", "function": known}


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
    found = call.get("function", call) if isinstance(call, Mapping) else {}
    if isinstance(found, Mapping) and "name" in found:
        name, arguments = found["name"], found.get("arguments", found.get("parameters", {}))
    elif isinstance(found, Mapping) and len(found) == 1:
        ((name, arguments),) = found.items()
    else:
        name, arguments = "", found
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
        known = _PYTHON_TYPES[kind]
        if known is None:
            del schema["type"]
        else:
            schema["type"] = known
    return schema
