"""A chat request to a Messages body."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import asked, claude
from gateway.wire.anthropic.generation import generation
from gateway.wire.anthropic.messages import Conversation, conversation
from gateway.wire.anthropic.parts import blocks
from gateway.wire.anthropic.schema import Room
from gateway.wire.anthropic.thinking import Thinking, thinking
from gateway.wire.anthropic.tools import Tool, choice, recalled, tools
from gateway.wire.asked import Form
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.parts import Block
from gateway.wire.unsupported import NEEDED, dropped, strict_tools

PATH: Final = "/v1/messages"
VERSION: Final = "2023-06-01"

PASSED: Final = (
    "cache_control", "container", "context_management", "inference_geo", "mcp_servers", "thinking",
)  # fmt: skip
"""Fields of the Messages API that a client may send beside OpenAI's: they go on untouched, but for
`thinking` beside a forced tool where the API refuses that.

`top_k`, `system`, `output_config` and `betas` are taken too: `top_k` as far as the model
samples, `system` before the instructions among the messages, `output_config` over what we
derive, `betas` as the header `anthropic-beta`. `speed` is not: the fast one has a price which is
not known here, so that a call would cost more than is held and charged for it.
"""

_REFUSED: Final = NEEDED - {"response_format", "stop", "tool_choice", "tools"}
"""What would give another answer than was asked for."""

_SAID: Final = frozenset({
    *PASSED, "betas", "messages.cache_control", "output_config", "parallel_tool_calls",
    "response_format", "stop", "system", "tool_choice", "tools", "tools.cache_control", "user",
})  # fmt: skip
"""Fields that every call honours. What is in none of these lists has no counterpart: OpenAI's
hints on likelihoods, storage, caching and priority, and fields that nobody knows, which the API
refuses. `metadata` is lost but for its `user_id`, which is Anthropic's: the rest is for OpenAI's
own dashboard.
"""


def auth(api_key: str) -> Mapping[str, str]:
    """The headers that carry the key."""
    return {"x-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = asked.fields(request)
    asked.refuse(given, _REFUSED, "Anthropic's models")
    _placed(given.get("inference_geo"))
    accepts = generation(target.upstream)
    talk = conversation(given.get("messages"))
    max_tokens = asked.limit(request, target)
    body: dict[str, Any] = {"model": target.upstream, "max_tokens": max_tokens}
    form = asked.form(given.get("response_format"))
    room = Room() if accepts.schemas else None
    exact = room.closed(form.schema) if room and form.schema is not None else None
    system = _system(given.get("system"), talk, form if exact is None else Form())
    if system:
        body["system"] = system
    body["messages"] = [{"role": turn.role, "content": turn.content} for turn in talk.turns]
    body |= _tools(given, talk, room)
    body |= {name: given[name] for name in PASSED if given.get(name) is not None}
    mode = body.get("tool_choice", {}).get("type")
    claude.forced(target.upstream, mode)
    forced = mode in {"any", "tool"}
    if claude.too_forced(given.get("thinking"), forced=forced, adaptive=accepts.thinks_forced):
        del body["thinking"]
    effort = thinking(
        given.get("reasoning_effort"),
        accepts,
        max_tokens,
        forced=forced,
        thoughtless=talk.thoughtless_call,
    )
    body |= _thoughts(given, effort, exact)
    bound = accepts.binds and talk.thoughtful
    kept = claude.forgiving(body.get("thinking")) if bound else None
    body |= {"thinking": kept} if kept else {}
    thinks = claude.thinks(body.get("thinking"))
    body |= claude.sampling(given, none=thinks or not accepts.samples, both=accepts.both_samplers)
    body |= _stops(given.get("stop")) | _user(request, given)
    if stream:
        body["stream"] = True
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    headers |= _betas(given.get("betas"), claude.FORGIVING if kept else None)
    said = _said(given, body, thinks=accepts.thoughtless is None)
    return HttpCall(PATH, headers, msgspec.json.encode(body), dropped(given, said))


def _said(given: Mapping[str, Any], body: Mapping[str, Any], *, thinks: bool) -> frozenset[str]:
    """The request's fields that this call honours, or need not; `thinks` it does anyway."""
    said = {*_SAID, *(name for name in body if given.get(name) == body[name])}
    if strict_tools(given.get("tools")) == sum("strict" in tool for tool in body.get("tools", ())):
        said.add("tools.function.strict")
    if "format" in body.get("output_config", {}):
        said.add("response_format.json_schema.strict")
    if not thinks if given.get("reasoning_effort") == "none" else "thinking" in body:
        said.add("reasoning_effort")
    if "thinking" not in body:
        said.discard("thinking")
    metadata = given.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.keys() - {"user_id"}:
        said.add("metadata")
    else:
        said.discard("metadata")
    return frozenset(said)


def _system(given: Any, talk: Conversation, told: Form) -> str | list[Block]:
    """One text, or blocks when one of them is marked for the cache."""
    found = blocks(given, "system") + talk.system
    if told.json:
        found.append({"type": "text", "text": told.instruction})
    if any("cache_control" in block for block in found):
        return found
    return "\n\n".join(block["text"] for block in found if block["type"] == "text")


def _tools(given: Mapping[str, Any], talk: Conversation, room: Room | None) -> dict[str, Any]:
    offered: list[Tool] = tools(given.get("tools"), room)
    parallel = given.get("parallel_tool_calls") is not False
    chosen = choice(given.get("tool_choice"), offered, parallel=parallel)
    if not offered and talk.called and given.get("mcp_servers") is None:
        return {"tools": recalled(talk.called), "tool_choice": {"type": "none"}}
    found: dict[str, Any] = {"tools": offered} if offered else {}
    return found | ({"tool_choice": chosen} if chosen is not None else {})


def _thoughts(given: Mapping[str, Any], effort: Thinking, exact: Any) -> dict[str, Any]:
    """`thinking` and `output_config`; what the client said in Anthropic's own words comes first."""
    found: dict[str, Any] = {}
    own = given.get("thinking") is not None
    if effort.config is not None and not own:
        found["thinking"] = effort.config
    config: dict[str, Any] = {}
    if effort.effort is not None and not own:
        config["effort"] = effort.effort
    if exact is not None:
        config["format"] = {"type": "json_schema", "schema": exact}
    if isinstance(given.get("output_config"), Mapping):
        config |= given["output_config"]
    return found | ({"output_config": config} if config else {})


def _stops(given: Any) -> dict[str, Any]:
    """The API refuses texts of white space alone; without them an answer would run on."""
    stops = asked.stops(given)
    if any(not stop.strip() for stop in stops):
        raise InvalidRequest("stop: Anthropic's models cannot stop at white space", param="stop")
    return {"stop_sequences": stops} if stops else {}


def _placed(geo: Any) -> None:
    """Raises InvalidRequest for a place with a price of its own: from Claude 4.6 on `us` is a tenth
    dearer than is held and charged. Left out, the answer would be made where it must not be.
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
    return {"metadata": {"user_id": user}} if isinstance(user, str) and user else {}


def _betas(given: Any, more: str | None) -> dict[str, str]:
    found = asked.betas(given)
    if more and more not in found:
        found = [*found, more]
    return {"anthropic-beta": ",".join(found)} if found else {}
