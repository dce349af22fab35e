"""What a provider says it counted: strictly valid, or as far as it makes sense."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from gateway.core.chat import Usage
from gateway.wire.counts import are_plausible
from gateway.wire.openai import strict
from gateway.wire.openai.reported_cost import FIELDS, reported_cost
from gateway.wire.openai.tolerant import whole_number

_CACHED: Final = ("cached_tokens", "cache_read_input_tokens")
"""Kimi's and Databricks' names, in the usage itself, for what was read from a prompt cache."""
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
"""OpenAI's, LiteLLM's and Qwen's, in the details, for what was written to it; and how long for:"""
_SPLIT: Final = ("cache_creation_token_details", "cache_creation")
_NO_TOOLS: Final = strict.ServerToolUse()


def usage_if_exact(reported: strict.TokenUsage) -> Usage | None:
    """Fast path: the counts if they are usable as they are and of text alone, else None."""
    in_details, out_details = reported.prompt_tokens_details, reported.completion_tokens_details
    prompt, completion = reported.prompt_tokens, reported.completion_tokens
    cached, written, reasoning = (
        in_details.cached_tokens,
        in_details.cache_write_tokens,
        out_details.reasoning_tokens,
    )
    if (
        reported.total_tokens != prompt + completion
        or cached + written > prompt
        or reasoning > completion
        or in_details.audio_tokens
        or out_details.audio_tokens
        or out_details.image_tokens
        or in_details.web_search_requests
        or reported.server_tool_use is not None
        or reported.cost
        or reported.cost_in_usd_ticks
        or reported.estimated_cost
        or reported.gateway
    ):
        return None
    return Usage(prompt, completion, cached, written, reasoning)


def matches(reported: strict.TokenUsage, usage: Usage) -> bool:
    """Whether the provider's counts equal ours, each detail is at most its total, and the field
    `gateway` is free for our own data.
    """
    if reported.gateway:
        return False
    if reported.completion_tokens != usage.completion:
        return False
    if reported.total_tokens != usage.prompt + usage.completion:
        return False
    details = reported.prompt_tokens_details
    if details.cached_tokens + details.cache_write_tokens > usage.prompt:
        return False
    return reported.completion_tokens_details.reasoning_tokens <= usage.completion


def for_an_hour(usage: Usage) -> Usage:
    """The usage where all that was written to a prompt cache is kept for an hour: its host does not
    say how much of it is. What is not told is taken for what is dearer.
    """
    if not usage.cache_write:
        return usage
    return structs.replace(usage, cache_write_1h=usage.cache_write)


def strict_usage(reported: strict.TokenUsage, *, an_hour: bool = False) -> Usage:
    """A strictly valid usage as a Usage; see parse_usage. It has no `cache_write_1h` of its own."""
    usage = usage_if_exact(reported) or _strict_usage(reported)
    return for_an_hour(usage) if an_hour else usage


def _strict_usage(reported: strict.TokenUsage) -> Usage:
    in_details, out_details = reported.prompt_tokens_details, reported.completion_tokens_details
    usage = _make_usage(
        reported.prompt_tokens,
        reported.completion_tokens,
        reported.total_tokens,
        in_details.cached_tokens,
        in_details.cache_write_tokens,
        out_details.reasoning_tokens,
    )
    tools = reported.server_tool_use or _NO_TOOLS
    return _with_more(
        usage,
        in_details.audio_tokens,
        out_details.audio_tokens,
        out_details.image_tokens or 0,
        tools.web_search_requests or in_details.web_search_requests or 0,
        reported_cost(_strict_fields(reported)),
    )


def _strict_fields(reported: strict.TokenUsage) -> Mapping[str, Any]:
    """What is said of the cost, without what cannot be read."""
    found: dict[str, Any] = {}
    for name in FIELDS:
        raw: Raw = getattr(reported, name)
        with suppress(ValueError, RecursionError):
            found[name] = msgspec.json.decode(raw) if raw else None
    return found


def usage_of(answer: Any, *, an_hour: bool = False) -> Usage | None:
    """The usage of an answer or a chunk. Kimi's streams have it in the last choice."""
    if not isinstance(answer, Mapping):
        return None
    choices = answer.get("choices")
    places = [answer, *(choices if isinstance(choices, list) else ())]
    told = (each.get("usage") for each in places if isinstance(each, Mapping))
    found = (parse_usage(each, an_hour=an_hour) for each in told)
    return next((each for each in found if each is not None), None)


def parse_usage(value: Any, *, an_hour: bool = False) -> Usage | None:
    """Parses a usage object. Implausible counts are treated as absent.

    Tokens in the total beyond prompt and completion are reasoning that the completion does not
    include (xAI in all recordings, Gemini's OpenAI-compatible endpoint), and are billed.

    What Claude's prompt cache read and wrote is part of the prompt at LiteLLM and Databricks,
    under names of their own.
    """
    if not isinstance(value, Mapping):
        return None
    prompt = _tokens(value.get("prompt_tokens"))
    completion = _tokens(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    total = _tokens(value.get("total_tokens")) or 0
    in_details = _details(value.get("prompt_tokens_details"))
    cached = _first(in_details.get("cached_tokens"), *map(value.get, _CACHED))
    written = _first(
        *map(in_details.get, _WRITTEN),
        value.get("cache_creation_input_tokens"),
    )
    out_details = _details(value.get("completion_tokens_details"))
    result = _make_usage(
        prompt,
        completion,
        total,
        cached,
        written,
        _tokens(out_details.get("reasoning_tokens")) or 0,
    )
    splits = [*map(_details, map(in_details.get, _SPLIT))]
    longer = _first(*(split.get("ephemeral_1h_input_tokens") for split in splits))
    if longer:
        result = structs.replace(result, cache_write_1h=min(longer, result.cache_write))
    elif an_hour and not any(splits):
        result = for_an_hour(result)
    tools = _details(value.get("server_tool_use"))
    return _with_more(
        result,
        _tokens(in_details.get("audio_tokens")) or 0,
        _tokens(out_details.get("audio_tokens")) or 0,
        _tokens(out_details.get("image_tokens")) or 0,
        _first(tools.get("web_search_requests"), in_details.get("web_search_requests")),
        reported_cost(value),
    )


def _with_more(
    usage: Usage, audio_in: int, audio_out: int, images: int, searches: int, cost: int
) -> Usage:
    """The usage with its tokens of audio, of the prompt and of the completion, and of images, and
    with the searches that the provider made, and what it says that the call costs.
    """
    if not (audio_in or audio_out or images or searches or cost):  # nearly always
        return usage
    return structs.replace(
        usage,
        audio_prompt=min(audio_in, usage.prompt),
        audio_completion=min(audio_out, usage.completion),
        image_completion=min(images, usage.completion),
        searches=searches,
        reported_cost=cost,
    )


def _make_usage(
    prompt: int, completion: int, total: int, cached: int, cache_write: int, reasoning: int
) -> Usage:
    """A usage from token counts, with each detail limited to its total."""
    uncounted = total - prompt - completion
    if uncounted > 0:
        completion += uncounted
        reasoning = max(reasoning, uncounted)
    if cached + cache_write > prompt:
        cached = min(cached, prompt)
        cache_write = min(cache_write, prompt - cached)
    return Usage(prompt, completion, cached, cache_write, min(reasoning, completion))


def _details(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(*values: Any) -> int:
    """The first plausible count of tokens; 0 if there is none."""
    return next((count for count in map(_tokens, values) if count is not None), 0)


def _tokens(value: Any) -> int | None:
    """A plausible count of tokens, or None."""
    value = whole_number(value)
    return value if are_plausible(value) else None
