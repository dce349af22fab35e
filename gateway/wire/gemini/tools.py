"""Translates `tools` and `tool_choice`."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import calls
from gateway.wire.gemini.schema import subset

JSON = dict[str, Any]

_MODES: Final[Mapping[str, str]] = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
_NATIVE: Final = frozenset({
    "codeExecution", "computerUse", "enterpriseWebSearch", "exaAiSearch", "fileSearch",
    "functionDeclarations", "googleMaps", "googleSearch", "googleSearchRetrieval", "mcpServers",
    "parallelAiSearch", "retrieval", "urlContext",
})  # fmt: skip
"""Native tools, which a client may send among its own: {"googleSearch": {}}."""


class Tools:
    """The decoded `tools`: functions, and native tools passed through."""

    def __init__(self, given: Any) -> None:
        self.functions: list[JSON] = []
        self.native: list[Any] = []
        if given is None:
            return
        if not isinstance(given, list):
            raise InvalidRequest("tools must be a list", param="tools")
        for i, tool in enumerate(given):
            if isinstance(tool, Mapping) and tool and tool.keys() <= _NATIVE:
                self.native.append(tool)
            else:
                self.functions.append(_function(tool, f"tools[{i}]"))

    def body(self, choice: Any) -> JSON:
        """`tools` and `toolConfig` for the decoded `tool_choice`."""
        config = self._config(choice)
        entries: list[Any] = [*self.native]
        if self.functions:
            entries.append({"functionDeclarations": self.functions})
        return ({"tools": entries} if entries else {}) | (
            {"toolConfig": {"functionCallingConfig": config}} if config else {}
        )

    def _config(self, choice: Any) -> JSON | None:
        choice, names = calls.split_allowed_tools(choice)
        if names is not None:
            self.functions = [each for each in self.functions if each["name"] in names]
        if not self.functions:
            calls.refuse_choice_without_tools(choice)
            return None
        if choice is None:
            return None
        if isinstance(choice, str) and choice in _MODES:
            return {"mode": _MODES[choice]}
        name = calls.forced_tool_name(choice)
        if name not in [function["name"] for function in self.functions]:
            raise InvalidRequest(f"tool_choice names no tool: {name[:80]}", param="tool_choice")
        return {"mode": "ANY", "allowedFunctionNames": [name]}


def _function(given: Any, where: str) -> JSON:
    function = calls.require_function(given, where, "Google's models")
    description = function.get("description")
    declaration: JSON = {
        "name": function["name"],
        "description": description if isinstance(description, str) else "",
    }
    parameters = function.get("parameters")
    if parameters:
        place = f"{where}.function.parameters"
        if not isinstance(parameters, Mapping):
            raise InvalidRequest(f"{place} must be a JSON schema", param=place)
        declaration["parametersJsonSchema"] = schema(parameters, place)
    return declaration


def schema(given: Mapping[str, Any], where: str) -> JSON:
    """A schema as the API accepts it. Raises InvalidRequest if it is nested too deeply."""
    try:
        return subset(given)
    except RecursionError:
        raise InvalidRequest(f"{where} is too deeply nested", param=where) from None
