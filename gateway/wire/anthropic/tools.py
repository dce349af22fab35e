"""Tools and the choice among them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire.anthropic.schema import closed

Tool = dict[str, Any]

_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_SERVER: Final = re.compile(r"[a-z0-9_]+_\d{8}")
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}


def tools(given: Any, *, strict: bool) -> list[Tool]:
    """The decoded `tools`. Those in Anthropic's own words stay as they are: tools of the API, like
    web_search_20250305, and the client's with an `input_schema`.

    `strict` says whether the model can be held to a schema; a tool whose schema cannot be said
    strictly is declared all the same, and its calls are for the caller to check.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidRequest("tools must be a list", param="tools")
    return [_tool(each, f"tools[{i}]", strict=strict) for i, each in enumerate(given)]


def recalled(names: list[str]) -> list[Tool]:
    """Tools that were called earlier and are no longer offered: the API wants them declared."""
    return [{"name": name, "input_schema": dict(_NO_PARAMETERS)} for name in names]


def choice(given: Any, offered: list[Tool], *, parallel: bool) -> dict[str, Any] | None:
    """`tool_choice`, decoded, with `parallel_tool_calls`; None where nothing need be said.

    May take tools out of `offered`: OpenAI's `allowed_tools` is a choice among fewer.
    """
    if isinstance(given, Mapping) and given.get("type") == "allowed_tools":
        given = _allow(given.get("allowed_tools"), offered)
    if not offered:
        if given in (None, "auto", "none"):
            return None
        raise InvalidRequest("tool_choice needs tools to choose from", param="tool_choice")
    found = _choice(given)
    if not parallel:
        found = found or {"type": "auto"}
        if found["type"] != "none":
            found["disable_parallel_tool_use"] = True
    return found


def _tool(given: Any, where: str, *, strict: bool) -> Tool:
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} must be an object", param=where)
    kind = given.get("type")
    if (isinstance(kind, str) and _SERVER.fullmatch(kind)) or "input_schema" in given:
        return dict(given)
    function = given.get("function")
    if kind != "function" or not isinstance(function, Mapping):
        raise InvalidRequest(
            f"{where}.type must be 'function' for Anthropic's models", param=f"{where}.type"
        )
    if not isinstance(function.get("name"), str):
        raise InvalidRequest(f"{where}.function.name must be a string", param=where)
    tool: Tool = {"name": function["name"]}
    if isinstance(function.get("description"), str):
        tool["description"] = function["description"]
    tool["input_schema"] = schema = _parameters(function.get("parameters"), where)
    exact = closed(schema) if strict and function.get("strict") is True else None
    if exact is not None:
        tool |= {"input_schema": exact, "strict": True}
    cache_control = given.get("cache_control") or function.get("cache_control")
    if isinstance(cache_control, Mapping):
        tool["cache_control"] = cache_control
    return tool


def _parameters(given: Any, where: str) -> Mapping[str, Any]:
    if given is None or given == {}:
        return dict(_NO_PARAMETERS)
    if not isinstance(given, Mapping):
        raise InvalidRequest(
            f"{where}.function.parameters must be a JSON schema",
            param=f"{where}.function.parameters",
        )
    return given if "type" in given else {"type": "object", **given}


def _choice(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, str) and given in _CHOICES:
        return {"type": _CHOICES[given]}
    function = given.get("function") if isinstance(given, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise InvalidRequest(
            "tool_choice must be none, auto, required or a named function", param="tool_choice"
        )
    return {"type": "tool", "name": name}


def _allow(allowed: Any, offered: list[Tool]) -> Any:
    """Keep the allowed tools only; the mode that is left is `auto` or `required`."""
    named = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not isinstance(named, list):
        raise InvalidRequest("tool_choice.allowed_tools.tools must be a list", param="tool_choice")
    names = [
        each["function"].get("name")
        for each in named
        if isinstance(each, Mapping) and isinstance(each.get("function"), Mapping)
    ]
    offered[:] = [tool for tool in offered if tool.get("name") in names]
    return allowed.get("mode", "auto")
