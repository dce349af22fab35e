"""Encodes a chat request as a Messages body."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import claude, request_fields
from gateway.wire.anthropic.generation import generation
from gateway.wire.anthropic.messages import Conversation, Turn, conversation
from gateway.wire.anthropic.parts import blocks
from gateway.wire.anthropic.schema import SchemaBudget
from gateway.wire.anthropic.thinking import Thinking, thinking
from gateway.wire.anthropic.tools import Tool, choice, redeclare, tools
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.parts import Block
from gateway.wire.request_fields import ResponseFormat
from gateway.wire.unsupported import ESSENTIAL, dropped_fields, strict_tools

PATH: Final = "/v1/messages"
VERSION: Final = "2023-06-01"

PASSED_THROUGH: Final = (
    "cache_control", "container", "context_management", "inference_geo", "mcp_servers", "thinking",
)  # fmt: skip
"""Native fields of the Messages API that are passed through unchanged, except `thinking` with a
forced tool where the API refuses that.

Also accepted: `top_k` if the model supports sampling, `system` (before the instructions among the
messages), `output_config` (overrides what we derive) and `betas` (as the header `anthropic-beta`).
`speed` is not: the price of `fast` is not known here, so a call would cost more than is held and
charged for it.
"""

_REFUSED: Final = ESSENTIAL - {"response_format", "stop", "tool_choice", "tools"}
"""Refused, since the answer would not be what was requested."""

_REFUSED_USER: Final = re.compile(r".*@.*|\+?[\d\s().-]{7,}|.{257,}", re.DOTALL)
"""A user's email address or phone number (BerriAI/litellm#10106), or a name above the limit of 256
characters (vercel/ai#12419): the API answers 400.
"""

_HONOURED: Final = frozenset({
    *PASSED_THROUGH, "betas", "messages.cache_control", "output_config", "parallel_tool_calls",
    "response_format", "stop", "system", "tool_choice", "tools", "tools.cache_control", "user",
})  # fmt: skip
"""Fields that every call honours. Those in none of these lists have no counterpart: OpenAI's
sampling, storage, caching and priority hints, and unknown fields, which the API would refuse. Of
`metadata` only `user_id` is sent: the rest is for OpenAI's own dashboard.
"""


def auth(api_key: str) -> Mapping[str, str]:
    """The headers that carry the key."""
    return {"x-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest, naming the field, for what the API cannot express."""
    given = request_fields.fields(request)
    request_fields.refuse(given, _REFUSED, "Anthropic's models")
    _refuse_priced_region(given.get("inference_geo"))
    accepts = generation(target.upstream)
    chat = conversation(given.get("messages"))
    max_tokens = request_fields.output_limit(request, target)
    body: dict[str, Any] = {"model": target.upstream, "max_tokens": max_tokens}
    response_format = request_fields.response_format(given.get("response_format"))
    budget = SchemaBudget() if accepts.schemas else None
    schema = (
        budget.close(response_format.schema)
        if budget and response_format.schema is not None
        else None
    )
    system = _system(
        given.get("system"), chat, response_format if schema is None else ResponseFormat()
    )
    if system:
        body["system"] = system
    body["messages"] = _messages(chat.turns)
    body |= _tools(given, chat, budget)
    body |= {name: given[name] for name in PASSED_THROUGH if given.get(name) is not None}
    mode = body.get("tool_choice", {}).get("type")
    claude.refuse_forced_tool(target.upstream, mode)
    forced = mode in {"any", "tool"}
    if claude.conflicts_with_forced_tool(
        given.get("thinking"), forced=forced, adaptive=accepts.thinks_with_forced_tool
    ):
        del body["thinking"]
    effort = thinking(
        given.get("reasoning_effort"),
        accepts,
        max_tokens,
        forced=forced,
        thoughts_missing=chat.lacks_thinking,
    )
    body |= _thinking_fields(given, effort, schema)
    forgiving = _forgive(body, chat) if accepts.binds and chat.thoughtful else False
    thinks = claude.is_thinking(body.get("thinking"))
    body |= claude.sampling(
        given, none=thinks or not accepts.takes_sampling, both=accepts.both_samplers
    )
    body |= _stops(given.get("stop")) | _user(request, given)
    if stream:
        body["stream"] = True
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    headers |= _betas(given.get("betas"), claude.FORGIVING if forgiving else None)
    honoured = _honoured(given, body, thinks=accepts.thinking_off is None)
    return HttpCall(PATH, headers, msgspec.json.encode(body), dropped_fields(given, honoured))


def _honoured(given: Mapping[str, Any], body: Mapping[str, Any], *, thinks: bool) -> frozenset[str]:
    """The request's fields that this call honours. `thinks`: thinking cannot be turned off."""
    names = {*_HONOURED, *(name for name in body if given.get(name) == body[name])}
    if strict_tools(given.get("tools")) == sum("strict" in tool for tool in body.get("tools", ())):
        names.add("tools.function.strict")
    if "format" in body.get("output_config", {}):
        names.add("response_format.json_schema.strict")
    if not thinks if given.get("reasoning_effort") == "none" else "thinking" in body:
        names.add("reasoning_effort")
    if "thinking" not in body:
        names.discard("thinking")
    metadata = given.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.keys() - {"user_id"}:
        names.add("metadata")
    else:
        names.discard("metadata")
    return frozenset(names)


def _messages(turns: list[Turn]) -> list[Block]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _forgive(body: dict[str, Any], chat: Conversation) -> bool:
    """Has a model that binds thinking blocks accept those of another context. Returns whether that
    needs a beta.
    """
    config = claude.forgiving(body.get("thinking"))
    if config is not None:
        body["thinking"] = config
    elif claude.turns_thinking_off(body.get("thinking")):
        body["messages"] = _messages(chat.without_thinking())
    return config is not None


def _system(given: Any, chat: Conversation, in_words: ResponseFormat) -> str | list[Block]:
    """One string, or blocks if one of them has a `cache_control`."""
    system = blocks(given, "system") + chat.system
    if in_words.json:
        system.append({"type": "text", "text": in_words.instruction})
    if any("cache_control" in block for block in system):
        return system
    return "\n\n".join(block["text"] for block in system if block["type"] == "text")


def _tools(
    given: Mapping[str, Any], chat: Conversation, budget: SchemaBudget | None
) -> dict[str, Any]:
    offered: list[Tool] = tools(given.get("tools"), budget)
    parallel = given.get("parallel_tool_calls") is not False
    chosen = choice(given.get("tool_choice"), offered, parallel=parallel)
    if not offered and chat.called_tools and given.get("mcp_servers") is None:
        return {"tools": redeclare(chat.called_tools), "tool_choice": {"type": "none"}}
    fields: dict[str, Any] = {"tools": offered} if offered else {}
    return fields | ({"tool_choice": chosen} if chosen is not None else {})


def _thinking_fields(given: Mapping[str, Any], effort: Thinking, schema: Any) -> dict[str, Any]:
    """`thinking` and `output_config`; the client's own native fields take precedence."""
    fields: dict[str, Any] = {}
    has_own = given.get("thinking") is not None
    if effort.config is not None and not has_own:
        fields["thinking"] = effort.config
    config: dict[str, Any] = {}
    if effort.effort is not None and not has_own:
        config["effort"] = effort.effort
    if schema is not None:
        config["format"] = {"type": "json_schema", "schema": schema}
    if isinstance(given.get("output_config"), Mapping):
        config |= given["output_config"]
    return fields | ({"output_config": config} if config else {})


def _stops(given: Any) -> dict[str, Any]:
    """The API refuses blank stop sequences; without them an answer would not stop there."""
    stops = request_fields.stop_sequences(given)
    if any(not stop.strip() for stop in stops):
        raise InvalidRequest("stop: Anthropic's models cannot stop at white space", param="stop")
    return {"stop_sequences": stops} if stops else {}


def _refuse_priced_region(geo: Any) -> None:
    """Raises InvalidRequest for a region with its own price: from Claude 4.6 on `us` costs a tenth
    more than is held and charged. Dropping it would run the request in a region that was ruled out.
    """
    if geo not in (None, "global"):
        raise InvalidRequest(
            "inference_geo: the price of this place is not known; set it as the default of a "
            "workspace, and in the catalog what it costs",
            param="inference_geo",
        )


def _user(request: ChatRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    metadata = given.get("metadata")
    own = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    user = request.user or given.get("user") or own
    if not isinstance(user, str) or not user:
        return {}
    if _REFUSED_USER.fullmatch(user):
        user = hashlib.sha256(user.encode()).hexdigest()
    return {"metadata": {"user_id": user}}


def _betas(given: Any, more: str | None) -> dict[str, str]:
    names = request_fields.betas(given)
    if more and more not in names:
        names = [*names, more]
    return {"anthropic-beta": ",".join(names)} if names else {}
