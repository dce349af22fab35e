"""Claude at whichever door: which generation a name tells, how it thinks and draws its words.

Sources: Anthropic's pages on adaptive thinking, effort and extended thinking, and the migration
guides for 4.6 and 4.7.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire.asked import number

MIN_BUDGET: Final = 1_024
"""Tokens; the API refuses less."""
BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
"""Tokens to think with, for models that take a budget: at most half of the output limit."""
EFFORTS: Final = ("none", *BUDGETS)

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![\d.])")


def version(name: str) -> tuple[int, int] | None:
    """Of claude-sonnet-4-5-20250929, (4, 5); of claude-3-7-sonnet, (3, 7); else None."""
    found = _VERSION.search(name)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def level(effort: str, *, xhigh: bool) -> str:
    """The effort of models that decide themselves how much to think (4.6 on)."""
    if effort == "minimal":
        return "low"
    return "max" if effort == "xhigh" and not xhigh else effort


def budget(effort: str, limit: int, *, forced: bool, thoughtless: bool) -> int | None:
    """Tokens to think with.

    It is a hint, so it gives way where a budget cannot be had: the limit is too small, a tool is
    forced, or the last answer called tools and its thoughts did not come back with it.
    """
    found = min(BUDGETS[effort], limit // 2)
    return None if found < MIN_BUDGET or forced or thoughtless else found


def thinks(config: Any) -> bool:
    """Whether a `thinking` of the Messages API asks for any."""
    return isinstance(config, Mapping) and config.get("type") != "disabled"


def sampling(given: Mapping[str, Any], *, none: bool, both: bool) -> dict[str, Any]:
    """The temperature (0 to 1: above is 1), top_p and top_k, as far as the model takes them.

    None of them goes with thinking, and models from 4.7 on take none (`none`). From 4.1 on only
    one of temperature and top_p is taken (not `both`): the one that is not its default,
    temperature first.
    """
    found = {name: number(given, name) for name in ("temperature", "top_p", "top_k")}
    if none:
        return {}
    warmth = found["temperature"]
    if not both and None not in (warmth, found["top_p"]):
        found["temperature" if warmth == 1 and found["top_p"] != 1 else "top_p"] = None
    if found["temperature"] is not None:
        found["temperature"] = min(warmth, 1.0)
    return {name: value for name, value in found.items() if value is not None}


def thoughts(given: Any, where: str) -> list[Mapping[str, Any]]:
    """`thinking_blocks` of a message, as they came. Without a signature the API refuses one: it
    is left out, as is `reasoning_content`, which never has one.
    """
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise InvalidRequest(f"{where} must be a list of blocks", param=where)
    return [
        each
        for each in given
        if each.get("type") == "redacted_thinking"
        or (each.get("type") == "thinking" and each.get("signature"))
    ]
