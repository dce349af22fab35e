"""What a provider counted for a call: of an answer, or of one that failed."""

from typing import Final

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Tokens as the provider counted them. Each detail is part of its total, never beside it; only
    `searches` and `reported_cost` are no tokens.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    """Part of `prompt`: read from the provider's cache."""
    cache_write: int = 0
    """Part of `prompt`: written to the provider's cache."""
    reasoning: int = 0
    """Part of `completion`: thought, not shown."""
    cache_write_1h: int = 0
    """Part of `cache_write`: to be kept for an hour, which costs more."""
    audio_prompt: int = 0
    """Part of `prompt`: audio, which some charge by a price of its own."""
    audio_completion: int = 0
    """Part of `completion`: the same."""
    audio_cached: int = 0
    """Part of `audio_prompt` and of `cached`, as far as it is told."""
    image_completion: int = 0
    """Part of `completion`: images, which some charge by a price of their own."""
    searches: int = 0
    """Searches of the web that the provider made, which are billed beside the tokens."""
    reported_cost: int = 0
    """What the provider says that the call costs, in nano-dollars; 0 where it does not say."""


NOT_BILLED: Final = Usage()
"""Of an answer for which its provider charges nothing, whatever it counted. It is known by its
identity: other zeros say that nothing was counted.
"""
