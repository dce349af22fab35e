"""Types of answers that OpenAI's SDK accepts in strict mode and OpenAI's API description allows.

JSON that decodes into these can be relayed unchanged. Unknown fields are allowed and ignored. A
field that may be absent but not null is UNSET when absent.
Source: openai.types.chat, and openai/openai-openapi 2.3.0.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.wire.counts import COUNT_LIMIT

MAX_SECONDS: Final = 2**40
"""Unix seconds: later times are invalid."""

MAX_INDEX: Final = 128
"""Highest index: a request has at most so many choices and tools."""

Tokens = Annotated[int, Meta(ge=0, lt=COUNT_LIMIT)]
Index = Annotated[int, Meta(ge=0, le=MAX_INDEX)]
Seconds = Annotated[int, Meta(ge=0, le=MAX_SECONDS)]
NonEmpty = Annotated[str, Meta(min_length=1)]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
Tier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class TopLogprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class Logprobs(Struct, gc=False):
    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


class PromptDetails(Struct, frozen=True, gc=False):
    cached_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    audio_tokens: Tokens = 0
    text_tokens: Tokens = 0
    image_tokens: Tokens = 0
    cache_creation_tokens: Literal[0] | None = None
    cache_creation_input_tokens: Literal[0] | None = None
    """LiteLLM's and Qwen's, of a prompt cache. If one is not 0 the answer is parsed tolerantly."""
    web_search_requests: Tokens | None = None
    """LiteLLM's, of Gemini's searches."""


class CompletionDetails(Struct, frozen=True, gc=False):
    reasoning_tokens: Tokens = 0
    audio_tokens: Tokens = 0
    text_tokens: Tokens = 0
    image_tokens: Tokens | None = 0
    """OpenRouter's and LiteLLM's, of Gemini's images."""
    accepted_prediction_tokens: Tokens = 0
    rejected_prediction_tokens: Tokens = 0


class ServerToolUse(Struct, frozen=True, gc=False):
    web_search_requests: Tokens | None = None


_ABSENT: Final = Raw(b"")
"""False, where all that can be sent is true."""


class TokenUsage(Struct, gc=False):
    prompt_tokens: Tokens
    completion_tokens: Tokens
    total_tokens: Tokens
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails = CompletionDetails()
    cached_tokens: Literal[0] | None = None
    """Kimi's. If it is not 0 the answer is parsed tolerantly."""
    cache_creation_input_tokens: Literal[0] | None = None
    cache_read_input_tokens: Literal[0] | None = None
    """LiteLLM's and Databricks', likewise."""
    server_tool_use: ServerToolUse | None = None
    """OpenRouter's and LiteLLM's."""
    cost: Raw = _ABSENT
    cost_in_usd_ticks: Raw = _ABSENT
    estimated_cost: Raw = _ABSENT
    """What the call costs, as reported_cost.py reads it; and what it reads beside that:"""
    cost_details: Raw = _ABSENT
    is_byok: Raw = _ABSENT
    currency: Raw = _ABSENT
    cost_currency: Raw = _ABSENT
    gateway: Raw = _ABSENT
    """Set by a provider that is itself this gateway."""


class Function(Struct, gc=False):
    name: NonEmpty
    arguments: NonEmpty


class Custom(Struct, gc=False):
    name: NonEmpty
    input: str


class FunctionCall(Struct, gc=False, tag_field="type", tag="function"):
    id: NonEmpty
    function: Function
    extra_content: None = None
    """Must be absent: Google's signature has to go into the call's id too."""


class CustomCall(Struct, gc=False, tag_field="type", tag="custom"):
    id: NonEmpty
    custom: Custom


class UrlCitation(Struct, gc=False):
    end_index: int
    start_index: int
    title: str
    url: str


class Annotation(Struct, gc=False):
    type: Literal["url_citation"]
    url_citation: UrlCitation


class Audio(Struct, gc=False):
    id: str
    data: str
    expires_at: int
    transcript: str


class LegacyCall(Struct, gc=False):
    name: NonEmpty
    arguments: str


class Message(Struct, gc=False):
    role: Literal["assistant"]
    content: str | None
    refusal: str | UnsetType | None = UNSET
    """Required, but OpenAI itself sometimes omits it."""
    tool_calls: list[FunctionCall | CustomCall] | UnsetType = UNSET
    function_call: LegacyCall | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    audio: Audio | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw | UnsetType = UNSET
    extra_content: Raw | UnsetType = UNSET
    images: Raw | UnsetType = UNSET
    """The last three are other hosts': clients need them to send them back."""


class AnswerChoice(Struct, gc=False):
    index: Index
    message: Message
    finish_reason: Finish
    logprobs: Logprobs | UnsetType | None = UNSET
    """Like `refusal`."""
    error: None = None


class Moderation(Struct, gc=False):
    input: dict[str, Any]
    output: dict[str, Any]


class Answer(Struct, gc=False):
    id: NonEmpty
    object: Literal["chat.completion"]
    created: Seconds
    model: str
    choices: Annotated[list[AnswerChoice], Meta(min_length=1)]
    usage: TokenUsage | None = None
    service_tier: Tier | None = None
    system_fingerprint: str | None = None
    metadata: dict[str, str] | UnsetType = UNSET
    moderation: Moderation | None = None
    error: None = None


class FunctionPiece(Struct, gc=False, omit_defaults=True):
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class CallPiece(Struct, gc=False):
    index: Index
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionPiece | UnsetType = UNSET
    custom: None = None
    """Must be absent: calls of custom tools are rebuilt as function calls, in all pieces."""
    extra_content: None = None
    """Like FunctionCall's."""


class AudioPiece(Struct, gc=False, omit_defaults=True):
    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class Piece(Struct, gc=False):
    """The delta of a chunk's choice."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | UnsetType = UNSET
    function_call: FunctionPiece | UnsetType = UNSET
    audio: AudioPiece | None = None
    annotations: list[Annotation] | UnsetType = UNSET
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: None = None
    extra_content: None = None
    images: None = None
    """The last three must be absent: the tolerant parser keeps them."""


class ChunkChoice(Struct, gc=False):
    index: Index
    delta: Piece
    finish_reason: Finish | None
    logprobs: Logprobs | None = None
    usage: None = None
    """Kimi's too."""
    error: None = None


class Chunk(Struct, gc=False):
    id: NonEmpty
    object: Literal["chat.completion.chunk"]
    created: Seconds
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | None = None
    service_tier: Tier | None = None
    system_fingerprint: str | None = None
    obfuscation: str | UnsetType = UNSET
    moderation: Moderation | None = None
    error: None = None


_LF: Final = 0x0A  # searching for an int takes an eighth of the time
answer: Final = msgspec.json.Decoder(Answer).decode
chunk: Final = msgspec.json.Decoder(Chunk).decode


def is_one_line(data: bytes) -> bool:
    """Whether it can be relayed as the data of one event: one line of valid UTF-8."""
    if _LF in data:
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
