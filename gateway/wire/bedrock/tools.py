"""Tools and the choice among them."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.parts import Block, marked
from gateway.wire.bedrock.schema import closed

_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_NATIVE: Final = frozenset({"cachePoint", "systemTool", "toolSpec"})
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}


def tools(given: Any, accepts: Model) -> list[Block]:
    """The decoded `tools`. Those in Converse's own words stay as they are, like systemTool.

    A strict tool whose schema a model cannot be held to is declared all the same, and its calls
    are for the caller to check.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidRequest("tools must be a list", param="tools")
    return [block for i, each in enumerate(given) for block in _tool(each, f"tools[{i}]", accepts)]


def choice(given: Any, offered: list[Block]) -> tuple[str, str | None]:
    """`tool_choice`, decoded: auto, any, none or tool, and which tool.

    May take tools out of `offered`: OpenAI's `allowed_tools` is a choice among fewer.
    """
    if isinstance(given, Mapping) and given.get("type") == "allowed_tools":
        given = _allow(given.get("allowed_tools"), offered)
    if not offered and given not in (None, "auto", "none"):
        raise InvalidRequest("tool_choice needs tools to choose from", param="tool_choice")
    if given is None:
        return "auto", None
    if isinstance(given, str) and given in _CHOICES:
        return _CHOICES[given], None
    function = given.get("function") if isinstance(given, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise InvalidRequest(
            "tool_choice must be none, auto, required or a named function", param="tool_choice"
        )
    return "tool", name


def _tool(given: Any, where: str, accepts: Model) -> list[Block]:
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} must be an object", param=where)
    if "type" not in given and len(given) == 1 and _NATIVE.issuperset(given):
        return [dict(given)]
    function = given.get("function")
    if given.get("type") != "function" or not isinstance(function, Mapping):
        raise InvalidRequest(f"{where}.type must be 'function' for Bedrock", param=f"{where}.type")
    if not isinstance(function.get("name"), str):
        raise InvalidRequest(f"{where}.function.name must be a string", param=where)
    spec: Block = {"name": function["name"]}
    described = function.get("description")
    if isinstance(described, str) and described.strip():
        spec["description"] = described
    schema = _parameters(function.get("parameters"), where)
    exact = closed(schema) if accepts.schemas and function.get("strict") is True else None
    spec["inputSchema"] = {"json": schema if exact is None else exact}
    if exact is not None:
        spec["strict"] = True
    mark = given.get("cache_control") or function.get("cache_control")
    return marked([{"toolSpec": spec}], mark if accepts.caches_tools else None)


def _parameters(given: Any, where: str) -> Mapping[str, Any]:
    if given is None or given == {}:
        return dict(_NO_PARAMETERS)
    if not isinstance(given, Mapping):
        raise InvalidRequest(
            f"{where}.function.parameters must be a JSON schema",
            param=f"{where}.function.parameters",
        )
    return given if "type" in given else {"type": "object", **given}


def _allow(allowed: Any, offered: list[Block]) -> Any:
    """Keep the allowed tools only; the mode that is left is `auto` or `required`."""
    named = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not isinstance(named, list):
        raise InvalidRequest("tool_choice.allowed_tools.tools must be a list", param="tool_choice")
    names = [
        each["function"].get("name")
        for each in named
        if isinstance(each, Mapping) and isinstance(each.get("function"), Mapping)
    ]
    offered[:] = [tool for tool in offered if tool.get("toolSpec", {}).get("name") in names]
    return allowed.get("mode", "auto")
