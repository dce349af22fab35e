"""A chat request to the body of /api/chat."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.ollama.messages import messages
from gateway.wire.unsupported import NEEDED, asks, dropped

PATH: Final = "/api/chat"
OPTIONS: Final = frozenset({
    "frequency_penalty", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_keep",
    "presence_penalty", "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature", "top_k",
    "top_p", "typical_p",
})  # fmt: skip
"""Options that a client may set, by name or in its own `options`. Those that say how the server
loads a model (`num_gpu`, ...) are not for clients to say, and `num_predict` is what is paid for.
"""
THINK: Final[Mapping[str, Any]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""Most models that think only know whether to: to them each of the words says yes."""

_PASSED: Final = ("keep_alive", "think")
"""Fields of Ollama's own that a client may send beside OpenAI's."""
_CANNOT: Final = NEEDED - {"logprobs", "response_format", "stop", "tool_choice", "tools"}
_JSON: Final = {"content-type": "application/json", "accept": "application/json"}
_LINES: Final = {"content-type": "application/json", "accept": "application/x-ndjson"}


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key, where there is one: only the hosted Ollama has keys."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what Ollama cannot say, naming the field."""
    given = _decoded(request)
    for name in sorted(_CANNOT & given.keys()):
        if asks(name, given[name]):
            raise InvalidRequest(f"{name}: Ollama cannot do this", param=name)
    body: dict[str, Any] = {
        "model": target.upstream,
        "messages": messages(given.get("messages")),
        "stream": stream,
        "options": _options(given, request.max_tokens, target),
    }
    body |= {name: given[name] for name in _PASSED if given.get(name) is not None}
    body |= _tools(given) | _format(given.get("response_format")) | _logprobs(given)
    effort = given.get("reasoning_effort")
    if effort is not None and "think" not in body:
        body["think"] = _think(effort)
    said = {*OPTIONS, *_PASSED, *NEEDED, "options", "reasoning_effort", "top_logprobs"}
    names = (*dropped(given, said), *_unsaid(given.get("options")))
    headers = _LINES if stream else _JSON
    return HttpCall(PATH, headers, msgspec.json.encode(body), names)


def _decoded(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in request.fields:
        try:
            found[name] = request.json(name)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidRequest(f"{name} cannot be read as JSON", param=name) from None
    return found


def _options(given: Mapping[str, Any], asked: int | None, target: Target) -> dict[str, Any]:
    """Ollama's options; what the client said in `options` comes first."""
    own = given.get("options")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest("options must be an object", param="options")
    found = {
        name: given[name] for name in sorted(OPTIONS & given.keys()) if given[name] is not None
    }
    found |= {name: value for name, value in (own or {}).items() if name in OPTIONS}
    stop = found.pop("stop", None)
    if stop:
        found["stop"] = _stops(stop)
    most = target.max_output
    return {"num_predict": most if asked is None else min(asked, most), **found}


def _unsaid(own: Any) -> tuple[str, ...]:
    """What the client's own `options` ask for and are not given."""
    return tuple(f"options.{name}" for name in sorted(own.keys() - OPTIONS)) if own else ()


def _stops(given: Any) -> list[str]:
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise InvalidRequest("stop must be a string or a list of strings", param="stop")
    return stops


def _tools(given: Mapping[str, Any]) -> dict[str, Any]:
    """The tools, less those that may not be called: Ollama leaves the choice to the model."""
    tools = given.get("tools") or []
    if not isinstance(tools, list):
        raise InvalidRequest("tools must be a list", param="tools")
    choice = given.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        choice, names = _allowed(choice.get("allowed_tools"))
        tools = [tool for tool in tools if _name(tool) in names]
    if choice not in (None, "auto", "none"):
        raise InvalidRequest("tool_choice: Ollama cannot force a call", param="tool_choice")
    if not tools or choice == "none":
        return {}
    return {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]}


def _tool(given: Any, where: str) -> dict[str, Any]:
    if _name(given) is None or given.get("type") != "function":
        raise InvalidRequest(f"{where} must be a named function", param=where)
    function = dict(given["function"])
    if not function.get("parameters"):
        function["parameters"] = {"type": "object", "properties": {}}
    return {**given, "function": function}


def _name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function.get("name") if isinstance(function, Mapping) else None


def _allowed(given: Any) -> tuple[Any, list[Any]]:
    """The mode, and the names, of OpenAI's `allowed_tools`."""
    tools = given.get("tools") if isinstance(given, Mapping) else None
    if not isinstance(tools, list):
        raise InvalidRequest("tool_choice.allowed_tools.tools must be a list", param="tool_choice")
    return given.get("mode", "auto"), [_name(tool) for tool in tools]


def _format(given: Any) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, Mapping) else None
    if given is None or kind == "text":
        return {}
    if kind == "json_object":
        return {"format": "json"}
    wrapped = given.get("json_schema") if kind == "json_schema" else None
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InvalidRequest(
            "response_format must be text, json_object, or json_schema with a schema",
            param="response_format",
        )
    return {"format": schema}


def _logprobs(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("logprobs") is not True:
        return {}
    top = given.get("top_logprobs")
    return {"logprobs": True} if top is None else {"logprobs": True, "top_logprobs": top}


def _think(effort: Any) -> Any:
    if not isinstance(effort, str) or effort not in THINK:
        raise InvalidRequest(
            f"reasoning_effort must be one of {', '.join(THINK)}", param="reasoning_effort"
        )
    return THINK[effort]
