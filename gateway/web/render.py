"""What the client gets: OpenAI's JSON, written from values. Pure; streams are in render_stream.

An answer that came as strictly valid OpenAI JSON is relayed with its model and usage replaced.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.core.chat import Choice, Completion, ToolCall, Usage
from gateway.core.errors import GatewayError, Rejected, Unsuitable
from gateway.core.redaction import without_keys

OURS: Final = frozenset(
    {"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls"}
)
"""Fields of a message, or of a delta, that nobody else may write."""
_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def completion_body(
    completion: Completion,
    model: str,
    extension: bytes,
    *,
    usage: Usage,
    request_id: str,
    created: int,
) -> bytes:
    """A `chat.completion` object by `model`, the catalog's name for it.

    `usage` is the answer's own, counted by us where the provider was silent, and `extension` the
    JSON of its `gateway` field (b"" for none). `request_id` and `created` (Unix seconds) stand in
    for what the provider left out.
    """
    if completion.raw is not UNSET:
        return relayed_body(completion, completion.raw, model, extension, usage)
    return _encode(
        {
            **completion.extra,
            "id": completion.id or f"chatcmpl-{request_id}",
            "object": "chat.completion",
            "created": completion.created or created,
            "model": model,
            "choices": [_choice(choice) for choice in completion.choices],
            "usage": Raw(usage_json(usage, extension)),
        }
    )


def relayed_body(
    completion: Completion, raw: Raw, model: str, extension: bytes, usage: Usage
) -> bytes:
    """The same of the completion's own `raw`, each name in it told once, with the provider's own
    usage object, details and all, where what it meant is `usage`.
    """
    relayed: dict[str, Any] = _split(raw)
    if completion.mends:
        _mend(relayed, completion)
    reported, meant = relayed.get("usage"), completion.usage
    relayed["model"] = model
    if reported is None or (usage is not meant and usage != meant):
        relayed["usage"] = Raw(usage_json(usage, extension))
    elif extension:
        relayed["usage"] = Raw(b'%b,"gateway":%b}' % (bytes(reported)[:-1], extension))
    return _encode(relayed)


def _mend(relayed: dict[str, Any], completion: Completion) -> None:
    if "usage" in completion.mends:
        relayed.pop("usage", None)
    if "choices" in completion.mends:
        try:
            choices = msgspec.json.decode(relayed["choices"])
        except (ValueError, RecursionError):  # a field that nobody knows, and cannot be read
            choices = [_choice(choice) for choice in completion.choices]
        for choice in choices:
            choice.setdefault("logprobs", None)
            choice["message"].setdefault("refusal", None)
        relayed["choices"] = choices


def usage_json(usage: Usage, extension: bytes = b"") -> bytes:
    """A usage object, with the gateway's own field in it. Searches have OpenRouter's name."""
    more = b',"gateway":' + extension if extension else b""
    if usage.searches:
        more = b',"server_tool_use":{"web_search_requests":%d}%b' % (usage.searches, more)
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},'
        b'"completion_tokens_details":{"reasoning_tokens":%d}%b}'
    ) % (
        usage.prompt,
        usage.completion,
        usage.prompt + usage.completion,
        usage.cached,
        usage.cache_write,
        usage.reasoning,
        more,
    )


def error_body(error: GatewayError) -> bytes:
    """An OpenAI error object. A fault of the client's own keeps the provider's code for it."""
    code = error.code
    if isinstance(error, Rejected | Unsuitable):
        code = error.upstream_code or code
    fields = {"message": str(error), "type": error.type, "param": error.param, "code": code}
    # What a client or a provider has sent may be quoted in any of them.
    return _encode({"error": {name: text and without_keys(text) for name, text in fields.items()}})


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        **choice.beside,
        "index": choice.index,
        "message": _message(choice),
        "logprobs": choice.logprobs or None,
        "finish_reason": choice.finish,
    }


def _message(choice: Choice) -> Mapping[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text,
        "refusal": choice.refusal,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [_call(call) for call in choice.tool_calls]
    if choice.extra:
        message |= {name: raw for name, raw in choice.extra.items() if name not in OURS}
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {**call.extra, "id": call.id, "type": "function", "function": function}
