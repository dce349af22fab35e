"""What we understand of every recorded exchange, beside what the vendor's own SDK understood.

One comparison for all dialects, and the tables that account for whatever it does not cover.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple

from gateway.core.chat import Completion, Delta, Usage
from gateway.core.errors import (
    Misconfigured,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import DIALECTS
from gateway.wire.dialect import Dialect, Target
from tests.explained import EXPLAINED, Explanation
from tests.folding import fold
from tests.recordings import Recording, recordings

JSON = dict[str, Any]

PROVIDERS: Final = (
    "anthropic", "azure", "bedrock", "cerebras", "cloudflare", "crusoe", "databricks", "deepseek",
    "gemini", "groq", "huggingface", "llamacpp", "mistral", "ollama", "openai", "openrouter",
    "snowflake", "together", "vertex", "vllm", "xai", "zai",
)  # fmt: skip
TARGET: Final = Target("m", 100)

_DIALECT: Final[Mapping[str, str]] = {
    "chat": "openai",
    "messages": "anthropic",
    "ollama-chat": "ollama",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "converse": "bedrock",
    "converse-stream": "bedrock",
    "invoke": "bedrock-invoke",
    "invoke-stream": "bedrock-invoke",
}
_ALWAYS_STREAMS: Final = frozenset({"converse-stream", "invoke-stream", "streamGenerateContent"})

UNASKED: Final[Mapping[str, str]] = {
    "bedrock/invoke": "the SDK hands these bodies on unread; see test_bedrock_recordings",
    "gemini/streamGenerateContent": "the SDK reads no JSON arrays; see test_gemini_recordings",
    "ollama/ollama-chat": "the SDK reads the JSON as it is; see test_ollama_recordings",
}
"""Why there is no oracle for a file; each is read in the plainest way by the test that is named."""

FAULTS: Final[Mapping[str, tuple[type[UpstreamError], int]]] = {
    # a file, or how its name begins: the class of its error, and the status a client may see
    "anthropic/messages__400": (Unsuitable, 400),  # *this model* lacks an effort level
    "anthropic/messages__404": (Misconfigured, 502),
    "azure/chat__404": (Misconfigured, 502),
    "bedrock/": (Unsuitable, 400),  # what *this model* does not take
    "bedrock/converse-stream__400": (Misconfigured, 502),  # no such model
    "bedrock/converse__400__pydantic-ai__ef93874e": (Rejected, 400),
    "gemini/generateContent__404": (Misconfigured, 502),
    "gemini/generateContent__429": (Throttled, 502),
    "gemini/streamGenerateContent__400": (Misconfigured, 502),  # a bad key
    "groq/chat__400": (Unsuitable, 400),  # the model called no tool, or a wrong one
    "groq/chat__404": (Misconfigured, 502),
    "openai/chat__400": (Rejected, 400),
    "openai/chat__400__ai-gateway__b507044c": (Unsuitable, 400),  # what *this model* does not take
    "openai/chat__400__crewAI__dd47df84": (Unsuitable, 400),
    "openai/chat__400__openllmetry__72688745": (Unsuitable, 400),  # a URL it could not fetch
    "openai/chat__400__pydantic-ai__536be2e2": (Unsuitable, 400),
    "openai/chat__400__pydantic-ai__56178bb5": (Unsuitable, 400),
    "openai/chat__400__pydantic-ai__87dd920b": (Unsuitable, 400),
    "openai/chat__404": (Misconfigured, 502),
    "openrouter/chat__401": (Misconfigured, 502),
    "openrouter/chat__429": (Throttled, 502),
    # An error object beside a delta, in a stream with status 200.
    "openrouter/chat__200__pydantic-ai__35670edf": (Rejected, 400),
    "vertex/generateContent__400": (Unsuitable, 400),  # a URL that *this host* may not fetch
}


def api(recording: Recording) -> str:
    return recording.file.partition("/")[2].partition("__")[0]


def dialect(recording: Recording) -> Dialect | None:
    """None where there is none yet."""
    return DIALECTS.get(_DIALECT[api(recording)])


def streamed(recording: Recording) -> bool:
    return recording.streamed or (api(recording) in _ALWAYS_STREAMS and recording.status == 200)


def exchanges(provider: str, *apis: str) -> list[Recording]:
    """The recordings of a provider; of these APIs only, if there are any."""
    return [each for each in recordings(provider) if not apis or api(each) in apis]


def compared(recording: Recording) -> bool:
    """Whether an SDK understood it."""
    return recording.oracle is not None and "parsed" in recording.oracle


def failed(recording: Recording) -> bool:
    """Whether it is an error: by its status, or told inside a stream."""
    return recording.status != 200 or "failed" in (recording.oracle or {})


def told(table: Mapping[str, Any], recording: Recording) -> Any:
    """What a table says of a recording: the longest beginning of its name counts."""
    found = [start for start in table if recording.file.startswith(start)]
    return table[max(found, key=len)] if found else None


# What we understand -------------------------------------------------------------------------------


def deltas(recording: Recording, pieces: Iterable[bytes]) -> list[Delta]:
    """A stream, fed in pieces. Raises UpstreamError."""
    speaks = dialect(recording)
    assert speaks is not None
    decoder = speaks.decoder(TARGET)
    found = [delta for piece in pieces for delta in decoder.feed(piece)]
    return found + decoder.finish()


def completion(recording: Recording) -> Completion:
    """An answer that came whole, or none. Raises UpstreamError."""
    speaks = dialect(recording)
    assert speaks is not None
    return speaks.decode(recording.status, recording.headers, recording.body, TARGET)


def understood(recording: Recording) -> JSON:
    """An exchange as the oracle writes it. Raises UpstreamError."""
    if streamed(recording):
        folded, usage = fold(deltas(recording, [recording.body]))
        choices = [
            {
                "content": choice.text,
                "thinking": choice.reasoning,
                "tool_calls": [vars(call) for _, call in sorted(choice.calls.items())],
                "finish": ",".join(choice.finishes),
            }
            for _, choice in sorted(folded.items())
        ]
    else:
        answer = completion(recording)
        usage = answer.usage
        choices = [
            {
                "content": choice.text or "",
                "thinking": choice.reasoning or "",
                "tool_calls": [
                    {"id": call.id, "name": call.name, "arguments": call.arguments}
                    for call in choice.tool_calls
                ],
                "finish": choice.finish,
            }
            for choice in answer.choices
        ]
    return {"choices": choices, "usage": usage}


# What the SDKs understood -------------------------------------------------------------------------

_FINISHES: Final[Mapping[str | None, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "guardrail_intervened": "content_filter",
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "MODEL_ARMOR": "content_filter",
    "SAFETY": "content_filter",
    "UNEXPECTED_TOOL_CALL": "tool_calls",
    None: "content_filter",  # a prompt that was blocked has no candidate
}


def expected(recording: Recording) -> JSON:
    """What the oracle says, in our words for finish and usage."""
    assert recording.oracle is not None
    parsed = recording.oracle["parsed"]
    usage = _USAGES[recording.oracle["sdk"]](parsed["usage"], recording)
    if "choices" in parsed:
        return {"choices": [{**c, "content": c["content"] or ""} for c in parsed["choices"]],
                "usage": usage}  # fmt: skip
    finish = _FINISHES[parsed["finish"]]
    if parsed["finish"] == "STOP" and parsed["tool_calls"]:
        finish = "tool_calls"
    return {"choices": [{**parsed, "finish": finish}], "usage": usage}


def _openai(told: JSON | None, recording: Recording) -> Usage | None:
    if not told:
        return None
    read = told.get("prompt_tokens_details") or {}
    thought = told.get("completion_tokens_details") or {}
    return Usage(
        told["prompt_tokens"],
        told["completion_tokens"],
        read.get("cached_tokens") or 0,
        read.get("cache_write_tokens") or 0,
        thought.get("reasoning_tokens") or 0,
        audio_prompt=read.get("audio_tokens") or 0,
        audio_completion=thought.get("audio_tokens") or 0,
        reported_cost=_reported_cost(told),
    )


def _reported_cost(told: JSON) -> int:
    """Nano-dollars, as OpenRouter or xAI says it, to the last digit. Neither had a key of another's
    where it was recorded.
    """
    assert not told.get("is_byok")
    dollars = Fraction(str(told.get("cost") or 0))
    return ceil((dollars or Fraction(told.get("cost_in_usd_ticks", 0), 10**10)) * 10**9)


def _anthropic(told: JSON, recording: Recording) -> Usage:
    cached = told.get("cache_read_input_tokens") or 0
    written = told.get("cache_creation_input_tokens") or 0
    # The SDK of the oracle leaves out how many tokens were thought.
    _, _, after = recording.body.rpartition(b'"thinking_tokens":')
    thought = int(after.split(b"}")[0]) if b"thinking_tokens" in recording.body else 0
    prompt = told["input_tokens"] + cached + written
    searched = re.findall(rb'"web_search_requests": ?(\d+)', recording.body)
    searches = int(searched[-1]) if searched else 0  # the SDK's are not among what is kept
    return Usage(prompt, told["output_tokens"], cached, written, thought, searches=searches)


def _google(told: JSON, recording: Recording) -> Usage | None:
    if not told:
        return None
    thought = told.get("thoughts_token_count", 0)
    found = Usage(
        prompt=told["prompt_token_count"] + told.get("tool_use_prompt_token_count", 0),
        completion=told.get("candidates_token_count", 0) + thought,
        cached=told.get("cached_content_token_count", 0),
        reasoning=thought,
        audio_prompt=google_sound(recording, b"prompt"),
        audio_completion=google_sound(recording, b"candidates"),
        audio_cached=google_sound(recording, b"cache"),
        searches=google_searches(recording),
    )
    assert found.prompt + found.completion == told["total_token_count"], "not the provider's sum"
    return found


def google_sound(recording: Recording, of: bytes) -> int:
    """As it was told last. What the SDK read is kept without these details."""
    told = re.findall(rb'"%sTokensDetails": ?\[(.*?)\]' % of, recording.body, re.DOTALL)
    found = re.search(rb'"AUDIO",\s*"tokenCount": ?(\d+)', told[-1]) if told else None
    return int(found[1]) if found else 0


def google_searches(recording: Recording) -> int:
    """How many queries, each of them once."""
    lists = re.findall(rb'"webSearchQueries": ?(\[.*?\])', recording.body, re.DOTALL)
    return len({query for each in lists for query in json.loads(each)} - {""})


def _boto3(told: JSON, recording: Recording) -> Usage:
    cached = told.get("cacheReadInputTokens", 0)
    written = told.get("cacheWriteInputTokens", 0)
    prompt = told["inputTokens"] + cached + written
    assert prompt + told["outputTokens"] == told["totalTokens"], "not the provider's sum"
    return Usage(prompt, told["outputTokens"], cached, written)


_USAGES: Final[Mapping[str, Callable[[Any, Recording], Usage | None]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "google-genai": _google,
    "boto3": _boto3,
}


# The comparison -----------------------------------------------------------------------------------


class Difference(NamedTuple):
    """A field of which we say something else than the SDK."""

    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.ours} is not {self.theirs}"


def differences(recording: Recording, got: JSON, want: JSON) -> dict[str, Difference]:
    """What we understood beside what the SDK did, field by field, where the two differ."""
    assert recording.oracle is not None
    sdk = recording.oracle["sdk"]
    found = {}
    for name in ("content", "thinking", "tool_calls", "finish"):
        if name == "thinking" and sdk == "openai":
            continue  # that SDK knows of none
        ours = [choice[name] for choice in got["choices"]]
        theirs = [choice[name] for choice in want["choices"]]
        if name == "tool_calls":
            ours = [[_call(call, sdk) for call in calls] for calls in ours]
            theirs = [[_call(call, sdk) for call in calls] for calls in theirs]
        if ours != theirs:
            found[name] = Difference(ours, theirs)
    if got["usage"] != want["usage"]:
        found["usage"] = Difference(got["usage"], want["usage"])
    return found


def _call(call: JSON, sdk: str) -> JSON:
    """A call as it can be compared: OpenAI's arguments to the letter, others' as JSON."""
    if sdk == "openai":
        return call
    written = call["arguments"]
    arguments = json.loads(written or "{}") if isinstance(written, str) else written
    # Google gives most calls no id, and ours carry its signatures.
    name = {} if sdk == "google-genai" else {"id": call["id"]}
    return {**name, "name": call["name"], "arguments": arguments}


def explained(
    recording: Recording, found: Mapping[str, Difference], got: JSON, want: JSON
) -> dict[str, str]:
    """Of these differences, those whose explanation gives the very value that we say, and why."""
    known: Mapping[str, Explanation] = told(EXPLAINED, recording) or {}
    return {
        name: known[name].why
        for name, difference in found.items()
        if name in known and known[name].says(want, got, recording) == difference.ours
    }
