"""What we send: the client's own JSON, with only what must differ replaced."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import COPY_BELOW, HttpCall, Target
from gateway.wire.openai.messages import MESSAGE_QUIRKS, prepared
from gateway.wire.signed_ids import strip_signatures

_PATH: Final = "/chat/completions"
_JSON: Final = {"content-type": "application/json", "accept": "application/json"}
_SSE: Final = {"content-type": "application/json", "accept": "text/event-stream"}
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
_NULL: Final = Raw(b"null")
_NOTHING: Final = Raw(b"")
_MOST_WAYS: Final = 16
"""To send one shape of a request: deployments, whole and streamed. Emptied when there are more."""
_LIMITS: Final = ("max_completion_tokens", "max_tokens")
"""The names of the output limit; each is also the quirk of a host that knows only that one."""
_NEVER_SENT: Final = ("api_base", "base_url", "api_key", "headers")
"""Other libraries take these from a body; an upstream that is such a library must not."""

_UNPRICED_TIERS: Final = ("priority", "fast", "performance")
"""OpenAI's, by two names and at about twice the price, and Groq's."""

_encode: Final = msgspec.json.Encoder().encode
_decode_options: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def auth(api_key: str) -> Mapping[str, str]:
    """The header that carries the key."""
    return {"authorization": f"Bearer {api_key}"}


class _Around(Struct, frozen=True):
    """A call without its body, and the JSON on both sides of the messages in that."""

    call: HttpCall
    before: bytes
    behind: bytes
    quirky: bool
    """Whether the host takes other messages than the client's."""


def encode(request: ChatRequest, target: Target, *, stream: bool) -> HttpCall:
    """The call for a request; what is not named here, or in messages.py, goes out byte for byte.

    The quirks are those of core/snapshot.QUIRKS. What stands around the messages is kept with the
    request's shape, where it has one: to write it takes three times as long as the rest.
    """
    written = {} if request.shape is None else request.shape.written
    way = (target.upstream, target.max_output, target.quirks, target.api_version, stream)
    around = written.get(way)
    if around is None:
        if len(written) >= _MOST_WAYS:
            written.clear()
        around = written[way] = _build_around(request, target, stream=stream)
    messages, seen = request.fields["messages"], request.seen
    if seen is None or not seen.plain or around.quirky:
        messages = prepared(messages, target.quirks)
    elif seen.calls:
        messages = strip_signatures(messages)
    parts = (around.before, messages, around.behind)
    content = b"".join(parts) if len(messages) < COPY_BELOW else parts
    return structs.replace(around.call, content=content)


def _build_around(request: ChatRequest, target: Target, *, stream: bool) -> _Around:
    """Reads nothing but the shape's fields (and `max_tokens`, which is read of them), and that of
    the target by which `encode` keeps it.
    """
    fields: dict[str, Any] = dict(request.fields)
    fields["model"] = target.upstream
    if stream:
        fields["stream"] = True
        if "no_stream_usage" in target.quirks:
            fields.pop("stream_options", None)
        else:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
    else:
        fields.pop("stream", None)
        fields.pop("stream_options", None)
    _limit_output(fields, request, target)
    if "random_seed" in target.quirks and "seed" in fields:
        fields["random_seed"] = fields.pop("seed")
    for name in _NEVER_SENT:
        fields.pop(name, None)
    dropped = ("service_tier",) if "service_tier" in fields and _drop_unpriced_tier(fields) else ()
    path = _PATH if target.api_version is None else _azure_path(target.upstream, target.api_version)
    call = HttpCall(path, _SSE if stream else _JSON, b"", dropped)
    return _Around(call, *_split_at_messages(fields), not MESSAGE_QUIRKS.isdisjoint(target.quirks))


def _split_at_messages(fields: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The JSON of fields up to the value of `messages`, and from its end on."""
    at = [*fields].index("messages")
    before = dict(islice(fields.items(), at))
    behind = dict(islice(fields.items(), at + 1, None))
    first = _encode({**before, "messages": _NOTHING})[:-1]
    return first, b",%b" % _encode(behind)[1:] if behind else b"}"


def _drop_unpriced_tier(fields: dict[str, Any]) -> bool:
    """Whether a tier of service is taken out that has a price which is not known here: such a call
    would cost more than is held and charged for it.
    """
    if msgspec.json.decode(fields["service_tier"]) not in _UNPRICED_TIERS:
        return False
    del fields["service_tier"]
    return True


def _limit_output(fields: dict[str, Any], request: ChatRequest, target: Target) -> None:
    """One binding limit: the client's own, by its own name unless the host knows only one."""
    quirks = target.quirks
    name = _LIMITS[0]
    if request.max_tokens is not None and bytes(fields.get(name, _NULL)) == b"null":
        name = _LIMITS[1]  # which the client gave, then
    for each in _LIMITS:
        fields.pop(each, None)
        if each in quirks:
            name = each
    fields[name] = target.max_output if request.max_tokens is None else request.max_tokens


def _azure_path(deployment: str, version: str) -> str:
    encoded = quote(deployment, safe="")
    return f"/deployments/{encoded}{_PATH}?api-version={quote(version, safe='')}"


def _with_usage(options: Raw | None) -> Any:
    """The client's stream options, asking for usage: we always need it."""
    if options is None:
        return _WITH_USAGE
    try:
        return {**_decode_options(options), "include_usage": True}
    except msgspec.ValidationError as error:
        if bytes(options).strip() == b"null":
            return _WITH_USAGE
        raise InvalidRequest("stream_options must be an object", param="stream_options") from error
