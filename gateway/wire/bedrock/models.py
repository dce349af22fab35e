"""What each family of models accepts, by the provider's model name.

Names are `us.anthropic.claude-sonnet-4-5-20250929-v1:0` or an ARN that ends in one; the ARN of an
application profile or of a provisioned model names no family: it is assumed to accept what Claude
accepts in messages, and nothing that only some models have.

Sources: AWS's pages on structured output, prompt caching, extended thinking and Nova 2's reasoning;
Anthropic's migration guides for 4.6 and 4.7; for turns, langchain-ai/langchain-aws#141,
strands-agents/harness-sdk#1223 and quarkiverse/quarkus-langchain4j#1983.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.wire.claude import (
    BINDS,
    HIDES,
    knows_xhigh,
    thinking_off,
    thinks_with_forced_tool,
    version,
)

NOTHING: Final[Mapping[str, Any]] = {}
Thinks = Literal["budget", "adaptive", "nova", "effort", ""]

_VENDOR: Final = re.compile(
    r"(?:^|[./])(ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot(?:ai)?"
    r"|nvidia|openai|qwen|writer|xai|zai)\.(.+)"
)
_TAKES_SCHEMAS: Final = re.compile(
    r"(?:deepseek\.v3|google\.|minimax\.|moonshot|nvidia\.|openai\.|qwen\.|zai\."
    r"|mistral\.(?:magistral|ministral|mistral-large-3|voxtral))"
)


class Model(Struct, frozen=True):
    vendor: str = ""
    """`anthropic`, `amazon`, ...; "" if unknown."""
    thinks: Thinks = ""
    """How effort is expressed: a token budget (Claude 3.7 on), adaptive thinking (Claude 4.6 on),
    Nova 2's reasoningConfig, or a plain `reasoning_effort` (gpt-oss)."""
    thinks_with_forced_tool: bool = True
    """See claude.thinks_with_forced_tool."""
    thinking_off: Mapping[str, Any] | None = NOTHING
    """See claude.thinking_off."""
    binds_thinking: bool = False
    """Refuses thinking blocks sent back after a changed conversation; see claude.forgiving."""
    hides_thinking: bool = False
    """Omits its thinking unless `display` is set (Claude 4.7 on)."""
    xhigh: bool = False
    """Accepts the effort `xhigh`, between `high` and `max` (Claude 4.7 on)."""
    takes_sampling: bool = True
    """Accepts temperature, topP and top_k (Claude until 4.6)."""
    both_samplers: bool = True
    """Accepts temperature and topP together (Claude until 4.0)."""
    takes_thinking: bool = True
    """Accepts thinking blocks sent back, which are Claude's (Claude; can1357/oh-my-pi#9086 and
    aws-samples/bedrock-engineer#240 of others)."""
    encrypts_thinking: bool = False
    """Has its thinking as `redactedContent`, and accepts only its own sent back (OpenAI's and xAI's
    but gpt-oss; maximhq/bifrost#6834, UKGovernmentBEIS/inspect_ai#5217)."""
    schemas: bool = False
    """Has structured output with a JSON schema, and strict tools."""
    mixes_text_and_tools: bool = True
    """Accepts text together with tool calls or results in one turn (Claude and Nova)."""
    takes_result_status: bool = True
    """Accepts the `status` of a tool result (Claude and Nova)."""
    caches: bool = True
    """Accepts cache points (Claude and Nova)."""
    caches_tools: bool = True
    """Accepts cache points among the tools (Claude)."""


def vendor_of(upstream: str) -> str:
    """`anthropic`, `amazon`, ...; "" if the name does not tell."""
    match = _VENDOR.search(upstream)
    return match[1] if match else ""


def model(upstream: str) -> Model:
    match = _VENDOR.search(upstream)
    if match is None:
        return Model()
    vendor, rest = match[1], match[2]
    if vendor == "anthropic":
        return _claude(rest)
    if vendor == "amazon":
        nova = rest.startswith("nova")
        return Model(
            vendor,
            thinks="nova" if rest.startswith("nova-2") else "",
            takes_thinking=False,
            mixes_text_and_tools=nova,
            takes_result_status=nova,
            caches=nova,
            caches_tools=False,
        )
    return Model(
        vendor,
        thinks="effort" if rest.startswith("gpt-oss") else "",
        takes_thinking=False,
        encrypts_thinking=vendor in {"openai", "xai"} and not rest.startswith("gpt-oss"),
        schemas=_TAKES_SCHEMAS.match(f"{vendor}.{rest}") is not None,
        mixes_text_and_tools=False,
        takes_result_status=False,
        caches=False,
        caches_tools=False,
    )


def _claude(name: str) -> Model:
    model_version = version(name) or (0, 0)
    return Model(
        "anthropic",
        thinks="adaptive"
        if model_version >= (4, 6)
        else "budget"
        if model_version >= (3, 7)
        else "",
        thinks_with_forced_tool=thinks_with_forced_tool(model_version, bedrock=True),
        thinking_off=thinking_off(name),
        binds_thinking=model_version >= BINDS,
        hides_thinking=model_version >= HIDES,
        xhigh=knows_xhigh(name),
        takes_sampling=model_version < (4, 7),
        both_samplers=model_version < (4, 1),
        schemas=model_version >= (4, 5),
    )
