"""A chat request to a Converse body."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import asked, claude
from gateway.wire.asked import Form
from gateway.wire.bedrock.extras import (
    betas,
    one_at_a_time,
    sampling,
    structure,
    thinking,
    top_k,
)
from gateway.wire.bedrock.messages import Conversation, conversation, instructions
from gateway.wire.bedrock.models import Model, model
from gateway.wire.bedrock.tools import choice, tools
from gateway.wire.bedrock.turns import uncached
from gateway.wire.buckets import S3_ALLOWED, refuse_s3
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.parts import Block
from gateway.wire.unsupported import NEEDED, dropped, strict_tools

PASSED: Final = (
    "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig", "performanceConfig",
    "requestMetadata", "serviceTier",
)  # fmt: skip
"""Fields of Converse that a client may send beside OpenAI's: they go on untouched, over ours, but
for what has a price which is not known here.

`additionalModelRequestFields` is laid over what we derive, `system` goes before the instructions
among the messages. Anthropic's `thinking`, `top_k` and `betas` are taken for Claude.
"""

_DEARER: Final = (
    ("performanceConfig", "latency", "optimized"),
    ("serviceTier", "type", "priority"),
)
"""A call with one of these would cost more than is held and charged for it."""

_WITH_FILES: Final = ("messages", "additionalModelRequestFields")

_REFUSED: Final = NEEDED - {"response_format", "stop", "tool_choice", "tools"}
"""What would give another answer than was asked for."""

_ALWAYS: Final = frozenset({
    *PASSED, "additionalModelRequestFields", "response_format", "stop", "system", "tool_choice",
    "tools",
})  # fmt: skip
"""Fields that are said, or refused, for every model. All of OpenAI's others that ask for something
are dropped and named: they steer likelihoods, storage, caching or priority. `parallel_tool_calls`
is said to Claude only.
"""

_PAID: Final = frozenset({
    "max_completion_tokens", "max_gen_len", "max_new_tokens", "max_tokens", "max_tokens_to_sample",
    "maxTokens", "n", "num_generations",
})  # fmt: skip
"""Models' own names for what money was set aside for by other names."""


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries a Bedrock API key; without one, calls must be signed."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def path(upstream: str, operation: str) -> str:
    """A model's name or ARN is one segment of the path: `:` and `/` in it are encoded."""
    return f"/model/{quote(upstream, safe='')}/{operation}"


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = asked.fields(request)
    asked.refuse(given, _REFUSED, "Bedrock")
    if S3_ALLOWED not in target.quirks:
        for name in _WITH_FILES:
            refuse_s3(given.get(name), name)
    accepts = model(target.upstream)
    offer = _offer(given, accepts)
    claude.forced(target.upstream, offer.mode)
    talk = conversation(given.get("messages"), accepts, tells=not offer.tools)
    form = asked.form(given.get("response_format"))
    structured = structure(form, accepts)
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.content} for turn in talk.turns]
    }
    told = form if structured is None else Form()
    system = _system(given.get("system"), talk, told, accepts)
    if system:
        body["system"] = system
    limit = asked.limit(request, target)
    fields = _fields(given, accepts, offer, limit, talk)
    sampled = sampling(given, accepts, thinks=claude.thinks(fields.get("thinking")))
    body["inferenceConfig"] = _inference(limit, sampled, given.get("stop"))
    if offer.tools:
        body["toolConfig"] = offer.config
    if structured is not None:
        body["outputConfig"] = structured
    fields = top_k(sampled.get("top_k"), accepts) | fields
    if fields:
        body["additionalModelRequestFields"] = fields
    dearer = {name for name, *way in _DEARER if _is(given.get(name), *way)}
    body |= _passed(given, dearer, structured)
    optional = _optional(given, accepts, offer, sampled, fields)
    said = _ALWAYS - dearer | {name for name, sent in optional.items() if sent}
    if structured is not None:
        said |= {"response_format.json_schema.description", "response_format.json_schema.strict"}
    return HttpCall(
        path(target.upstream, "converse-stream" if stream else "converse"),
        {"content-type": "application/json"},
        msgspec.json.encode(body),
        dropped(given, said),
    )


def _passed(
    given: Mapping[str, Any], dearer: Collection[str], structured: dict[str, Any] | None
) -> dict[str, Any]:
    """Of the client's own: beside its `outputConfig` stands what we derive of one."""
    names = [name for name in PASSED if given.get(name) is not None and name not in dearer]
    found = {name: given[name] for name in names}
    if structured is not None and isinstance(found.get("outputConfig"), Mapping):
        found["outputConfig"] = structured | found["outputConfig"]
    return found


def _is(config: Any, name: str, value: str) -> bool:
    return isinstance(config, Mapping) and config.get(name) == value


class _Offer(Struct, frozen=True):
    """The tools that may be called: none if the client chose none. `mode` is auto, any or tool."""

    tools: list[Block]
    mode: str
    name: str | None
    strict: int
    """How many of the tools that were given are strict."""
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
    strict = sum("strict" in tool.get("toolSpec", {}) for tool in offered)
    mode, name = choice(given.get("tool_choice"), offered)
    if mode == "none":
        offered, mode = [], "auto"
    single = given.get("parallel_tool_calls") is False
    alone = single and bool(offered) and accepts.vendor == "anthropic"
    return _Offer(offered, mode, name, strict, alone)


def _optional(
    given: Mapping[str, Any],
    accepts: Model,
    offer: _Offer,
    sampled: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> dict[str, bool]:
    """Fields that only some models take, and whether this call has them as they were asked."""
    thought = {"thinking", "reasoning_effort", "reasoningConfig"} & fields.keys()
    needless = accepts.thinks != "effort" and accepts.thoughtless is not None
    none = given.get("reasoning_effort") == "none"
    return {
        "betas": "anthropic_beta" in fields,
        "messages.cache_control": accepts.caches,
        "parallel_tool_calls": offer.alone or not offer.tools,
        "reasoning_effort": needless if none else bool(thought),
        "temperature": sampled.get("temperature") == given.get("temperature"),
        "thinking": "thinking" in fields,
        "tools.cache_control": accepts.caches_tools,
        "tools.function.strict": offer.strict == strict_tools(given.get("tools")),
        "top_k": bool({"top_k", "inferenceConfig"} & fields.keys()),
        "top_p": "top_p" in sampled,
    }


def _system(given: Any, talk: Conversation, told: Form, accepts: Model) -> list[Block]:
    found = instructions(given, "system") + talk.system
    if told.json:
        found.append({"text": told.instruction})
    return found if accepts.caches else uncached(found)


def _fields(
    given: Mapping[str, Any], accepts: Model, offer: _Offer, limit: int, talk: Conversation
) -> dict[str, Any]:
    """additionalModelRequestFields; what the client said in the model's own words comes first."""
    forced = offer.mode in {"any", "tool"}
    effort = given.get("reasoning_effort")
    thoughtless = talk.thoughtless_call
    found = thinking(effort, accepts, limit, forced=forced, thoughtless=thoughtless)
    own_thinking = given.get("thinking")
    if own_thinking is not None and accepts.vendor == "anthropic":
        out = claude.too_forced(own_thinking, forced=forced, adaptive=accepts.thinks_forced)
        found = {} if out else {"thinking": own_thinking}
    if offer.alone:
        found |= one_at_a_time(offer.mode, offer.name)
    found |= betas(given.get("betas"), accepts)
    own = given.get("additionalModelRequestFields")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest(
            "additionalModelRequestFields must be an object", param="additionalModelRequestFields"
        )
    for name in sorted(_PAID & (own or {}).keys()):
        where = f"additionalModelRequestFields.{name}"
        raise InvalidRequest(f"{where}: say max_tokens and n instead", param=where)
    found |= dict(own or {})
    kept = claude.forgiving(found.get("thinking")) if accepts.binds and talk.thoughtful else None
    return found if kept is None else found | {"thinking": kept, "anthropic_beta": _forgives(found)}


def _forgives(fields: Mapping[str, Any]) -> list[str]:
    betas: list[str] = fields.get("anthropic_beta") or []
    return betas if claude.FORGIVING in betas else [*betas, claude.FORGIVING]


def _inference(limit: int, sampled: Mapping[str, Any], stop: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"maxTokens": limit}
    for name, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        if name in sampled:
            found[theirs] = sampled[name]
    stops = asked.stops(stop)
    return found | ({"stopSequences": stops} if stops else {})
