"""Encodes a chat request as a generateContent body."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import request_fields
from gateway.wire.buckets import ALLOWED, refuse_buckets, refuse_stores
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.gemini.config import config, json_output, thinking
from gateway.wire.gemini.contents import Conversation
from gateway.wire.gemini.generation import generation
from gateway.wire.gemini.tools import Tools
from gateway.wire.unsupported import dropped_fields

JSON = dict[str, Any]

PASSED_THROUGH: Final = ("cachedContent", "labels", "modelArmorConfig", "safetySettings")
"""Native fields of the API that are passed through unchanged.

`generationConfig` and `toolConfig` are accepted too and override what we derive, field by field;
so is `top_k`. Native tools are sent among the tools: {"googleSearch": {}}.
"""

REFUSED: Final = ("audio", "functions", "function_call", "web_search_options")
"""Refused, since the answer would not be what was requested. Also refused: `modalities` other than
text and image, and tools that are neither functions nor native.
"""

_HONOURED: Final = frozenset({
    *PASSED_THROUGH, *REFUSED, "frequency_penalty", "generationConfig", "logprobs", "modalities",
    "n", "presence_penalty", "response_format", "seed", "stop", "temperature", "toolConfig",
    "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
"""Fields that every call honours. Those in none of these lists have no counterpart: OpenAI's
sampling, storage, caching and priority hints, `parallel_tool_calls`, `user`, and unknown fields,
which the API would refuse.
"""

_LIMIT_NAMES: Final[Mapping[str, str]] = {"candidateCount": "n", "maxOutputTokens": "max_tokens"}
"""Limits in generationConfig, and the OpenAI fields by which money is held for them."""
_ROUTING: Final = ("modelSelectionConfig", "routingConfig")
"""Fields of generationConfig that let another model answer, at its own price (Vertex AI)."""
_SNAKE_LETTER: Final = re.compile(r"_([a-z0-9])")
_NO_THINKING: Final[Mapping[str, Any]] = {"thinkingBudget": 0}
_PIECEWISE: Final = "streamFunctionCallArguments"
_CONTENT_TYPE: Final = {"content-type": "application/json"}


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key; never the query, which proxies log."""
    return {"x-goog-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest, naming the field, for what the API cannot express."""
    given = request_fields.fields(request)
    request_fields.refuse(given, REFUSED, "Google's models")
    if ALLOWED not in target.quirks:
        refuse_buckets(given.get("messages"))
        refuse_stores(given.get("tools"))
    accepts = generation(target.upstream)
    chat = Conversation(given.get("messages"), accepts)
    tools = Tools(given.get("tools"))
    offered = tools.body(given.get("tool_choice"))
    limit = request_fields.output_limit(request, target)
    if not stream and accepts.whole_limit is not None:
        limit = min(limit, accepts.whole_limit)
    settings = config(request, limit, given)
    settings |= thinking(given.get("reasoning_effort"), accepts, limit)
    format_fields, instruction = json_output(
        request_fields.response_format(given.get("response_format")),
        constrains=accepts.schema_beside_tools or "tools" not in offered,
    )
    system = chat.system + ([{"text": instruction}] if instruction else [])
    body: JSON = {"systemInstruction": {"parts": system}} if system else {}
    body["contents"] = [{"role": turn.role, "parts": turn.parts} for turn in chat.turns]
    body |= offered
    body["generationConfig"] = settings | format_fields
    for name in ("generationConfig", "toolConfig"):
        body[name] = _overlay(body.get(name, {}), given.get(name), name)
        if not body[name]:
            del body[name]
    body |= {name: given[name] for name in PASSED_THROUGH if given.get(name) is not None}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    path = f"/models/{target.upstream}:{verb}"
    not_honoured = dropped_fields(
        given, _honoured(given, body["generationConfig"])
    ) + _drop_argument_streaming(body)
    return HttpCall(path, _CONTENT_TYPE, msgspec.json.encode(body), not_honoured)


def _drop_argument_streaming(body: JSON) -> tuple[str, ...]:
    """Removes `streamFunctionCallArguments` and returns its path: it streams arguments as paths and
    values, which cannot be turned into OpenAI's pieces of JSON.
    """
    calling_config = body.get("toolConfig", {}).get("functionCallingConfig")
    if not isinstance(calling_config, Mapping):
        return ()
    calling_config = _camel_names(calling_config)
    if not calling_config.get(_PIECEWISE):
        return ()
    remaining = {name: value for name, value in calling_config.items() if name != _PIECEWISE}
    body["toolConfig"] = body["toolConfig"] | {"functionCallingConfig": remaining}
    return (f"toolConfig.functionCallingConfig.{_PIECEWISE}",)


def _honoured(given: JSON, settings: JSON) -> set[str]:
    """The request's fields that this call honours."""
    names = set(_HONOURED)
    thinking_off = settings.get("thinkingConfig", _NO_THINKING) == _NO_THINKING
    if thinking_off is (given.get("reasoning_effort") == "none"):
        names.add("reasoning_effort")
    if "responseJsonSchema" in settings:
        names.add("response_format.json_schema.strict")
    if "logprobs" in settings:
        names.add("top_logprobs")
    return names


def _overlay(ours: JSON, given: Any, name: str) -> JSON:
    """What we derive, overridden by the client's own fields except output limits."""
    if given is None:
        return ours
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{name} must be an object", param=name)
    fields = _camel_names(given)
    for field, openai_name in _LIMIT_NAMES.items():
        if field in fields and fields[field] != ours.get(field):
            raise InvalidRequest(
                f"{name}.{field}: say {openai_name} instead", param=f"{name}.{field}"
            )
    for field in _ROUTING:
        if fields.get(field) is not None:
            where = f"{name}.{field}"
            raise InvalidRequest(f"{where}: this gateway chooses the model", param=where)
    return {**ours, **fields}


def _camel_names(fields: Mapping[str, Any]) -> JSON:
    """Field names in camelCase, as used here: the API accepts candidate_count as well."""
    return {
        _SNAKE_LETTER.sub(lambda match: match[1].upper(), name): value
        for name, value in fields.items()
    }
