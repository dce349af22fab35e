"""Parses decoded JSON of compatible hosts that omit, add or redefine fields.

Each deviation named here was seen in recorded traffic or reported in public.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from gateway.core.beside import NOT_BESIDE
from gateway.core.chat import ChoiceDelta
from gateway.core.errors import Broken, Overloaded
from gateway.wire.openai import strict

_FINISHES: Final[Mapping[str, str]] = {
    **{name: name for name in ("stop", "length", "tool_calls", "content_filter", "function_call")},
    **dict.fromkeys(("max_tokens", "model_length", "max_output_tokens", "token_limit"), "length"),
    "model_context_window_exceeded": "length",
    "repetition": "length",  # vLLM has cut it off, since it went round in circles
    **dict.fromkeys(("tool_use", "tool_call"), "tool_calls"),
    **dict.fromkeys(
        ("safety", "refusal", "recitation", "sensitive", "blocklist", "prohibited_content"),
        "content_filter",
    ),
}
_FAILURES: Final = frozenset({
    "error", "network_error", "abort", "failed", "function_call_filter",
})  # fmt: skip
"""The last is a malformed call, from Gemini's OpenAI-compatible endpoint."""
_OVERLOADED: Final = "insufficient_system_resource"
_NOT_YET: Final = ("", "null")
"""Alibaba's own API writes null as a word, and proxies of it pass it on."""

_KNOWN_FIELDS: Final = frozenset(
    {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning"}
)
_NO_EXTRA: Final[Mapping[str, Raw]] = {}
_ANSWER_FIELDS: Final = frozenset({
    "choices", "created", "error", "id", "metadata", "model", "moderation", "obfuscation", "object",
    "service_tier", "system_fingerprint", "usage",
})  # fmt: skip
"""Fields of OpenAI's answers and chunks: parsed, or not to be passed on."""
_WHOLE: Final[Mapping[str, Any]] = {
    "function_call": strict.LegacyCall,
    "audio": strict.Audio,
}
_PIECES: Final[Mapping[str, Any]] = {
    "function_call": strict.FunctionPiece,
    "audio": strict.AudioPiece,
}


def whole_number(value: Any) -> Any:
    """10 for 10.0, which some hosts send."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def index(value: Any, otherwise: int) -> int:
    """The index of a choice or a call; `otherwise` if it is not a number. Raises Broken if it is
    out of range: a client may allocate a list that long.
    """
    value = whole_number(value)
    if type(value) is not int:
        return otherwise
    if not 0 <= value <= strict.MAX_INDEX:
        raise Broken("the provider's answer has an absurd index")
    return value


def seconds(value: Any) -> int:
    """`created`: Unix seconds, 0 for anything else."""
    value = whole_number(value)
    return value if type(value) is int and 0 <= value <= strict.MAX_SECONDS else 0


def string(value: Any) -> str:
    """A string; "" for anything else."""
    return value if isinstance(value, str) else ""


def finish(value: Any) -> str | None:
    """A finish reason as one of OpenAI's five; None if there is none yet.

    Raises UpstreamError for a reason that means a failure of the provider.
    """
    reason = string(value).lower().partition(":")[0]  # Google: "content_filter: RECITATION"
    if reason in _NOT_YET:
        return None
    if reason in _FAILURES:
        raise Broken(f"the provider ended its answer with finish_reason {reason}")
    if reason == _OVERLOADED:
        raise Overloaded("the provider ran out of resources while answering")
    return _FINISHES.get(reason, "stop")


def infer_finish(*, called: bool, legacy: bool) -> str:
    """The finish reason for a whole answer that has none."""
    if called:
        return "tool_calls"
    return "function_call" if legacy else "stop"


def content(value: Any) -> tuple[str | None, str]:
    """A message's (text, thoughts), from a string, a list of parts, or an object.

    Mistral and Databricks send parts; Cloudflare sends an object if JSON was requested.
    """
    if value is None or isinstance(value, str):
        return value, ""
    if not isinstance(value, list):
        return as_text(value), ""
    text: list[str] = []
    thoughts: list[str] = []
    for part in value:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping):
            kind = part.get("type")
            if kind in ("thinking", "reasoning"):
                thoughts.append(_joined(part.get("thinking") or part.get("summary")))
            else:
                text.append(string(part.get("text")))
    return "".join(text), "".join(thoughts)


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(string(part.get("text")) for part in value if isinstance(part, Mapping))
    return string(value)


def reasoning(message: Mapping[str, Any]) -> str:
    """`reasoning_content` (DeepSeek, ...) or `reasoning`."""
    return string(message.get("reasoning_content")) or string(message.get("reasoning"))


def as_text(value: Any) -> str:
    """A value as JSON text; a string is assumed to be JSON already."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def calls(value: Any) -> list[Mapping[str, Any]]:
    """The tool calls of a message or a delta. TGI streams one that is in no list."""
    entries = value if isinstance(value, list) else [value]
    return [call for call in entries if isinstance(call, Mapping)]


def parse_call(call: Mapping[str, Any]) -> tuple[str, str, str]:
    """A tool call's (id, name, arguments), "" for what is absent."""
    function = call.get("function") or call.get("custom") or call
    if not isinstance(function, Mapping):
        function = call
    arguments = function.get("arguments", function.get("input"))
    return string(call.get("id")), string(function.get("name")), as_text(arguments)


def call_id(answer: str, place: tuple[int, int], name: str, arguments: str) -> str:
    """A deterministic id for a call that came without one, at most 40 characters.

    `answer` is the answer's id or ""; `place` is (choice, call).
    """
    seed = f"{answer}/{place}/{name}/{arguments}".encode()
    return f"call_{hashlib.blake2b(seed, digest_size=12).hexdigest()}"


def logprobs(value: Any) -> Raw | None:
    """Strictly valid logprobs with both `content` and `refusal`, or None. Together has two lists
    instead.
    """
    if not isinstance(value, Mapping):
        return None
    content, names, numbers = map(value.get, ("content", "tokens", "token_logprobs"))
    if content is None and isinstance(names, list) and isinstance(numbers, list):
        pairs = zip(names, numbers, strict=False)
        content = [{"token": name, "logprob": number} for name, number in pairs]
    complete = {"content": _tokens(content), "refusal": _tokens(value.get("refusal"))}
    return to_strict_json(complete, strict.Logprobs)


def _tokens(value: Any) -> Any:
    """Tokens with all of OpenAI's fields: TGI's have no `bytes`."""
    if not isinstance(value, list):
        return value
    return [
        {"bytes": None, **token, "top_logprobs": _tokens(token.get("top_logprobs")) or []}
        if isinstance(token, Mapping)
        else token
        for token in value
    ]


def to_strict_json(value: Any, shape: Any) -> Raw | None:
    """The value as raw JSON if it fits the strict shape, else None."""
    try:
        return Raw(msgspec.json.encode(msgspec.convert(value, shape)))
    except msgspec.ValidationError:
        return None


def message_extra(message: Mapping[str, Any], *, whole: bool) -> dict[str, Raw]:
    """Other fields of a message or a delta that are passed on to the client."""
    known = _WHOLE if whole else _PIECES
    fields: dict[str, Raw] = {}
    for name, value in message.items():
        if name in _KNOWN_FIELDS or value is None or value == []:
            continue
        if name == "function_call" and isinstance(value, Mapping):
            value = _legacy_call(value)  # noqa: PLW2901
            if not any(value.values()):
                continue  # Snowflake sends an empty one with every answer
        if name == "annotations":
            value = _annotations(value)  # noqa: PLW2901
            if not value:
                continue
        shape = known.get(name)
        raw = Raw(msgspec.json.encode(value)) if shape is None else to_strict_json(value, shape)
        if raw is not None:
            fields[name] = raw
    return fields


def _annotations(value: Any) -> list[Any]:
    """Those that are OpenAI's, whole: OpenRouter puts what it read of files beside them."""
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if to_strict_json(entry, strict.Annotation)]


def choice_extra(choice: Mapping[str, Any]) -> Mapping[str, Raw]:
    """Fields of a choice beyond OpenAI's: stop_reason, content_filter_results, ..."""
    if choice.keys() <= NOT_BESIDE:  # nearly always
        return _NO_EXTRA
    return {
        name: Raw(msgspec.json.encode(value))
        for name, value in choice.items()
        if name not in NOT_BESIDE and value not in (None, [], {})
    }


def answer_extra(answer: Mapping[str, Any]) -> dict[str, Raw]:
    """Fields of an answer or a chunk beyond OpenAI's: search_results, ..."""
    if answer.keys() <= _ANSWER_FIELDS:  # nearly always
        return {}
    return {
        name: Raw(msgspec.json.encode(value))
        for name, value in answer.items()
        if name not in _ANSWER_FIELDS and value is not None and value != []
    }


def with_extra(
    pieces: tuple[ChoiceDelta, ...], chunk: strict.Chunk, data: bytes
) -> tuple[tuple[ChoiceDelta, ...], dict[str, Raw]]:
    """The same for a strict chunk that is not relayed: its pieces with their choices' fields, and
    the chunk's own, with its `moderation`.
    """
    try:
        decoded = msgspec.json.decode(data)
    except (ValueError, RecursionError):  # an unknown field that cannot be parsed
        extra: dict[str, Raw] = {}
    else:
        extra = answer_extra(decoded)
        found = {choice["index"]: choice_extra(choice) for choice in decoded["choices"]}
        pieces = tuple(
            structs.replace(piece, beside=found[piece.index]) if found[piece.index] else piece
            for piece in pieces
        )
    if chunk.moderation is not None:
        extra["moderation"] = Raw(msgspec.json.encode(chunk.moderation))
    return pieces, extra


def _legacy_call(value: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"name": value.get("name"), "arguments": as_text(value.get("arguments"))}
    return {name: part for name, part in fields.items() if part is not None}
