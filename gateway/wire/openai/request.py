"""Encodes a request: the client's own JSON, with only the necessary changes."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import COPY_BELOW, HttpCall, Target
from gateway.wire.openai.messages import MESSAGE_QUIRKS, adapt_messages
from gateway.wire.signed_ids import strip_signatures

_PATH: Final = "/chat/completions"
_JSON: Final = {"content-type": "application/json", "accept": "application/json"}
_SSE: Final = {"content-type": "application/json", "accept": "text/event-stream"}
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
_NULL: Final = Raw(b"null")
_NOTHING: Final = Raw(b"")
_MOST_WAYS: Final = 16
"""Cached encodings per request shape (deployment, streamed or not). Cleared when full."""
_LIMITS: Final = ("max_completion_tokens", "max_tokens")
"""Names of the output limit; each is also the quirk of a host that accepts only that one."""
_MOST_UNSTREAMED: Final = 4096
"""The limit of a host with the quirk `short_unstreamed`."""
_NEVER_SENT: Final = ("api_base", "base_url", "api_key", "headers")
"""Some gateway libraries read these from the body; an upstream that is one must not see them."""
_PRICES: Final = "_cost_per_"
"""In names of what LiteLLM, before it dropped them, took for the price of a call from any client,
and reported its cost by: the client's own figure (BerriAI/litellm#27071).
"""
_OTHER_MODELS: Final = (
    "content_policy_fallbacks", "context_window_fallbacks", "fallbacks", "models", "preset",
    "route",
)  # fmt: skip
"""Names of models that OpenRouter, LiteLLM and others ask instead, at their own price: not sent.
A `preset` of OpenRouter's may have some, and tools and words that are not held for.
"""
_ASKING_OTHERS: Final = (
    "fusion", "openrouter:advisor", "openrouter:fusion", "openrouter:image_generation",
    "openrouter:subagent",
)  # fmt: skip
"""OpenRouter's plugin, and tools that it runs, by which other models answer too."""
_RUN_BY_CLIENTS: Final = ("custom", "function")
_MODEL_NAMES: Final = ("allowed_models", "analysis_models", "model")
"""Where such a tool or plugin, or its `parameters`, say which."""
_UNSET: Final = (b"null", b"[]")

_NOT_DEARER: Final[Mapping[str, Sequence[str | None]]] = {
    "service_tier":
        (None, "auto", "default", "flex", "on_demand", "scale", "standard", "standard_only"),
    "speed": (None, "standard"),
}  # fmt: skip
"""What may be said of a call's speed. OpenAI's tier `priority` is about twice the usual price, its
`ultrafast` six times, and others have others' names; `speed` is Claude's, which LiteLLM sends on.
"""

_encode: Final = msgspec.json.Encoder().encode
_decode_options: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key."""
    return {"authorization": f"Bearer {api_key}"}


class _CallTemplate(Struct, frozen=True):
    """A call without its body, and the body's JSON before and after the messages."""

    call: HttpCall
    before: bytes
    behind: bytes
    quirky: bool
    """Whether the host needs the messages adapted."""
    tools: bool
    """Whether tools are offered."""


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """The call for a request. Fields not handled here or in messages.py are sent byte for byte.

    The quirks are those of core/snapshot.QUIRKS. The JSON around the messages is cached with the
    request's shape, if it has one: encoding it takes three times as long as the rest.
    """
    written = {} if request.shape is None else request.shape.written
    way = (target.upstream, target.max_output, target.quirks, target.api_version, stream)
    template = written.get(way)
    if template is None:
        if len(written) >= _MOST_WAYS:
            written.clear()
        template = written[way] = _build_template(request, target, stream=stream)
    messages, seen = request.fields["messages"], request.seen
    if seen is None or not seen.plain or template.quirky:
        messages = adapt_messages(messages, target.quirks, tools=template.tools)
    elif seen.calls:
        messages = strip_signatures(messages)
    parts = (template.before, messages, template.behind)
    content = b"".join(parts) if len(messages) < COPY_BELOW else parts
    return structs.replace(template.call, content=content)


def _build_template(request: ChatRequest, target: Target, *, stream: bool) -> _CallTemplate:
    """Must depend only on the shape's fields (`max_tokens` is one of them) and on the parts of the
    target that are in the cache key of `encode`.
    """
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = target.upstream
    if request.shape is None or request.shape.grows:
        _refuse_other_models(fields)
    if stream:
        fields["stream"] = True
        if "no_stream_usage" in target.quirks:
            fields.pop("stream_options", None)
        else:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
    else:
        fields.pop("stream", None)
        fields.pop("stream_options", None)
    _limit_output(fields, request, target, stream=stream)
    if "random_seed" in target.quirks and "seed" in fields:
        fields["random_seed"] = fields.pop("seed")
    for name in (*_NEVER_SENT, *(name for name in fields if _PRICES in name)):
        fields.pop(name, None)
    dropped = tuple(n for n in _OTHER_MODELS if bytes(fields.pop(n, _NULL)) not in _UNSET)
    dropped += tuple(name for name in _NOT_DEARER if name in fields and _drop_dearer(fields, name))
    if "extra_body" in fields and not _is_googles(fields["extra_body"]):
        dropped += ("extra_body",)
        del fields["extra_body"]
    path = _PATH if target.api_version is None else _azure_path(target.upstream, target.api_version)
    call = HttpCall(path, _SSE if stream else _JSON, b"", dropped)
    quirky = not MESSAGE_QUIRKS.isdisjoint(target.quirks)
    tools = bytes(fields.get("tools", _NULL)) not in _UNSET
    return _CallTemplate(call, *_split_at_messages(fields), quirky, tools)


def _split_at_messages(fields: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The JSON of the fields before the value of `messages`, and after it."""
    at = [*fields].index("messages")
    before = dict(islice(fields.items(), at))
    behind = dict(islice(fields.items(), at + 1, None))
    first = _encode({**before, "messages": _NOTHING})[:-1]
    return first, b",%b" % _encode(behind)[1:] if behind else b"}"


def _drop_dearer(fields: dict[str, Any], name: str) -> bool:
    """Removes a speed whose price is not known here (the call would cost more than is held and
    charged for it); whether it did.
    """
    if msgspec.json.decode(fields[name]) in _NOT_DEARER[name]:
        return False
    del fields[name]
    return True


def _is_googles(extra_body: Raw) -> bool:
    """Whether it has nothing but Google's own settings, or nothing. LiteLLM lays an `extra_body` of
    the request over its call: another model, or another limit (BerriAI/litellm#31118).
    """
    given: Any = msgspec.json.decode(extra_body)
    return given is None or (isinstance(given, Mapping) and given.keys() <= {"google"})


def _refuse_other_models(fields: Mapping[str, Raw]) -> None:
    """Raises InvalidRequest for a tool or a plugin that has another model answer, too: its price is
    neither held nor charged, and the tenant may not be allowed to use it.
    """
    for name in ("plugins", "tools"):
        try:
            given: Any = msgspec.json.decode(fields.get(name, _NULL))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # the host says what is wrong
        for i, each in enumerate(given if isinstance(given, list) else ()):
            if isinstance(each, Mapping) and _asks_others(each):
                where = f"{name}[{i}]"
                raise InvalidRequest(f"{where}: this gateway chooses the model", param=where)


def _asks_others(given: Mapping[str, Any]) -> bool:
    """Whether a tool or a plugin is one that asks other models."""
    if given.get("type") in _RUN_BY_CLIENTS:
        return False
    if given.get("type") in _ASKING_OTHERS or given.get("id") in _ASKING_OTHERS:
        return True
    places = (given, given.get("parameters"))
    return any(
        each.get(name) is not None
        for each in places
        if isinstance(each, Mapping)
        for name in _MODEL_NAMES
    )


def _limit_output(
    fields: dict[str, Any], request: ChatRequest, target: Target, *, stream: bool
) -> None:
    """Sets exactly one output limit, by the client's name for it unless the host requires one."""
    quirks = target.quirks
    name = _LIMITS[0]
    if request.max_tokens is not None and bytes(fields.get(name, _NULL)) == b"null":
        name = _LIMITS[1]  # then it is the one that the client set
    for each in _LIMITS:
        fields.pop(each, None)
        if each in quirks:
            name = each
    most = target.max_output
    if not stream and "short_unstreamed" in quirks:
        most = min(most, _MOST_UNSTREAMED)
    fields[name] = most if request.max_tokens is None else request.max_tokens


def _azure_path(deployment: str, version: str) -> str:
    encoded = quote(deployment, safe="")
    return f"/deployments/{encoded}{_PATH}?api-version={quote(version, safe='')}"


def _with_usage(options: Raw | None) -> Any:
    """The client's stream options with include_usage, which we always need."""
    if options is None:
        return _WITH_USAGE
    try:
        return {**_decode_options(options), "include_usage": True}
    except msgspec.ValidationError as error:
        if bytes(options).strip() == b"null":
            return _WITH_USAGE
        raise InvalidRequest("stream_options must be an object", param="stream_options") from error
