"""Translates `tools` and `tool_choice`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import calls
from gateway.wire.anthropic.schema import SchemaBudget

Tool = dict[str, Any]

_SERVER_TOOL: Final = re.compile(r"[a-z0-9_]+_\d{8}|mcp_toolset")
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}


def tools(given: Any, budget: SchemaBudget | None) -> list[Tool]:
    """Translates the decoded `tools`. Native ones are passed through: server tools such as
    web_search_20250305, toolsets of `mcp_servers`, and tools with an `input_schema`.

    `budget` limits strict schemas; None if the model has no strict tools. A strict tool whose
    schema cannot be enforced is declared as non-strict, and the caller must check its calls.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidRequest("tools must be a list", param="tools")
    return [_tool(each, f"tools[{i}]", budget) for i, each in enumerate(given)]


def redeclare(names: list[str]) -> list[Tool]:
    """Minimal declarations of tools called earlier in the chat, which the API requires."""
    return [{"name": name, "input_schema": dict(calls.NO_PARAMETERS)} for name in names]


def choice(given: Any, offered: list[Tool], *, parallel: bool) -> dict[str, Any] | None:
    """Translates the decoded `tool_choice` and `parallel_tool_calls`; None if not needed.

    Removes tools from `offered` that OpenAI's `allowed_tools` excludes.
    """
    given, names = calls.split_allowed_tools(given)
    if names is not None:
        offered[:] = [tool for tool in offered if tool.get("name") in names]
    if not offered:
        calls.refuse_choice_without_tools(given)
        return None
    result = _choice(given)
    if not parallel:
        result = result or {"type": "auto"}
        if result["type"] != "none":
            result["disable_parallel_tool_use"] = True
    return result


def _tool(given: Any, where: str, budget: SchemaBudget | None) -> Tool:
    kind = given.get("type") if isinstance(given, Mapping) else None
    server_tool = isinstance(kind, str) and _SERVER_TOOL.fullmatch(kind)
    if isinstance(given, Mapping) and (server_tool or "input_schema" in given):
        if server_tool and given.get("model") is not None:  # the advisor's, at its own price
            place = f"{where}.model"
            raise InvalidRequest(f"{place}: this gateway chooses the model", param=place)
        return dict(given)
    function = calls.require_function(given, where, "Anthropic's models")
    tool: Tool = {"name": function["name"]}
    if isinstance(function.get("description"), str):
        tool["description"] = function["description"]
    tool["input_schema"] = schema = calls.parameters_schema(function.get("parameters"), where)
    exact = budget.close(schema, tool=True) if budget and function.get("strict") is True else None
    if exact is not None:
        tool |= {"input_schema": exact, "strict": True}
    cache_control = given.get("cache_control") or function.get("cache_control")
    if isinstance(cache_control, Mapping):
        tool["cache_control"] = cache_control
    return tool


def _choice(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, str) and given in _CHOICES:
        return {"type": _CHOICES[given]}
    return {"type": "tool", "name": calls.forced_tool_name(given)}
