"""A chat request to a Converse body."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.bedrock.extras import (
    Form,
    betas,
    form,
    one_at_a_time,
    sampling,
    thinking,
    top_k,
)
from gateway.wire.bedrock.messages import Conversation, conversation, instructions
from gateway.wire.bedrock.models import Model, model
from gateway.wire.bedrock.parts import Block
from gateway.wire.bedrock.tools import choice, tools
from gateway.wire.bedrock.turns import uncached
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.unsupported import dropped

PASSED: Final = (
    "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig", "performanceConfig",
    "requestMetadata", "serviceTier",
)  # fmt: skip
"""Fields of Converse that a client may send beside OpenAI's: they go on untouched, over ours.

`additionalModelRequestFields` is laid over what we derive, `system` goes before the instructions
among the messages. Anthropic's `thinking`, `top_k` and `betas` are taken for Claude.
"""

_ALWAYS: Final = frozenset({
    *PASSED, "additionalModelRequestFields", "response_format", "stop", "system", "tool_choice",
    "tools",
})  # fmt: skip
"""Fields that are said, or refused, for every model. All of OpenAI's others that ask for something
are dropped and named: they steer likelihoods, storage, caching or priority. `parallel_tool_calls`
is said to Claude only.
"""


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries a Bedrock API key; without one, calls must be signed."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def path(upstream: str, operation: str) -> str:
    """A model's name or ARN is one segment of the path: `:` and `/` in it are encoded."""
    return f"/model/{quote(upstream, safe='')}/{operation}"


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = _decoded(request)
    _refuse(request, given)
    accepts = model(target.upstream)
    offer = _offer(given, accepts)
    talk = conversation(given.get("messages"), accepts, tells=not offer.tools)
    told = form(given.get("response_format"), accepts)
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.content} for turn in talk.turns]
    }
    system = _system(given.get("system"), talk, told, accepts)
    if system:
        body["system"] = system
    limit = target.max_output
    limit = limit if request.max_tokens is None else min(request.max_tokens, limit)
    fields = _fields(given, accepts, offer, limit, thoughtless=talk.thoughtless_call)
    sampled = sampling(given, accepts, thinks=_thinks(fields.get("thinking")))
    body["inferenceConfig"] = _inference(limit, sampled, given.get("stop"))
    if offer.tools:
        body["toolConfig"] = offer.config
    if told.config is not None:
        body["outputConfig"] = told.config
    fields = top_k(sampled.get("top_k"), accepts) | fields
    if fields:
        body["additionalModelRequestFields"] = fields
    body |= {name: given[name] for name in PASSED if given.get(name) is not None}
    said = _ALWAYS | {name for name, sent in _optional(offer, sampled, fields).items() if sent}
    return HttpCall(
        path(target.upstream, "converse-stream" if stream else "converse"),
        {"content-type": "application/json"},
        msgspec.json.encode(body),
        dropped(given, said),
    )


class _Offer(Struct, frozen=True):
    """The tools that may be called: none if the client chose none. `mode` is auto, any or tool."""

    tools: list[Block]
    mode: str
    name: str | None
    alone: bool
    """One call at a time, said in Claude's own words."""

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = {"tools": self.tools}
        if self.mode != "auto" and not self.alone:
            found["toolChoice"] = {self.mode: {} if self.name is None else {"name": self.name}}
        return found


def _offer(given: Mapping[str, Any], accepts: Model) -> _Offer:
    offered = tools(given.get("tools"), accepts)
    mode, name = choice(given.get("tool_choice"), offered)
    if mode == "none":
        offered, mode = [], "auto"
    single = given.get("parallel_tool_calls") is False
    alone = single and bool(offered) and accepts.vendor == "anthropic"
    return _Offer(offered, mode, name, alone)


def _optional(
    offer: _Offer, sampled: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, bool]:
    """Fields that only some models take, and whether this call has them."""
    thought = {"thinking", "reasoning_effort", "reasoningConfig"} & fields.keys()
    return {
        "betas": "anthropic_beta" in fields,
        "parallel_tool_calls": offer.alone or not offer.tools,
        "reasoning_effort": bool(thought),
        "temperature": "temperature" in sampled,
        "thinking": "thinking" in fields,
        "top_k": bool({"top_k", "inferenceConfig"} & fields.keys()),
        "top_p": "top_p" in sampled,
    }


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
        "function_call": given.get("function_call") not in (None, "auto", "none"),
        "web_search_options": given.get("web_search_options") is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise InvalidRequest(f"{name}: Bedrock cannot do this", param=name)


def _system(given: Any, talk: Conversation, told: Form, accepts: Model) -> list[Block]:
    found = instructions(given, "system") + talk.system
    if told.instruction is not None:
        found.append({"text": told.instruction})
    return found if accepts.caches else uncached(found)


def _fields(
    given: Mapping[str, Any], accepts: Model, offer: _Offer, limit: int, *, thoughtless: bool
) -> dict[str, Any]:
    """additionalModelRequestFields; what the client said in the model's own words comes first."""
    forced = offer.mode in {"any", "tool"}
    effort = given.get("reasoning_effort")
    found = thinking(effort, accepts, limit, forced=forced, thoughtless=thoughtless)
    if given.get("thinking") is not None and accepts.vendor == "anthropic":
        found = {"thinking": given["thinking"]}
    if offer.alone:
        found |= one_at_a_time(offer.mode, offer.name)
    found |= betas(given.get("betas"), accepts)
    own = given.get("additionalModelRequestFields")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest(
            "additionalModelRequestFields must be an object", param="additionalModelRequestFields"
        )
    return found | dict(own or {})


def _thinks(config: Any) -> bool:
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def _inference(limit: int, sampled: Mapping[str, Any], stop: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"maxTokens": limit}
    for name, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        if name in sampled:
            found[theirs] = sampled[name]
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("stop must be a string or a list of strings", param="stop")
    if any(stops):
        found["stopSequences"] = [each for each in stops if each]
    return found
