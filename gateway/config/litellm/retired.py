"""What providers took out of service, and LiteLLM's files still name."""

import re
from typing import Final

_GROK: Final = re.compile(r"grok-(3|4|4-0709|4(-1)?-fast(-(non-)?reasoning)?)(-latest)?")


def successor(prefix: str, model: str) -> tuple[str, str] | None:
    """What answers in the place of a model, and what is to be said of that; "" is nobody."""
    if prefix == "perplexity":
        why = "Perplexity ended this API on 2026-09-27; OpenRouter has its models"
        return "", f"{model}: {why}"
    if prefix == "xai" and _GROK.fullmatch(model):
        why = "xAI retired it on 2026-05-15, and bills grok-4.3 in its place, which is asked"
        return "grok-4.3", f"{model}: {why}; reasoning_effort: none stops it from reasoning"
    return None
