"""Every field of OpenAI's chat request, in every dialect: honoured, told as dropped, or refused.

None is lost without a word: what is neither refused nor named must show in the call.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.web.parse import read_request
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.recordings import need_shared

JSON = dict[str, Any]

FUNCTION: Final[JSON] = {
    "name": "weather",
    "parameters": {
        "type": "object", "properties": {"at": {"type": "string", "pattern": "^[A-Z]"}},
        "required": ["at"],
    },
}  # fmt: skip
SCHEMA: Final[JSON] = {"type": "object", "properties": {"a": {"type": "integer"}}}
IMAGE: Final = "data:image/png;base64,iVBO"


def tool(**more: Any) -> list[JSON]:
    return [{"type": "function", "function": {**FUNCTION, **more}}]


def said(part: JSON) -> JSON:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}]}


def schema(**more: Any) -> JSON:
    wrapped = {"name": "n", "schema": SCHEMA, **more}
    return {"response_format": {"type": "json_schema", "json_schema": wrapped}}


ASKS: Final[Mapping[str, tuple[JSON, JSON]]] = {
    # a field: a request that asks for something by it, and what is the same without
    "audio": ({"audio": {"voice": "alloy", "format": "wav"}}, {}),
    "frequency_penalty": ({"frequency_penalty": 0.5}, {}),
    "function_call": ({"function_call": {"name": "weather"}}, {}),
    "functions": ({"functions": [FUNCTION]}, {}),
    "logit_bias": ({"logit_bias": {"50256": -100}}, {}),
    "logprobs": ({"logprobs": True}, {}),
    "max_completion_tokens": ({"max_completion_tokens": 77}, {}),
    "max_tokens": ({"max_tokens": 77}, {}),
    "messages": ({"messages": [{"role": "user", "content": "Bye"}]}, {}),
    "metadata": ({"metadata": {"team": "red"}}, {}),
    "modalities": ({"modalities": ["text", "audio"]}, {}),
    "moderation": ({"moderation": {"mode": "block"}}, {}),
    "n": ({"n": 2}, {}),
    "parallel_tool_calls": (
        {"tools": tool(), "parallel_tool_calls": False}, {"tools": tool()},
    ),
    "prediction": ({"prediction": {"type": "content", "content": "Hi"}}, {}),
    "presence_penalty": ({"presence_penalty": 0.5}, {}),
    "prompt_cache_key": ({"prompt_cache_key": "k"}, {}),
    "prompt_cache_options": ({"prompt_cache_options": {"mode": "explicit"}}, {}),
    "prompt_cache_retention": ({"prompt_cache_retention": "24h"}, {}),
    "reasoning_effort": ({"reasoning_effort": "high", "max_tokens": 9_000}, {"max_tokens": 9_000}),
    "response_format": ({"response_format": {"type": "json_object"}}, {}),
    "safety_identifier": ({"safety_identifier": "s"}, {}),
    "seed": ({"seed": 7}, {}),
    "service_tier": ({"service_tier": "flex"}, {}),
    "stop": ({"stop": ["END"]}, {}),
    "store": ({"store": True}, {}),
    "temperature": ({"temperature": 0.3}, {}),
    "tool_choice": ({"tools": tool(), "tool_choice": "required"}, {"tools": tool()}),
    "tools": ({"tools": tool()}, {}),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True}),
    "top_p": ({"top_p": 0.3}, {}),
    "user": ({"user": "u"}, {}),
    "verbosity": ({"verbosity": "low"}, {}),
    "web_search_options": ({"web_search_options": {}}, {}),
    # in other values, or deeper
    "reasoning_effort none": ({"reasoning_effort": "none"}, {}),
    "temperature above 1": ({"temperature": 1.7}, {"temperature": 1.0}),
    "temperature above 1, thinking": (
        {"temperature": 1.7, "reasoning_effort": "high", "max_tokens": 9_000},
        {"reasoning_effort": "high", "max_tokens": 9_000},
    ),
    "stop at white space": ({"stop": ["END", "\n"]}, {"stop": ["END"]}),
    "top_logprobs alone": ({"top_logprobs": 3}, {}),
    "tools.function.strict": ({"tools": tool(strict=True)}, {"tools": tool()}),
    "response_format.json_schema": (schema(), {}),
    "response_format.json_schema.strict": (schema(strict=True), {}),
    "response_format.json_schema.description": (schema(description="A sum."), schema()),
    "messages.name": (
        {"messages": [{"role": "user", "name": "ann", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi"}]},
    ),
    "messages.content.image_url": (said({"type": "image_url", "image_url": {"url": IMAGE}}), {}),
    "messages.content.image_url.detail": (
        said({"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}),
        said({"type": "image_url", "image_url": {"url": IMAGE}}),
    ),
    "messages.content.input_audio": (
        said({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}), {},
    ),
    "messages.content.file": (
        said({"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ=="}}), {},
    ),
    "messages.prompt_cache_breakpoint": (
        said({"type": "text", "text": "!", "prompt_cache_breakpoint": {"ttl": "30m"}}),
        said({"type": "text", "text": "!"}),
    ),
    "stream_options.include_obfuscation": (
        {"stream": True, "stream_options": {"include_obfuscation": True}}, {"stream": True},
    ),
}  # fmt: skip
OURS: Final = frozenset({"model", "stream", "stream_options"})
"""Fields of the request's way through the gateway: every call says them in its own words."""

SAYS_NOTHING: Final = "reasoning_effort none"
"""Is honoured by saying nothing, where the model does not think unless it is asked to."""

_HINTS: Final = frozenset({
    "logit_bias", "messages.content.image_url.detail", "messages.name",
    "messages.prompt_cache_breakpoint", "metadata", "moderation", "prediction", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream_options.include_obfuscation", "top_logprobs alone", "verbosity",
})  # fmt: skip
_ABOVE: Final = frozenset({"temperature above 1", "temperature above 1, thinking"})
_UNSTEERED: Final = frozenset({"frequency_penalty", "presence_penalty", "seed"})
_STRICT: Final = frozenset({"response_format.json_schema.strict", "tools.function.strict"})
_DESCRIBED: Final = frozenset({"response_format.json_schema.description"})
_ONE_CALL: Final = frozenset({"parallel_tool_calls", "user"})

_NEVER: Final = frozenset({"audio", "function_call", "functions", "web_search_options"})
_TEXT: Final = frozenset({
    *_NEVER, "logprobs", "messages.content.input_audio", "modalities", "n", "top_logprobs",
})  # fmt: skip
_BLANK: Final = frozenset({"stop at white space"})

WHERE: Final[Mapping[str, tuple[str, str, frozenset[str], frozenset[str]]]] = {
    # a dialect, a model, what is dropped and named, what is refused
    "claude": (
        "anthropic", "claude-sonnet-4-5", _HINTS | _UNSTEERED | _ABOVE | _DESCRIBED, _TEXT | _BLANK,
    ),
    "claude on vertex": (
        "anthropic-vertex", "claude-sonnet-4-5",
        _HINTS | _UNSTEERED | _ABOVE | _DESCRIBED, _TEXT | _BLANK,
    ),
    "claude by invoke": (
        "bedrock-invoke", "anthropic.claude-sonnet-4-5-v1:0",
        _HINTS | _UNSTEERED | _ABOVE | _DESCRIBED, _TEXT | _BLANK,
    ),
    "an old claude": (
        "anthropic", "claude-3-5-haiku-20241022",
        (_HINTS | _UNSTEERED | _ABOVE | _DESCRIBED | _STRICT), _TEXT | _BLANK,
    ),
    "claude on bedrock": (
        "bedrock", "anthropic.claude-sonnet-4-5-v1:0",
        _HINTS | _UNSTEERED | _ABOVE | {"user", "tools.function.strict"}, _TEXT,
    ),
    "llama on bedrock": (
        "bedrock", "meta.llama3-3-70b-instruct-v1:0",
        _HINTS | _UNSTEERED | _ABOVE | _DESCRIBED | _STRICT | _ONE_CALL | {"reasoning_effort"},
        _TEXT,
    ),
    "gemini": (
        "gemini", "gemini-2.5-flash",
        _HINTS | _DESCRIBED | _ONE_CALL | {"tools.function.strict"}, _NEVER | {"modalities"},
    ),
    "gemini pro": (
        "gemini", "gemini-3.1-pro-preview",
        _HINTS | _DESCRIBED | _ONE_CALL | {"tools.function.strict", SAYS_NOTHING},
        _NEVER | {"modalities"},
    ),
    "ollama": (
        "ollama", "llama3", _HINTS | _DESCRIBED | _ONE_CALL | {"tools.function.strict"},
        (_TEXT | {"messages.content.file", "tool_choice"}) - {"logprobs", "top_logprobs"},
    ),
    "openai": ("openai", "gpt-5", frozenset(), frozenset()),
}  # fmt: skip

CASES: Final = [(where, field) for where in WHERE for field in ASKS]


def asked(fields: JSON) -> ChatRequest:
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return read_request(json.dumps(whole).encode(), {}, 64)


def sent(where: str, fields: JSON) -> tuple[Any, tuple[str, ...]]:
    """The call's path, headers and body, and what it names as dropped."""
    name, upstream, _, _ = WHERE[where]
    request = asked(fields)
    call = DIALECTS[name].encode(request, Target(upstream, 10_000), stream=request.stream)
    return (call.path, dict(call.headers), json.loads(call.body)), call.dropped


def outcome(where: str, field: str) -> str:
    """`refused`, `dropped`, `honoured`, or `lost`."""
    fields, otherwise = ASKS[field]
    top = field.partition(".")[0].split()[0]
    try:
        call, dropped = sent(where, fields)
    except InvalidRequest as refused:
        named = (refused.param or "").replace("[", ".").partition(".")[0]
        return "refused" if named in fields else f"refused as {named}"
    if any(name.partition(".")[0] == top for name in dropped):
        return "dropped"
    plain, _ = sent(where, otherwise)
    return "lost" if call == plain and field != SAYS_NOTHING else "honoured"


@pytest.mark.parametrize(("where", "field"), CASES)
def test_no_field_is_lost_without_a_word(where: str, field: str) -> None:
    _, _, dropped, refused = WHERE[where]
    told = "dropped" if field in dropped else "refused" if field in refused else "honoured"
    assert outcome(where, field) == told


def test_these_are_all_the_fields_there_are() -> None:
    path = need_shared("openapi") / "chat-subset.schema.json"
    schemas = json.loads(path.read_text("utf-8"))["components"]["schemas"]

    def fields(name: str) -> set[str]:
        parts = [schemas[name], *schemas[name].get("allOf", ())]
        own = {field for part in parts for field in part.get("properties", ())}
        parents = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
        return own.union(*map(fields, parents))

    assert fields("CreateChatCompletionRequest") <= ASKS.keys() | OURS


def test_the_tables_name_what_there_is() -> None:
    for _, _, dropped, refused in WHERE.values():
        assert dropped | refused <= ASKS.keys()
