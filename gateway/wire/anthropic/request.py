"""A chat request to a Messages body."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.anthropic.generation import Generation, generation
from gateway.wire.anthropic.messages import Conversation, conversation
from gateway.wire.anthropic.parts import Block, blocks
from gateway.wire.anthropic.schema import closed
from gateway.wire.anthropic.thinking import Thinking, sampling, thinking
from gateway.wire.anthropic.tools import Tool, choice, recalled, tools
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.unsupported import dropped

PATH: Final = "/v1/messages"
VERSION: Final = "2023-06-01"

PASSED: Final = (
    "cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed",
    "thinking",
)  # fmt: skip
"""Fields of the Messages API that a client may send beside OpenAI's: they go on untouched.

`top_k`, `system`, `output_config` and `betas` are taken too: `top_k` as far as the model
samples, `system` before the instructions among the messages, `output_config` over what we
derive, `betas` as the header `anthropic-beta`.
"""

_SAID: Final = frozenset({
    *PASSED, "betas", "output_config", "parallel_tool_calls", "response_format", "stop", "system",
    "tool_choice", "tools", "user",
})  # fmt: skip
"""Fields that every call honours, or that `_refuse` refuses. What is in none of these lists has no
counterpart: OpenAI's hints on likelihoods, storage, caching and priority, and fields that nobody
knows, which the API refuses. `metadata` is lost but for its `user_id`, which is Anthropic's: the
rest is for OpenAI's own dashboard.
"""

_INSTRUCTED: Final = "Answer with one valid JSON object and nothing else: no prose, no code fence."
_BETA: Final = re.compile(r"[\w.-]+")


def auth(api_key: str) -> Mapping[str, str]:
    """The headers that carry the key."""
    return {"x-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = _decoded(request)
    _refuse(request, given)
    accepts = generation(target.upstream)
    talk = conversation(given.get("messages"))
    max_tokens = _limit(request, target)
    body: dict[str, Any] = {"model": target.upstream, "max_tokens": max_tokens}
    told = _form(given.get("response_format"), accepts)
    system = _system(given.get("system"), talk, told.get("instruction"))
    if system:
        body["system"] = system
    body["messages"] = [{"role": turn.role, "content": turn.content} for turn in talk.turns]
    body |= _tools(given, talk, accepts)
    body |= {name: given[name] for name in PASSED if given.get(name) is not None}
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    effort = thinking(
        given.get("reasoning_effort"),
        accepts,
        max_tokens,
        forced=forced,
        thoughtless=talk.thoughtless_call,
    )
    body |= _thoughts(given, effort, told.get("format"))
    thinks = _thinks(body.get("thinking"))
    body |= sampling(given, accepts, thinks=thinks)
    body |= _stops(given.get("stop")) | _user(request, given)
    if stream:
        body["stream"] = True
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    headers |= _betas(given.get("betas"))
    return HttpCall(PATH, headers, msgspec.json.encode(body), dropped(given, _said(given, body)))


def _said(given: Mapping[str, Any], body: Mapping[str, Any]) -> frozenset[str]:
    """The request's fields that this call honours, or has no need to."""
    said = {*_SAID, *body}
    thinks = "thinking" in body or "effort" in body.get("output_config", {})
    if thinks or given.get("reasoning_effort") == "none":
        said.add("reasoning_effort")
    metadata = given.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.keys() - {"user_id"}:
        said.add("metadata")
    else:
        said.discard("metadata")
    return frozenset(said)


def _decoded(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in request.fields:
        try:
            found[name] = request.json(name)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidRequest(f"{name} cannot be read as JSON", param=name) from None
    return found


def _refuse(request: ChatRequest, given: Mapping[str, Any]) -> None:
    """What would give another answer than was asked for."""
    asked = {
        "n": request.n > 1,
        "logprobs": given.get("logprobs") is True,
        "modalities": given.get("modalities") not in (None, [], ["text"]),
        "audio": given.get("audio") is not None,
        "functions": bool(given.get("functions")),
        "function_call": given.get("function_call") is not None,
        "web_search_options": given.get("web_search_options") is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise InvalidRequest(f"{name}: Anthropic's models cannot do this", param=name)


def _limit(request: ChatRequest, target: Target) -> int:
    """The API wants a limit, and none above what the model can write."""
    asked = request.max_tokens
    return target.max_output if asked is None else min(asked, target.max_output)


def _form(given: Any, accepts: Generation) -> dict[str, Any]:
    """`response_format` as `format` or, where the API has no such thing, as an `instruction`."""
    kind = given.get("type") if isinstance(given, Mapping) else None
    if given is None or kind == "text":
        return {}
    if kind == "json_object":
        return {"instruction": _INSTRUCTED}
    wrapped = given.get("json_schema") if kind == "json_schema" else None
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InvalidRequest(
            "response_format must be text, json_object, or json_schema with a schema",
            param="response_format",
        )
    exact = closed(schema) if accepts.schemas else None
    if exact is not None:
        return {"format": {"type": "json_schema", "schema": exact}}
    said = msgspec.json.encode(schema).decode()
    return {"instruction": f"{_INSTRUCTED}\nIt must be valid against this JSON Schema:\n{said}"}


def _system(given: Any, talk: Conversation, instruction: str | None) -> str | list[Block]:
    """One text, or blocks when one of them is marked for the cache."""
    found = blocks(given, "system") + talk.system
    if instruction is not None:
        found.append({"type": "text", "text": instruction})
    if any("cache_control" in block for block in found):
        return found
    return "\n\n".join(block["text"] for block in found if block["type"] == "text")


def _tools(given: Mapping[str, Any], talk: Conversation, accepts: Generation) -> dict[str, Any]:
    offered: list[Tool] = tools(given.get("tools"), strict=accepts.schemas)
    parallel = given.get("parallel_tool_calls") is not False
    chosen = choice(given.get("tool_choice"), offered, parallel=parallel)
    if not offered and talk.called and given.get("mcp_servers") is None:
        return {"tools": recalled(talk.called), "tool_choice": {"type": "none"}}
    found: dict[str, Any] = {"tools": offered} if offered else {}
    return found | ({"tool_choice": chosen} if chosen is not None else {})


def _thoughts(given: Mapping[str, Any], effort: Thinking, form: Any) -> dict[str, Any]:
    """`thinking` and `output_config`; what the client said in Anthropic's own words comes first."""
    found: dict[str, Any] = {}
    own = given.get("thinking") is not None
    if effort.config is not None and not own:
        found["thinking"] = effort.config
    config: dict[str, Any] = {}
    if effort.effort is not None and not own:
        config["effort"] = effort.effort
    if form is not None:
        config["format"] = form
    if isinstance(given.get("output_config"), Mapping):
        config |= given["output_config"]
    return found | ({"output_config": config} if config else {})


def _thinks(config: Any) -> bool:
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def _stops(given: Any) -> dict[str, Any]:
    stops = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise InvalidRequest("stop must be a string or a list of strings", param="stop")
    spoken = [stop for stop in stops if stop.strip()]
    return {"stop_sequences": spoken} if spoken else {}


def _user(request: ChatRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    metadata = given.get("metadata")
    own = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    user = request.user or given.get("user") or own
    return {"metadata": {"user_id": user}} if isinstance(user, str) and user else {}


def _betas(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, list) or not all(
        isinstance(beta, str) and _BETA.fullmatch(beta) for beta in given
    ):
        raise InvalidRequest("betas must be a list of names", param="betas")
    return {"anthropic-beta": ",".join(given)} if given else {}
