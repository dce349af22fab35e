"""A chat request to a generateContent body."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.gemini.config import config, form, thinking
from gateway.wire.gemini.contents import Conversation
from gateway.wire.gemini.generation import generation
from gateway.wire.gemini.tools import Tools
from gateway.wire.unsupported import asks, dropped

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

_CONTENT_TYPE: Final = {"content-type": "application/json"}


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key: never the query, which is logged on the way."""
    return {"x-goog-api-key": api_key}


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """Raises InvalidRequest for what the API cannot say, naming the field."""
    given = _decoded(request)
    for name in REFUSED:
        if asks(name, given.get(name)):
            raise InvalidRequest(f"{name}: Google's models cannot do this", param=name)
    accepts = generation(target.upstream)
    talk = Conversation(given.get("messages"), signs=accepts.signs)
    tools = Tools(given.get("tools"))
    asked = tools.body(given.get("tool_choice"))
    settings = config(request, target, given)
    settings |= thinking(given.get("reasoning_effort"), accepts, settings["maxOutputTokens"])
    told, instruction = form(
        given.get("response_format"), constrains=accepts.schema_beside_tools or "tools" not in asked
    )
    system = talk.system + ([{"text": instruction}] if instruction else [])
    body: JSON = {"systemInstruction": {"parts": system}} if system else {}
    body["contents"] = [{"role": turn.role, "parts": turn.parts} for turn in talk.turns]
    body |= asked
    body["generationConfig"] = settings | told
    for name in ("generationConfig", "toolConfig"):
        if isinstance(given.get(name), Mapping):
            body[name] = {**body.get(name, {}), **given[name]}
    body |= {name: given[name] for name in PASSED if given.get(name) is not None}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    path = f"/models/{target.upstream}:{verb}"
    missed = dropped(given, _said(given, body["generationConfig"]))
    return HttpCall(path, _CONTENT_TYPE, msgspec.json.encode(body), missed)


def _said(given: JSON, settings: JSON) -> set[str]:
    """The request's fields that this call honours, or has no need to."""
    said = set(_SAID)
    if "thinkingConfig" in settings or given.get("reasoning_effort") == "none":
        said.add("reasoning_effort")
    if "logprobs" in settings:
        said.add("top_logprobs")
    return said


def _decoded(request: ChatRequest) -> JSON:
    found: JSON = {}
    for name in request.fields:
        try:
            found[name] = request.json(name)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidRequest(f"{name} cannot be read as JSON", param=name) from None
    return found
