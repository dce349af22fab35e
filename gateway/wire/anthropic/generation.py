"""What each generation of Claude accepts, told by the number in a model's name.

Sources: Anthropic's pages on adaptive thinking, effort, structured outputs and the migration
guides for 4.6 and 4.7; the recorded 400 for effort `xhigh` on 4.6. A name without a number
(another vendor's model behind the same format) is taken to accept what the format always had.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.wire.claude import thinking_off, thinks_with_forced_tool, version

NOTHING: Final[Mapping[str, Any]] = {}


class Generation(Struct, frozen=True):
    adaptive: bool = False
    """Thinks by effort (4.6 on), not by a budget of tokens."""
    thinks_with_forced_tool: bool = True
    """May think by effort beside a forced tool; see claude.thinks_forced."""
    hides_thinking: bool = False
    """Shows no thoughts unless it is told to (4.7 on; anthropics/claude-code#49268). At Bedrock it
    is not told: that it may be is in no page that was found."""
    thinking_off: Mapping[str, Any] | None = NOTHING
    """What keeps it from thinking; see claude.thoughtless."""
    xhigh: bool = False
    """Knows the effort between `high` and `max` (4.7 on)."""
    takes_sampling: bool = True
    """Takes temperature, top_p and top_k (until 4.6)."""
    both_samplers: bool = True
    """Takes temperature and top_p at once (until 4.0)."""
    schemas: bool = True
    """Constrains its output to a JSON schema (4.1 on)."""


def generation(upstream: str) -> Generation:
    """By the provider's name for the model: claude-sonnet-4-5-20250929, claude-3-7-sonnet-..."""
    number = version(upstream)
    if number is None:
        return Generation()
    bedrock = "anthropic." in upstream
    return Generation(
        adaptive=number >= (4, 6),
        thinks_with_forced_tool=thinks_with_forced_tool(number, bedrock=bedrock),
        hides_thinking=number >= (4, 7) and not bedrock,
        thinking_off=thinking_off(upstream),
        xhigh=number >= (4, 7),
        takes_sampling=number < (4, 7),
        both_samplers=number < (4, 1),
        schemas=number >= (4, 1),
    )
