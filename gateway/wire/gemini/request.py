"""A chat request to a generateContent body."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import asked
from gateway.wire.buckets import ALLOWED, refuse_buckets
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.gemini.config import config, form, thinking
from gateway.wire.gemini.contents import Conversation
from gateway.wire.gemini.generation import generation
from gateway.wire.gemini.tools import Tools
from gateway.wire.unsupported import dropped

JSON = dict[str, Any]

PASSED: Final = ("cachedContent", "labels", "modelArmorConfig", "safetySettings")
"""Fields of the API that a client may send beside OpenAI's: they go on untouched.

`generationConfig` and `toolConfig` are taken too, field by field over what we derive, and so is
`top_k`. Tools of the API stand among the tools: {"googleSearch": {}}.
"""

REFUSED: Final = ("audio", "functions", "function_call", "web_search_options")
"""What would give another answer than was asked for. `modalities` is refused beyond text and
images, a tool that is no function unless it is the API's own.
"""

_SAID: Final = frozenset({
    *PASSED, *REFUSED, "frequency_penalty", "generationConfig", "logprobs", "modalities", "n",
    "presence_penalty", "response_format", "seed", "stop", "temperature", "toolConfig",
    "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
"""Fields that every call honours. What is in none of these lists has no counterpart: OpenAI's
hints on likelihoods, storage, caching, priority and the number of calls made at once, the user's
name, and fields that nobody knows, which the API refuses.
"""

_PAID: Final[Mapping[str, str]] = {"candidateCount": "n", "maxOutputTokens": "max_tokens"}
"""Fields of generationConfig that money was set aside for by other names."""
_ROUTES: Final = ("modelSelectionConfig", "routingConfig")
"""Fields of generationConfig by which another model answers, at a price of its own (Vertex AI)."""
_WORD: Final = re.compile(r"_([a-z0-9])")
_THOUGHTLESS: Final[Mapping[str, Any]] = {"thinkingBudget": 0}
_PIECEWISE: Final = "streamFunctionCallArguments"
_CONTENT_TYPE: Final = {"content-type": "application/json"}


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key: never the query, which is logged on the way."""
    return {"x-goog-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = asked.fields(request)
    asked.refuse(given, REFUSED, "Google's models")
    if ALLOWED not in target.quirks:
        refuse_buckets(given.get("messages"))
    accepts = generation(target.upstream)
    talk = Conversation(given.get("messages"), signs=accepts.signs)
    tools = Tools(given.get("tools"))
    offered = tools.body(given.get("tool_choice"))
    settings = config(request, target, given)
    settings |= thinking(given.get("reasoning_effort"), accepts, settings["maxOutputTokens"])
    told, instruction = form(
        asked.form(given.get("response_format")),
        constrains=accepts.schema_beside_tools or "tools" not in offered,
    )
    system = talk.system + ([{"text": instruction}] if instruction else [])
    body: JSON = {"systemInstruction": {"parts": system}} if system else {}
    body["contents"] = [{"role": turn.role, "parts": turn.parts} for turn in talk.turns]
    body |= offered
    body["generationConfig"] = settings | told
    for name in ("generationConfig", "toolConfig"):
        body[name] = _laid_over(body.get(name, {}), given.get(name), name)
        if not body[name]:
            del body[name]
    body |= {name: given[name] for name in PASSED if given.get(name) is not None}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    path = f"/models/{target.upstream}:{verb}"
    missed = dropped(given, _said(given, body["generationConfig"])) + _in_pieces(body)
    return HttpCall(path, _CONTENT_TYPE, msgspec.json.encode(body), missed)


def _in_pieces(body: JSON) -> tuple[str, ...]:
    """Takes out that arguments of calls be streamed, as paths and values: OpenAI's are pieces of
    JSON, which those do not make. Gives the field's name.
    """
    calling = body.get("toolConfig", {}).get("functionCallingConfig")
    if not isinstance(calling, Mapping) or not _camel(calling).get(_PIECEWISE):
        return ()
    kept = {name: value for name, value in _camel(calling).items() if name != _PIECEWISE}
    body["toolConfig"] = body["toolConfig"] | {"functionCallingConfig": kept}
    return (f"toolConfig.functionCallingConfig.{_PIECEWISE}",)


def _said(given: JSON, settings: JSON) -> set[str]:
    """The request's fields that this call honours, or has no need to."""
    said = set(_SAID)
    thoughtless = settings.get("thinkingConfig", _THOUGHTLESS) == _THOUGHTLESS
    if thoughtless is (given.get("reasoning_effort") == "none"):
        said.add("reasoning_effort")
    if "responseJsonSchema" in settings:
        said.add("response_format.json_schema.strict")
    if "logprobs" in settings:
        said.add("top_logprobs")
    return said


def _laid_over(ours: JSON, given: Any, name: str) -> JSON:
    """What we derive, with the client's own words over it, but for what is paid for."""
    if given is None:
        return ours
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{name} must be an object", param=name)
    told = _camel(given)
    for field, plain in _PAID.items():
        if field in told and told[field] != ours.get(field):
            raise InvalidRequest(f"{name}.{field}: say {plain} instead", param=f"{name}.{field}")
    for field in _ROUTES:
        if told.get(field) is not None:
            where = f"{name}.{field}"
            raise InvalidRequest(f"{where}: this gateway chooses the model", param=where)
    return {**ours, **told}


def _camel(given: Mapping[str, Any]) -> JSON:
    """By the names of fields that we know them by: the API takes candidate_count as well."""
    return {_WORD.sub(lambda word: word[1].upper(), name): each for name, each in given.items()}
