"""Parses OpenAI's tools, tool_choice and tool calls for the dialects to translate."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.errors import Broken, InvalidRequest
from gateway.wire.signed_ids import split_id

NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def function_name(tool: Any) -> str | None:
    """The name in {"function": {"name": ...}} of a tool, a tool_choice or a call."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def require_function(tool: Any, where: str, who: str) -> Mapping[str, Any]:
    """A tool's `function`, which has a name. Raises InvalidRequest for other types of tools."""
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
    """A `tool_choice` and the names of the tools it allows (OpenAI's `allowed_tools`).

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
    """The function that a `tool_choice` other than none, auto and required names."""
    name = function_name(choice)
    if name is None:
        raise InvalidRequest(
            "tool_choice must be none, auto, required or a named function", param="tool_choice"
        )
    return name


def refuse_choice_without_tools(choice: Any) -> None:
    """Raises InvalidRequest for a tool_choice that forces a call; for requests without tools."""
    if choice not in (None, "auto", "none"):
        raise InvalidRequest("tool_choice needs tools to choose from", param="tool_choice")


def tool_calls(message: Mapping[str, Any], where: str) -> list[Any]:
    """An assistant message's `tool_calls`."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise InvalidRequest(f"{where}.tool_calls must be a list", param=f"{where}.tool_calls")
    return calls


def name_and_arguments(call: Any, where: str) -> tuple[str, Raw]:
    """A call's function name and its arguments as raw JSON."""
    name = function_name(call)
    if name is None:
        raise InvalidRequest(f"{where} must be a call of a named function", param=where)
    return name, raw_arguments(call["function"].get("arguments"), f"{where}.function.arguments")


def split_call_id(value: Any, where: str) -> tuple[str, str | None]:
    """A call's id, and Google's thought signature if one is embedded in it."""
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{where} must name a tool call", param=where)
    return split_id(value)


class CallIds:
    """Ids for the calls of a chat, each used once. Claude refuses a chat in which two calls share
    an id, as they do where a host counts the calls of each answer anew (TGI calls them "0").
    """

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()
        self._unanswered: dict[str, deque[str]] = {}
        self._answered: dict[str, str] = {}

    def of_call(self, call_id: str) -> str:
        """The id as it is, or with a number where an earlier call has it."""
        self._times[call_id] += 1
        number = self._times[call_id]
        unique = call_id if number == 1 else f"{call_id}_{number}"
        self._unanswered.setdefault(call_id, deque()).append(unique)
        return unique

    def of_result(self, call_id: str) -> str:
        """The id of the call that a result answers: results come in the order of their calls."""
        unanswered = self._unanswered.get(call_id)
        if unanswered:
            self._answered[call_id] = unanswered.popleft()
        return self._answered.get(call_id, call_id)


def raw_arguments(value: Any, where: str) -> Raw:
    """A call's arguments as a raw JSON object, byte for byte as it was written.

    Empty ones ("", null, an encoded "") become {}.
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "null", '""'}):
        return Raw(b"{}")
    raw = Raw(msgspec.json.encode(value)) if isinstance(value, Mapping) else json_object(value)
    if raw is None:
        raise InvalidRequest(f"{where} must be a JSON object", param=where)
    return raw


def json_object(text: Any) -> Raw | None:
    """The text as raw JSON if it is an object, else None. Numbers of any size are kept."""
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
        return Raw(text.encode())
    except (msgspec.MsgspecError, AttributeError, TypeError, UnicodeError, RecursionError):
        return None


def require_name(name: str) -> str:
    """The tool name in an answer's call. Raises Broken if it is empty."""
    if not name:
        raise Broken("the provider's answer calls a tool without a name")
    return name


def arguments_json(raw: Raw) -> str:
    """An answer's arguments as compact JSON; numbers and strings stay as they were written. Some
    providers send null or an encoded "" for a call without arguments: that becomes {}.
    """
    text = bytes(raw)
    if text in {b"null", b'""'}:
        return "{}"
    return msgspec.json.format(text, indent=-1).decode()
