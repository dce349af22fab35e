"""Tools and the choice among them."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire.gemini.schema import subset

JSON = dict[str, Any]

_MODES: Final[Mapping[str, str]] = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
_NATIVE: Final = frozenset({
    "codeExecution", "computerUse", "enterpriseWebSearch", "fileSearch", "functionDeclarations",
    "googleMaps", "googleSearch", "googleSearchRetrieval", "retrieval", "urlContext",
})  # fmt: skip
"""Tools of the API itself, which a client may put among its own: {"googleSearch": {}}."""


class Tools:
    """The decoded `tools`: functions, and those of the API itself as they came."""

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
        """`tools` and `toolConfig`, with the decoded `tool_choice`."""
        config = self._config(choice)
        found: list[Any] = [*self.native]
        if self.functions:
            found.append({"functionDeclarations": self.functions})
        return ({"tools": found} if found else {}) | (
            {"toolConfig": {"functionCallingConfig": config}} if config else {}
        )

    def _config(self, choice: Any) -> JSON | None:
        if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
            choice = self._allow(choice.get("allowed_tools"))
        if not self.functions:
            if choice in (None, "auto", "none"):
                return None
            raise InvalidRequest("tool_choice needs tools to choose from", param="tool_choice")
        if choice is None:
            return None
        if isinstance(choice, str) and choice in _MODES:
            return {"mode": _MODES[choice]}
        name = _name(choice)
        if name is None:
            raise InvalidRequest(
                "tool_choice must be none, auto, required or a named function", param="tool_choice"
            )
        if name not in [function["name"] for function in self.functions]:
            raise InvalidRequest(f"tool_choice names no tool: {name[:80]}", param="tool_choice")
        return {"mode": "ANY", "allowedFunctionNames": [name]}

    def _allow(self, allowed: Any) -> Any:
        """Keep the allowed functions only; the mode that is left is `auto` or `required`."""
        named = allowed.get("tools") if isinstance(allowed, Mapping) else None
        if not isinstance(named, list):
            raise InvalidRequest(
                "tool_choice.allowed_tools.tools must be a list", param="tool_choice"
            )
        names = [_name(each) for each in named]
        self.functions = [each for each in self.functions if each["name"] in names]
        return allowed.get("mode", "auto")


def _function(given: Any, where: str) -> JSON:
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} must be an object", param=where)
    function = given.get("function")
    if given.get("type") != "function" or not isinstance(function, Mapping):
        raise InvalidRequest(
            f"{where}.type must be 'function' for Google's models", param=f"{where}.type"
        )
    if not isinstance(function.get("name"), str):
        raise InvalidRequest(
            f"{where}.function.name must be a string", param=f"{where}.function.name"
        )
    described = function.get("description")
    found: JSON = {
        "name": function["name"],
        "description": described if isinstance(described, str) else "",
    }
    parameters = function.get("parameters")
    if parameters:
        place = f"{where}.function.parameters"
        if not isinstance(parameters, Mapping):
            raise InvalidRequest(f"{place} must be a JSON schema", param=place)
        found["parametersJsonSchema"] = schema(parameters, place)
    return found


def schema(given: Mapping[str, Any], where: str) -> JSON:
    """A schema as the API accepts it. Raises InvalidRequest for one that cannot be followed."""
    try:
        return subset(given)
    except RecursionError:
        raise InvalidRequest(f"{where} is too deeply nested", param=where) from None


def _name(choice: Any) -> str | None:
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
