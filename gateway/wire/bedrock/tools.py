"""Translates `tools` and `tool_choice`."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import calls
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.parts import with_cache_point
from gateway.wire.bedrock.schema import close
from gateway.wire.parts import Block

_NATIVE: Final = frozenset({"cachePoint", "systemTool", "toolSpec"})
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}


def tools(given: Any, accepts: Model) -> list[Block]:
    """Translates the decoded `tools`. Native ones, such as systemTool, are passed through.

    A strict tool whose schema cannot be enforced is declared as non-strict, and the caller must
    check its calls.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidRequest("tools must be a list", param="tools")
    return [block for i, each in enumerate(given) for block in _tool(each, f"tools[{i}]", accepts)]


def choice(given: Any, offered: list[Block]) -> tuple[str, str | None]:
    """Translates the decoded `tool_choice`: auto, any, none or tool, and the tool's name.

    Removes tools from `offered` that OpenAI's `allowed_tools` excludes.
    """
    given, names = calls.split_allowed_tools(given)
    if names is not None:
        offered[:] = [tool for tool in offered if tool.get("toolSpec", {}).get("name") in names]
    if not offered:
        calls.refuse_choice_without_tools(given)
    if given is None:
        return "auto", None
    if isinstance(given, str) and given in _CHOICES:
        return _CHOICES[given], None
    return "tool", calls.forced_tool_name(given)


def _tool(given: Any, where: str, accepts: Model) -> list[Block]:
    if isinstance(given, Mapping) and len(given) == 1 and _NATIVE.issuperset(given):
        return [dict(given)]
    function = calls.require_function(given, where, "Bedrock")
    spec: Block = {"name": function["name"]}
    description = function.get("description")
    if isinstance(description, str) and description.strip():
        spec["description"] = description
    schema = calls.parameters_schema(function.get("parameters"), where)
    closed_schema = close(schema) if accepts.schemas and function.get("strict") is True else None
    spec["inputSchema"] = {"json": schema if closed_schema is None else closed_schema}
    if closed_schema is not None:
        spec["strict"] = True
    mark = given.get("cache_control") or function.get("cache_control")
    return with_cache_point([{"toolSpec": spec}], mark if accepts.caches_tools else None)
