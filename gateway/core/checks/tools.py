"""Tool calls against the tools that the request declares."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChatRequest, Choice, ToolCall
from gateway.core.checks.schema import misfit
from gateway.core.checks.tolerant_json import Unreadable, read_strict
from gateway.core.shape import NULL


class _Function(Struct):
    name: str
    parameters: Raw = Raw(b"")


class _Tool(Struct):
    """A function, or a custom tool, whose input is free text."""

    function: _Function | None = None
    custom: _Function | None = None


class _LegacyCall(Struct):
    name: str
    arguments: str = ""


_TOOLS: Final = msgspec.json.Decoder(list[_Tool] | None)
_FUNCTIONS: Final = msgspec.json.Decoder(list[_Function] | None)
_LEGACY_CALL: Final = msgspec.json.Decoder(_LegacyCall | None)
UNDECLARED: Final = "it calls a tool that was not declared"
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError)
_FREE_TEXT: Final = b"free text"


def tools_valid(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """Each tool call has its own id, names a declared tool that `tool_choice` allows, and has
    arguments that fit it. A call that `tool_choice` requires is made.
    """
    fields = request.fields
    calls = all_calls(choice)
    if "tool_choice" in fields:
        why = _undone(calls, request)
        if why is not None:
            return why
    if not calls:
        return None
    if len(calls) > 1 and len({call.id for call in calls}) < len(calls):
        return "two of its calls have the same id"
    try:
        declared = _declared(request)
    except _UNREADABLE:  # the request's fault
        return None
    for call in calls:
        why = _fault(call, declared)
        if why is not None:
            return why
    return None


def tool_known(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """Each tool call names a declared tool, whatever its arguments."""
    calls = all_calls(choice)
    names = declared_names(request) if calls else None
    if names is None or all(call.name in names for call in calls):
        return None
    return UNDECLARED


def all_calls(choice: Choice) -> tuple[ToolCall, ...]:
    """Its tool calls, and a call in the older form `function_call`."""
    if "function_call" not in choice.extra:
        return choice.tool_calls
    return choice.tool_calls + _legacy_calls(choice)


def calls_tool(choice: Choice) -> bool:
    """Whether it calls a tool: it is a step towards an answer then, and its text a remark."""
    return bool(all_calls(choice))


def offers_tools(request: ChatRequest) -> bool:
    """Whether an answer may call one."""
    return request.sets("tools") or request.sets("functions")


def declared_names(request: ChatRequest) -> frozenset[str] | None:
    """None for tools that cannot be read, which is the request's fault."""
    try:
        return frozenset(_declared(request))
    except _UNREADABLE:
        return None


def _fault(call: ToolCall, declared: Mapping[str, bytes]) -> str | None:
    schema = declared.get(call.name)
    if schema is None:
        return UNDECLARED
    if schema is _FREE_TEXT:
        return None
    value = read_strict(call.arguments) if call.arguments else {}
    if isinstance(value, Unreadable):
        return f"the arguments for {call.name}: {value.why}"
    if not isinstance(value, dict):
        return f"the arguments for {call.name} are not a JSON object"
    why = misfit(value, schema) if schema else None
    return why and f"the arguments for {call.name} do not fit: {why}"


def _declared(request: ChatRequest) -> dict[str, bytes]:
    """Each declared tool's parameters: JSON, or empty where any object will do."""
    declared: dict[str, bytes] = {}
    for tool in _TOOLS.decode(request.fields.get("tools", NULL)) or ():
        if tool.function is not None:
            declared[tool.function.name] = bytes(tool.function.parameters)
        elif tool.custom is not None:
            declared[tool.custom.name] = _FREE_TEXT
    for function in _FUNCTIONS.decode(request.fields.get("functions", NULL)) or ():
        declared[function.name] = bytes(function.parameters)
    return declared


def _undone(calls: tuple[ToolCall, ...], request: ChatRequest) -> str | None:
    """What `tool_choice` demands and the answer does not do."""
    try:
        choice = request.json("tool_choice")
    except _UNREADABLE:
        return None
    if choice == "none" and calls:
        return "it calls a tool, and tool_choice is none"
    names, demanded = _demand(choice)
    if demanded and not calls:
        return "tool_choice demands a tool call, and there is none"
    if names is not None and any(call.name not in names for call in calls):
        if demanded and len(names) == 1:
            return f"tool_choice demands {names[0][:64]}, and another tool is called"
        return "it calls a tool that tool_choice does not allow"
    return None


def _demand(choice: Any) -> tuple[list[str] | None, bool]:
    """The tools that may be called, where they are named, and whether one must be."""
    if not isinstance(choice, Mapping):
        return None, choice == "required"
    inner = choice.get(str(choice.get("type")))
    if not isinstance(inner, Mapping):
        return None, False
    if choice.get("type") == "allowed_tools":
        return _allowed(inner.get("tools")), inner.get("mode") == "required"
    name = inner.get("name")
    return ([name], True) if isinstance(name, str) else (None, False)


def _allowed(tools: Any) -> list[str] | None:
    """None for a list that cannot be read, or has what is not named: it leaves nothing out."""
    try:
        declared = msgspec.convert(tools, list[_Tool])
    except msgspec.ValidationError:
        return None
    named = [tool.function or tool.custom for tool in declared]
    names = [each.name for each in named if each is not None]
    return names if names and len(names) == len(declared) else None


def _legacy_calls(choice: Choice) -> tuple[ToolCall, ...]:
    try:
        call = _LEGACY_CALL.decode(choice.extra.get("function_call", NULL))
    except _UNREADABLE:
        return ()
    return () if call is None else (ToolCall("", call.name, call.arguments),)
