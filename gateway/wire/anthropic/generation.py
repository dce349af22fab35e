"""What each generation of Claude accepts, by the version number in the model's name.

Sources: Anthropic's pages on adaptive thinking, effort, structured outputs and the migration
guides for 4.6 and 4.7; the recorded 400 for effort `xhigh` on 4.6. A name without a number
(another vendor's model behind the same format) is assumed to accept what the format always had.
"""

from collections.abc import Mapping
from typing import Any, Final

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


class Generation(Struct, frozen=True):
    adaptive: bool = False
    """Has adaptive thinking with an effort (4.6 on) instead of a token budget."""
    thinks_with_forced_tool: bool = True
    """See claude.thinks_with_forced_tool."""
    hides_thinking: bool = False
    """Omits its thinking unless `display` is set (4.7 on; anthropics/claude-code#49268; at Bedrock
    anthropics/claude-agent-sdk-typescript#373)."""
    thinking_off: Mapping[str, Any] | None = NOTHING
    """See claude.thinking_off."""
    xhigh: bool = False
    """Accepts the effort `xhigh`, between `high` and `max` (4.7 on)."""
    takes_sampling: bool = True
    """Accepts temperature, top_p and top_k (until 4.6)."""
    both_samplers: bool = True
    """Accepts temperature and top_p together (until 4.0)."""
    binds: bool = False
    """Refuses thinking blocks sent back after a changed context; see claude.forgiving."""
    schemas: bool = True
    """Has structured output with a JSON schema (4.1 on)."""


def generation(upstream: str) -> Generation:
    """For the provider's model name: claude-sonnet-4-5-20250929, claude-3-7-sonnet-..."""
    model_version = version(upstream)
    if model_version is None:
        return Generation()
    bedrock = "anthropic." in upstream
    return Generation(
        adaptive=model_version >= (4, 6),
        thinks_with_forced_tool=thinks_with_forced_tool(model_version, bedrock=bedrock),
        hides_thinking=model_version >= HIDES,
        thinking_off=thinking_off(upstream),
        xhigh=knows_xhigh(upstream),
        takes_sampling=model_version < (4, 7),
        both_samplers=model_version < (4, 1),
        binds=model_version >= BINDS,
        schemas=model_version >= (4, 1),
    )
