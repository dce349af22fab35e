"""What each family of models accepts, told by the provider's name for the model.

Names are `us.anthropic.claude-sonnet-4-5-20250929-v1:0` or an ARN that ends in one; the ARN of an
application's own profile or of a provisioned model names no family, and is taken to accept what
Claude accepts in messages and nothing that only some models have.

Sources: AWS's pages on structured output, prompt caching, extended thinking and Nova 2's reasoning;
Anthropic's migration guides for 4.6 and 4.7; for turns, langchain-ai/langchain-aws#141,
strands-agents/harness-sdk#1223 and quarkiverse/quarkus-langchain4j#1983.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.wire.claude import BINDS, knows_xhigh, thinks_forced, thoughtless, version

NOTHING: Final[Mapping[str, Any]] = {}
Thinks = Literal["budget", "adaptive", "nova", "effort", ""]

_VENDOR: Final = re.compile(
    r"(?:^|[./])(ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot(?:ai)?"
    r"|nvidia|openai|qwen|writer|zai)\.(.+)"
)
_HELD_TO_SCHEMAS: Final = re.compile(
    r"(?:deepseek\.v3|google\.|minimax\.|moonshot|nvidia\.|openai\.|qwen\.|zai\."
    r"|mistral\.(?:magistral|ministral|mistral-large-3|voxtral))"
)


class Model(Struct, frozen=True):
    vendor: str = ""
    """`anthropic`, `amazon`, ...; "" where the name does not say."""
    thinks: Thinks = ""
    """How effort is asked for: by a budget of tokens (Claude 3.7 on), by effort that Claude
    decides on (4.6 on), Nova 2's reasoningConfig, or `reasoning_effort` as it is (gpt-oss)."""
    thinks_forced: bool = True
    """May think beside a forced tool; see claude.thinks_forced."""
    thoughtless: Mapping[str, Any] | None = NOTHING
    """What keeps it from thinking; see claude.thoughtless."""
    binds: bool = False
    """Refuses thoughts that are sent back after other words; see claude.forgiving."""
    xhigh: bool = False
    """Knows the effort between `high` and `max` (Claude 4.7 on)."""
    samples: bool = True
    """Takes temperature, topP and top_k (Claude until 4.6)."""
    both_samplers: bool = True
    """Takes temperature and topP at once (Claude until 4.0)."""
    schemas: bool = False
    """Constrains its answer to a JSON schema, and its calls to strict tools."""
    mixes: bool = True
    """Takes text beside calls or results of tools in one turn (Claude and Nova)."""
    tells_errors: bool = True
    """Takes the status of a tool's result (Claude and Nova)."""
    caches: bool = True
    """Takes cache points (Claude and Nova)."""
    caches_tools: bool = True
    """Takes cache points among the tools (Claude)."""


def model(upstream: str) -> Model:
    named = _VENDOR.search(upstream)
    if named is None:
        return Model()
    vendor, rest = named[1], named[2]
    if vendor == "anthropic":
        return _claude(rest)
    if vendor == "amazon":
        nova = rest.startswith("nova")
        return Model(
            vendor,
            thinks="nova" if rest.startswith("nova-2") else "",
            mixes=nova,
            tells_errors=nova,
            caches=nova,
            caches_tools=False,
        )
    return Model(
        vendor,
        thinks="effort" if rest.startswith("gpt-oss") else "",
        schemas=_HELD_TO_SCHEMAS.match(f"{vendor}.{rest}") is not None,
        mixes=False,
        tells_errors=False,
        caches=False,
        caches_tools=False,
    )


def _claude(name: str) -> Model:
    found = version(name) or (0, 0)
    return Model(
        "anthropic",
        thinks="adaptive" if found >= (4, 6) else "budget" if found >= (3, 7) else "",
        thinks_forced=thinks_forced(found, bedrock=True),
        thoughtless=thoughtless(name),
        binds=found >= BINDS,
        xhigh=knows_xhigh(name),
        samples=found < (4, 7),
        both_samplers=found < (4, 1),
        schemas=found >= (4, 5),
    )
