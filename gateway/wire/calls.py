"""Tools, choices among them and calls of them: as OpenAI writes them, for dialects to translate."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.errors import Broken, InvalidRequest
from gateway.wire.signed_ids import split_id

NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def function_name(tool: Any) -> str | None:
    """The name in {"function": {"name": ...}}: of a tool, a choice or a call."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def require_function(tool: Any, where: str, who: str) -> Mapping[str, Any]:
    """The function that a tool declares; it has a name. `who` cannot take another kind of tool."""
    if not isinstance(tool, Mapping):
        raise InvalidRequest(f"{where} must be an object", param=where)
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping):
        raise InvalidRequest(f"{where}.type must be 'function' for {who}", param=f"{where}.type")
    if not isinstance(function.get("name"), str):
        place = f"{where}.function.name"
        raise InvalidRequest(f"{place} must be a string", param=place)
    return function


def parameters_schema(value: Any, where: str) -> Mapping[str, Any]:
    """A function's parameters as the schema of an object."""
    if value is None or value == {}:
        return dict(NO_PARAMETERS)
    if not isinstance(value, Mapping):
        place = f"{where}.function.parameters"
        raise InvalidRequest(f"{place} must be a JSON schema", param=place)
    return value if "type" in value else {"type": "object", **value}


def split_allowed_tools(choice: Any) -> tuple[Any, list[str] | None]:
    """A `tool_choice` with the names it allows: OpenAI's `allowed_tools` is one among fewer.

    None stands for all.
    """
    if not (isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"):
        return choice, None
    subset = choice.get("allowed_tools")
    tools = subset.get("tools") if isinstance(subset, Mapping) else None
    if not isinstance(subset, Mapping) or not isinstance(tools, list):
        raise InvalidRequest("tool_choice.allowed_tools.tools must be a list", param="tool_choice")
    names = [name for name in map(function_name, tools) if name is not None]
    return subset.get("mode", "auto"), names


def forced_tool_name(choice: Any) -> str:
    """The name in a `tool_choice` that is not one of OpenAI's three words."""
    name = function_name(choice)
    if name is None:
        raise InvalidRequest(
            "tool_choice must be none, auto, required or a named function", param="tool_choice"
        )
    return name


def refuse_choice_without_tools(choice: Any) -> None:
    """Raises InvalidRequest for a choice that needs tools, where there are none."""
    if choice not in (None, "auto", "none"):
        raise InvalidRequest("tool_choice needs tools to choose from", param="tool_choice")


def tool_calls(message: Mapping[str, Any], where: str) -> list[Any]:
    """The calls of an assistant's message."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise InvalidRequest(f"{where}.tool_calls must be a list", param=f"{where}.tool_calls")
    return calls


def name_and_arguments(call: Any, where: str) -> tuple[str, Raw]:
    """Name and arguments of a call."""
    name = function_name(call)
    if name is None:
        raise InvalidRequest(f"{where} must be a call of a named function", param=where)
    return name, raw_arguments(call["function"].get("arguments"), f"{where}.function.arguments")


def split_call_id(value: Any, where: str) -> tuple[str, str | None]:
    """The id of a call, and the signature of Google's that travelled in it, if any."""
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{where} must name a tool call", param=where)
    return split_id(value)


def raw_arguments(value: Any, where: str) -> Raw:
    """A call's arguments as the JSON object that was written: not a digit of it is changed.

    Nothing at all ("", null, an encoded "") is a call without arguments.
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "null", '""'}):
        return Raw(b"{}")
    raw = Raw(msgspec.json.encode(value)) if isinstance(value, Mapping) else json_object(value)
    if raw is None:
        raise InvalidRequest(f"{where} must be a JSON object", param=where)
    return raw


def json_object(text: Any) -> Raw | None:
    """A text as JSON, when it is an object. It is only read, so no number is too great."""
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
        return Raw(text.encode())
    except (msgspec.MsgspecError, AttributeError, TypeError, UnicodeError, RecursionError):
        return None


def require_name(name: str) -> str:
    """The name in a call of an answer. Raises Broken for none: nobody could run it."""
    if not name:
        raise Broken("the provider's answer calls a tool without a name")
    return name


def arguments_json(raw: Raw) -> str:
    """Arguments in an answer as JSON text without white space, every number and string as it was
    written. A call without any may have null, or an encoded "", where an object belongs.
    """
    text = bytes(raw)
    if text in {b"null", b'""'}:
        return "{}"
    return msgspec.json.format(text, indent=-1).decode()
