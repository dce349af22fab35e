"""What each generation of Claude accepts, told by the number in a model's name.

Sources: Anthropic's pages on adaptive thinking, effort, structured outputs and the migration
guides for 4.6 and 4.7; the recorded 400 for effort `xhigh` on 4.6. A name without a number
(another vendor's model behind the same format) is taken to accept what the format always had.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.wire.claude import BINDS, knows_xhigh, thinks_forced, thoughtless, version

NOTHING: Final[Mapping[str, Any]] = {}


class Generation(Struct, frozen=True):
    adaptive: bool = False
    """Thinks by effort (4.6 on), not by a budget of tokens."""
    thinks_forced: bool = True
    """May think by effort beside a forced tool; see claude.thinks_forced."""
    hides: bool = False
    """Shows no thoughts unless it is told to (4.7 on; anthropics/claude-code#49268). At Bedrock it
    is not told: that it may be is in no page that was found."""
    thoughtless: Mapping[str, Any] | None = NOTHING
    """What keeps it from thinking; see claude.thoughtless."""
    xhigh: bool = False
    """Knows the effort between `high` and `max` (4.7 on)."""
    samples: bool = True
    """Takes temperature, top_p and top_k (until 4.6)."""
    both_samplers: bool = True
    """Takes temperature and top_p at once (until 4.0)."""
    binds: bool = False
    """Refuses thoughts that are sent back after other words; see claude.forgiving."""
    schemas: bool = True
    """Constrains its output to a JSON schema (4.1 on)."""


def generation(upstream: str) -> Generation:
    """By the provider's name for the model: claude-sonnet-4-5-20250929, claude-3-7-sonnet-..."""
    found = version(upstream)
    if found is None:
        return Generation()
    bedrock = "anthropic." in upstream
    return Generation(
        adaptive=found >= (4, 6),
        thinks_forced=thinks_forced(found, bedrock=bedrock),
        hides=found >= (4, 7) and not bedrock,
        thoughtless=thoughtless(upstream),
        xhigh=knows_xhigh(upstream),
        samples=found < (4, 7),
        both_samplers=found < (4, 1),
        binds=found >= BINDS,
        schemas=found >= (4, 1),
    )
