"""What imitators of the format leave out, add, or mean otherwise: read from decoded JSON.

Each departure named here was seen in recorded traffic or reported in public.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from gateway.core.chat import Usage
from gateway.core.errors import Broken, Overloaded
from gateway.wire.counts import sane
from gateway.wire.openai import strict

_FINISHES: Final[Mapping[str, str]] = {
    **{name: name for name in ("stop", "length", "tool_calls", "content_filter", "function_call")},
    **dict.fromkeys(("max_tokens", "model_length", "max_output_tokens", "token_limit"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("tool_use", "tool_call"), "tool_calls"),
    **dict.fromkeys(
        ("safety", "refusal", "recitation", "sensitive", "blocklist", "prohibited_content"),
        "content_filter",
    ),
}
_FAILURES: Final = frozenset({
    "error", "network_error", "abort", "failed", "function_call_filter",
})  # fmt: skip
"""The last is a call that Gemini could not write, at its OpenAI door."""
_OVERLOADED: Final = "insufficient_system_resource"

_SPOKEN: Final = frozenset(
    {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning"}
)
_TYPED: Final = frozenset({
    "choices", "created", "error", "id", "metadata", "model", "moderation", "obfuscation", "object",
    "service_tier", "system_fingerprint", "usage",
})  # fmt: skip
"""Fields of OpenAI's own answers and chunks: understood, or not to be given on as they are."""
_WHOLE: Final[Mapping[str, Any]] = {
    "function_call": strict.LegacyCall,
    "annotations": list[strict.Annotation],
    "audio": strict.Audio,
}
_PIECES: Final[Mapping[str, Any]] = {
    "function_call": strict.FunctionPiece,
    "annotations": list[strict.Annotation],
    "audio": strict.AudioPiece,
}


def tokens(value: Any) -> int | None:
    """A count of tokens, or None for what cannot be one."""
    value = _whole(value)
    return value if sane(value) else None


def _whole(value: Any) -> Any:
    """10 for 10.0, which some write."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def usage(value: Any) -> Usage | None:
    """A usage object. Counts that make no sense are treated as if the provider had said nothing.

    Tokens in the total beyond prompt and completion are thoughts that were not counted in the
    completion (xAI in 126 of 126 recordings, Gemini's OpenAI door), and are billed.
    """
    if not isinstance(value, Mapping):
        return None
    prompt = tokens(value.get("prompt_tokens"))
    completion = tokens(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    total = tokens(value.get("total_tokens")) or 0
    read = _details(value.get("prompt_tokens_details"))
    cached = tokens(read.get("cached_tokens"))
    if cached is None:
        cached = tokens(value.get("cached_tokens"))  # Kimi's
    thought = _details(value.get("completion_tokens_details"))
    found = counted(
        prompt,
        completion,
        total,
        cached or 0,
        tokens(read.get("cache_write_tokens")) or 0,
        tokens(thought.get("reasoning_tokens")) or 0,
    )
    heard, said = tokens(read.get("audio_tokens")) or 0, tokens(thought.get("audio_tokens")) or 0
    return with_audio(found, heard, said) if heard or said else found


def usage_of(answer: Any) -> Usage | None:
    """What an answer, or a chunk, tells of its usage. Kimi's streams tell it in the last choice."""
    if not isinstance(answer, Mapping):
        return None
    choices = answer.get("choices")
    places = [answer, *(choices if isinstance(choices, list) else ())]
    told = (usage(each.get("usage")) for each in places if isinstance(each, Mapping))
    return next((each for each in told if each is not None), None)


def with_audio(usage: Usage, heard: int, said: int) -> Usage:
    """So many tokens of it are audio, of the prompt and of the answer."""
    heard, said = min(heard, usage.prompt), min(said, usage.completion)
    return structs.replace(usage, audio_prompt=heard, audio_completion=said)


def counted(
    prompt: int, completion: int, total: int, cached: int, cache_write: int, reasoning: int
) -> Usage:
    """A usage from counts of tokens, each detail made a part of its total."""
    apart = total - prompt - completion
    if apart > 0:
        completion += apart
        reasoning = max(reasoning, apart)
    if cached + cache_write > prompt:
        cached = min(cached, prompt)
        cache_write = min(cache_write, prompt - cached)
    return Usage(prompt, completion, cached, cache_write, min(reasoning, completion))


def _details(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def index(value: Any, otherwise: int) -> int:
    """The index of a choice, or of a call, that came as a number. Raises Broken for an absurd one:
    a client may make a list so long.
    """
    value = _whole(value)
    if type(value) is not int:
        return otherwise
    if not 0 <= value <= strict.LAST:
        raise Broken("the provider's answer has an absurd index")
    return value


def seconds(value: Any) -> int:
    """`created`: Unix seconds, 0 for anything else."""
    value = _whole(value)
    return value if type(value) is int and 0 <= value <= strict.LATEST else 0


def string(value: Any) -> str:
    """A string; "" for anything else."""
    return value if isinstance(value, str) else ""


def finish(value: Any) -> str | None:
    """A finish reason as one of OpenAI's five; None when there is none yet.

    Raises UpstreamError for a reason that means that the provider failed.
    """
    reason = string(value).lower().partition(":")[0]  # Google's door: content_filter: RECITATION
    if not reason:
        return None
    if reason in _FAILURES:
        raise Broken(f"the provider ended its answer with finish_reason {reason}")
    if reason == _OVERLOADED:
        raise Overloaded("the provider ran out of resources while answering")
    return _FINISHES.get(reason, "stop")


def inferred(*, called: bool, legacy: bool) -> str:
    """The finish reason of a whole answer that gives none."""
    if called:
        return "tool_calls"
    return "function_call" if legacy else "stop"


def content(value: Any) -> tuple[str | None, str]:
    """A message's (text, thoughts), from a string, a list of parts, or an object.

    Mistral and Databricks send parts; Cloudflare an object where JSON was asked for.
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
    """Thoughts beside the content: `reasoning_content` (DeepSeek, ...) or `reasoning`."""
    return string(message.get("reasoning_content")) or string(message.get("reasoning"))


def as_text(value: Any) -> str:
    """A value as JSON text; a string is taken to be that already."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def called(call: Mapping[str, Any]) -> tuple[str, str, str]:
    """A tool call's (id, name, arguments), "" for what is absent."""
    function = call.get("function") or call.get("custom") or call
    if not isinstance(function, Mapping):
        function = call
    written = function.get("arguments", function.get("input"))
    return string(call.get("id")), string(function.get("name")), as_text(written)


def call_id(answer: str, place: tuple[int, int], name: str, arguments: str) -> str:
    """An id for a call that came without one: the same for the same call, at most 40 letters.

    `answer` is the answer's own id, which may be absent too; `place` is (choice, call).
    """
    seed = f"{answer}/{place}/{name}/{arguments}".encode()
    return f"call_{hashlib.blake2b(seed, digest_size=12).hexdigest()}"


def logprobs(value: Any) -> Raw | None:
    """Logprobs that may be relayed, with `content` and `refusal` both present."""
    if not isinstance(value, Mapping):
        return None
    return checked(
        {"content": value.get("content"), "refusal": value.get("refusal")}, strict.Logprobs
    )


def checked(value: Any, shape: Any) -> Raw | None:
    """A value as undecoded JSON if it has a strict shape."""
    try:
        return Raw(msgspec.json.encode(msgspec.convert(value, shape)))
    except msgspec.ValidationError:
        return None


def others(message: Mapping[str, Any], *, whole: bool) -> dict[str, Raw]:
    """The other fields of a message, or of a delta, that may be given to a client."""
    known = _WHOLE if whole else _PIECES
    fields: dict[str, Raw] = {}
    for name, value in message.items():
        if name in _SPOKEN or value is None or value == []:
            continue
        if name == "function_call" and isinstance(value, Mapping):
            value = _legacy_call(value)  # noqa: PLW2901
            if not any(value.values()):
                continue  # Snowflake sends an empty one with every answer
        shape = known.get(name)
        raw = Raw(msgspec.json.encode(value)) if shape is None else checked(value, shape)
        if raw is not None:
            fields[name] = raw
    return fields


def beside(answer: Mapping[str, Any]) -> dict[str, Raw]:
    """The fields of an answer, or of a chunk, that OpenAI has not: search_results, ..."""
    if answer.keys() <= _TYPED:  # nearly always
        return {}
    return {
        name: Raw(msgspec.json.encode(value))
        for name, value in answer.items()
        if name not in _TYPED and value is not None and value != []
    }


def beside_strict(chunk: strict.Chunk, data: bytes) -> dict[str, Raw]:
    """The same of a strict chunk that is not relayed, and what moderation found."""
    try:
        told = beside(msgspec.json.decode(data))
    except (ValueError, RecursionError):  # a field that nobody knows, and cannot be read
        told = {}
    if chunk.moderation is not None:
        told["moderation"] = Raw(msgspec.json.encode(chunk.moderation))
    return told


def _legacy_call(value: Mapping[str, Any]) -> dict[str, Any]:
    told = {"name": value.get("name"), "arguments": as_text(value.get("arguments"))}
    return {name: part for name, part in told.items() if part is not None}
