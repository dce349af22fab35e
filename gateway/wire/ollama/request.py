"""Encodes a chat request as the body of /api/chat."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import calls, request_fields
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.ollama.messages import messages
from gateway.wire.request_fields import ResponseFormat
from gateway.wire.unsupported import ESSENTIAL, dropped_fields

PATH: Final = "/api/chat"
OPTIONS: Final = frozenset({
    "frequency_penalty", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_keep",
    "presence_penalty", "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature", "top_k",
    "top_p", "typical_p",
})  # fmt: skip
"""Options that a client may set, by name or in `options`. Not those that control how the server
loads a model (`num_gpu`, ...), nor `num_predict`, by which money is held.
"""
SMALLEST_WINDOW: Final = 4_096
"""Ollama's default, in tokens. A smaller window would only make it reload the model."""
_MARGIN: Final = 1_024
"""Tokens by which a prompt may grow after it was counted: the text of a second try."""
THINK: Final[Mapping[str, Any]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""Levels are gpt-oss's. Other models are only told on or off: Ollama refuses a level for them."""
_KNOWS_LEVELS: Final = "gpt-oss"

_PASSED_THROUGH: Final = ("keep_alive", "think")
"""Native fields that are passed through unchanged."""
_REFUSED: Final = ESSENTIAL - {"logprobs", "response_format", "stop", "tool_choice", "tools"}
_ALWAYS_HONOURED: Final = ("response_format.json_schema.strict",)
"""Nested fields that are always honoured: schemas are always strict."""
_JSON: Final = {"content-type": "application/json", "accept": "application/json"}
_LINES: Final = {"content-type": "application/json", "accept": "application/x-ndjson"}


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key, if any: only hosted Ollama has keys."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest, naming the field, for what Ollama cannot express."""
    given = request_fields.fields(request)
    request_fields.refuse(given, _REFUSED, "Ollama")
    limit = request_fields.output_limit(request, target)
    body: dict[str, Any] = {
        "model": target.upstream,
        "messages": messages(given.get("messages")),
        "stream": stream,
        "options": _window(target, limit) | _options(given, limit),
    }
    body |= {name: given[name] for name in _PASSED_THROUGH if given.get(name) is not None}
    body |= (
        _tools(given)
        | _format(request_fields.response_format(given.get("response_format")))
        | _logprobs(given)
    )
    effort = given.get("reasoning_effort")
    if effort is not None and "think" not in body:
        body["think"] = _think(effort, target.upstream)
    honoured = {
        *OPTIONS,
        *_PASSED_THROUGH,
        *ESSENTIAL,
        *_ALWAYS_HONOURED,
        "options",
        "reasoning_effort",
    }
    if "logprobs" in body:
        honoured.add("top_logprobs")
    not_honoured = (*dropped_fields(given, honoured), *_dropped_options(given.get("options")))
    headers = _LINES if stream else _JSON
    return HttpCall(PATH, headers, msgspec.json.encode(body), not_honoured)


def _window(target: Target, limit: int) -> dict[str, int]:
    """`num_ctx`, without which Ollama silently truncates long prompts. A power of two, since the
    model is reloaded for each new value, and at most the model's context window.
    """
    if target.context is None:
        return {}
    needed = max(target.prompt + limit + _MARGIN, SMALLEST_WINDOW)
    return {"num_ctx": min(1 << (needed - 1).bit_length(), target.context)}


def _options(given: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Ollama's options; the client's own `options` take precedence."""
    own = given.get("options")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest("options must be an object", param="options")
    options = {
        name: given[name] for name in sorted(OPTIONS & given.keys()) if given[name] is not None
    }
    options |= {name: value for name, value in (own or {}).items() if name in OPTIONS}
    stops = request_fields.stop_sequences(options.pop("stop", None))
    return {"num_predict": limit, **options, **({"stop": stops} if stops else {})}


def _dropped_options(own: Any) -> tuple[str, ...]:
    """Paths of the client's `options` that are not passed on."""
    return tuple(f"options.{name}" for name in sorted(own.keys() - OPTIONS)) if own else ()


def _tools(given: Mapping[str, Any]) -> dict[str, Any]:
    """The tools that may be called. Ollama has no tool_choice, so excluded tools are not sent."""
    tools = given.get("tools") or []
    if not isinstance(tools, list):
        raise InvalidRequest("tools must be a list", param="tools")
    choice, names = calls.split_allowed_tools(given.get("tool_choice"))
    if names is not None:
        tools = [tool for tool in tools if calls.function_name(tool) in names]
    if choice not in (None, "auto", "none"):
        raise InvalidRequest("tool_choice: Ollama cannot force a call", param="tool_choice")
    if not tools or choice == "none":
        return {}
    return {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]}


def _tool(given: Any, where: str) -> dict[str, Any]:
    function = dict(calls.require_function(given, where, "Ollama"))
    if not function.get("parameters"):
        function["parameters"] = calls.NO_PARAMETERS
    return {**given, "function": function}


def _format(requested: ResponseFormat) -> dict[str, Any]:
    if not requested.json:
        return {}
    return {"format": "json" if requested.schema is None else requested.schema}


def _logprobs(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("logprobs") is not True:
        return {}
    top = given.get("top_logprobs")
    return {"logprobs": True} if top is None else {"logprobs": True, "top_logprobs": top}


def _think(value: Any, upstream: str) -> Any:
    effort = request_fields.effort(value, THINK)
    level = None if effort is None else THINK[effort]
    return level if not level or _KNOWS_LEVELS in upstream.lower() else True
