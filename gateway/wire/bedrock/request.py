"""Encodes a chat request as a Converse body."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import claude, request_fields
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
from gateway.wire.bedrock.turns import Turn, without_cache_points
from gateway.wire.buckets import S3_ALLOWED, refuse_s3
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.parts import Block
from gateway.wire.request_fields import ResponseFormat
from gateway.wire.unsupported import ESSENTIAL, dropped_fields, strict_tools

PASSED_THROUGH: Final = (
    "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig", "performanceConfig",
    "requestMetadata", "serviceTier",
)  # fmt: skip
"""Native fields of Converse that are passed through unchanged and override ours, except what has a
price that is not known here.

`additionalModelRequestFields` overrides what we derive, `system` goes before the instructions among
the messages. Anthropic's `thinking`, `top_k` and `betas` are accepted for Claude.
"""

_UNPRICED: Final = (
    ("performanceConfig", "latency", "optimized"),
    ("serviceTier", "type", "priority"),
)
"""(field, key, value) that would make a call cost more than is held and charged for it."""

_MAY_NAME_FILES: Final = ("messages", "additionalModelRequestFields")
"""Fields in which a file in S3 may be named."""

_REFUSED: Final = ESSENTIAL - {"response_format", "stop", "tool_choice", "tools"}
"""Refused, since the answer would not be what was requested."""

_HONOURED: Final = frozenset({
    *PASSED_THROUGH, "additionalModelRequestFields", "response_format", "stop", "system",
    "tool_choice", "tools",
})  # fmt: skip
"""Fields that are honoured, or refused, for every model. All others of OpenAI's are dropped and
reported: sampling, storage, caching or priority hints. Only Claude gets `parallel_tool_calls`.
"""

_LIMIT_NAMES: Final = frozenset({
    "max_completion_tokens", "max_gen_len", "max_new_tokens", "max_tokens", "max_tokens_to_sample",
    "maxTokenCount", "maxTokens", "n", "num_generations",
})  # fmt: skip
"""Native names of output limits. Money is held by `max_tokens` and `n`, so these are refused, also
within a field: Nova's are in `inferenceConfig`, Titan's in `textGenerationConfig`.
"""


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries a Bedrock API key; without one, calls must be signed."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def path(upstream: str, operation: str) -> str:
    """The URL path. The model's name or ARN is one segment: `:` and `/` in it are encoded."""
    return f"/model/{quote(upstream, safe='')}/{operation}"


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest, naming the field, for what the API cannot express."""
    given = request_fields.fields(request)
    request_fields.refuse(given, _REFUSED, "Bedrock")
    if S3_ALLOWED not in target.quirks:
        for name in _MAY_NAME_FILES:
            refuse_s3(given.get(name), name)
    accepts = model(target.upstream)
    offer = _offer(given, accepts)
    claude.refuse_forced_tool(target.upstream, offer.mode)
    chat = conversation(given.get("messages"), accepts, calls_as_text=not offer.tools)
    response_format = request_fields.response_format(given.get("response_format"))
    structured = structure(response_format, accepts)
    limit = request_fields.output_limit(request, target)
    fields = _fields(given, accepts, offer, limit, chat)
    body: dict[str, Any] = {
        "messages": [
            {"role": turn.role, "content": turn.content} for turn in _turns(chat, accepts, fields)
        ]
    }
    in_words = response_format if structured is None else ResponseFormat()
    system = _system(given.get("system"), chat, in_words, accepts)
    if system:
        body["system"] = system
    sampled = sampling(given, accepts, thinks=claude.is_thinking(fields.get("thinking")))
    body["inferenceConfig"] = _inference(limit, sampled, given.get("stop"))
    if offer.tools:
        body["toolConfig"] = offer.config
    if structured is not None:
        body["outputConfig"] = structured
    fields = top_k(sampled.get("top_k"), accepts) | fields
    if fields:
        body["additionalModelRequestFields"] = fields
    unpriced = {name for name, *way in _UNPRICED if _has_value(given.get(name), *way)}
    body |= _passed_through(given, unpriced, structured)
    optional = _honoured_by_model(given, accepts, offer, sampled, fields)
    honoured = _HONOURED - unpriced | {name for name, sent in optional.items() if sent}
    if structured is not None:
        honoured |= {
            "response_format.json_schema.description",
            "response_format.json_schema.strict",
        }
    return HttpCall(
        path(target.upstream, "converse-stream" if stream else "converse"),
        {"content-type": "application/json"},
        msgspec.json.encode(body),
        dropped_fields(given, honoured),
    )


def _turns(chat: Conversation, accepts: Model, fields: Mapping[str, Any]) -> list[Turn]:
    """Without thinking blocks, if the model binds them and does not think."""
    off = accepts.binds_thinking and claude.turns_thinking_off(fields.get("thinking"))
    return chat.without_thinking() if off else chat.turns


def _passed_through(
    given: Mapping[str, Any], unpriced: Collection[str], structured: dict[str, Any] | None
) -> dict[str, Any]:
    """The client's native fields; its `outputConfig` is merged over the one that we derive."""
    names = [name for name in PASSED_THROUGH if given.get(name) is not None]
    fields = {name: given[name] for name in names if name not in unpriced}
    if structured is not None and isinstance(fields.get("outputConfig"), Mapping):
        fields["outputConfig"] = structured | fields["outputConfig"]
    return fields


def _has_value(config: Any, name: str, value: str) -> bool:
    return isinstance(config, Mapping) and config.get(name) == value


class _Offer(Struct, frozen=True):
    """The tools that may be called: none if the client chose none. `mode` is auto, any or tool."""

    tools: list[Block]
    mode: str
    name: str | None
    strict: int
    """How many of the tools are sent as strict."""
    single_call: bool
    """Parallel calls are disabled with Claude's native `tool_choice`."""

    @property
    def config(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"tools": self.tools}
        if self.mode != "auto" and not self.single_call:
            fields["toolChoice"] = {self.mode: {} if self.name is None else {"name": self.name}}
        return fields


def _offer(given: Mapping[str, Any], accepts: Model) -> _Offer:
    offered = tools(given.get("tools"), accepts)
    strict = sum("strict" in tool.get("toolSpec", {}) for tool in offered)
    mode, name = choice(given.get("tool_choice"), offered)
    if mode == "none":
        offered, mode = [], "auto"
    single = given.get("parallel_tool_calls") is False
    single_call = single and bool(offered) and accepts.vendor == "anthropic"
    return _Offer(offered, mode, name, strict, single_call)


def _honoured_by_model(
    given: Mapping[str, Any],
    accepts: Model,
    offer: _Offer,
    sampled: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> dict[str, bool]:
    """Fields that only some models accept, and whether this call honours them exactly."""
    thinking_fields = {"thinking", "reasoning_effort", "reasoningConfig"} & fields.keys()
    can_be_off = accepts.thinks != "effort" and accepts.thinking_off is not None
    none = given.get("reasoning_effort") == "none"
    return {
        "betas": "anthropic_beta" in fields,
        "messages.cache_control": accepts.caches,
        "parallel_tool_calls": offer.single_call or not offer.tools,
        "reasoning_effort": can_be_off if none else bool(thinking_fields),
        "temperature": sampled.get("temperature") == given.get("temperature"),
        "thinking": "thinking" in fields,
        "tools.cache_control": accepts.caches_tools,
        "tools.function.strict": offer.strict == strict_tools(given.get("tools")),
        "top_k": bool({"top_k", "inferenceConfig"} & fields.keys()),
        "top_p": "top_p" in sampled,
    }


def _system(
    given: Any, chat: Conversation, in_words: ResponseFormat, accepts: Model
) -> list[Block]:
    system = instructions(given, "system") + chat.system
    if in_words.json:
        system.append({"text": in_words.instruction})
    return system if accepts.caches else without_cache_points(system)


def _fields(
    given: Mapping[str, Any], accepts: Model, offer: _Offer, limit: int, chat: Conversation
) -> dict[str, Any]:
    """additionalModelRequestFields; the client's own native fields take precedence."""
    forced = offer.mode in {"any", "tool"}
    effort = given.get("reasoning_effort")
    thoughts_missing = chat.lacks_thinking
    fields = thinking(effort, accepts, limit, forced=forced, thoughts_missing=thoughts_missing)
    own_thinking = given.get("thinking")
    if own_thinking is not None and accepts.vendor == "anthropic":
        conflicts = claude.conflicts_with_forced_tool(
            own_thinking, forced=forced, adaptive=accepts.thinks_with_forced_tool
        )
        fields = {} if conflicts else {"thinking": own_thinking}
    if offer.single_call:
        fields |= one_at_a_time(offer.mode, offer.name)
    fields |= betas(given.get("betas"), accepts)
    own = given.get("additionalModelRequestFields")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest(
            "additionalModelRequestFields must be an object", param="additionalModelRequestFields"
        )
    own = own or {}
    _refuse_limits(own, "additionalModelRequestFields")
    fields |= own
    binds = accepts.binds_thinking and chat.has_thinking
    config = claude.forgiving(fields.get("thinking")) if binds else None
    if config is not None:
        fields |= {"thinking": config, "anthropic_beta": _forgiving_betas(fields)}
    return fields


def _refuse_limits(own: Mapping[str, Any], where: str) -> None:
    for name in sorted(_LIMIT_NAMES & own.keys()):
        raise InvalidRequest(
            f"{where}.{name}: say max_tokens and n instead", param=f"{where}.{name}"
        )
    for name, value in own.items():
        if isinstance(value, Mapping):
            _refuse_limits(value, f"{where}.{name}")


def _forgiving_betas(fields: Mapping[str, Any]) -> list[str]:
    names: list[str] = fields.get("anthropic_beta") or []
    return names if claude.FORGIVING in names else [*names, claude.FORGIVING]


def _inference(limit: int, sampled: Mapping[str, Any], stop: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"maxTokens": limit}
    for name, converse_name in (("temperature", "temperature"), ("top_p", "topP")):
        if name in sampled:
            fields[converse_name] = sampled[name]
    stops = request_fields.stop_sequences(stop)
    return fields | ({"stopSequences": stops} if stops else {})
