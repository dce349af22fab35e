"""How hard the model thinks, and how it draws its words: each rules the other out."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire.anthropic.generation import Generation

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
EFFORTS: Final[Mapping[str, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Efforts of models that decide themselves how much to think."""


class Thinking(Struct, frozen=True):
    """What is to be sent; None is nothing."""

    config: Mapping[str, Any] | None = None
    effort: str | None = None


def thinking(
    effort: Any, accepts: Generation, max_tokens: int, *, forced: bool, thoughtless: bool
) -> Thinking:
    """From `reasoning_effort`.

    It is a hint, so it gives way where a budget cannot be had: the limit is too small, a tool is
    forced, or the last answer called tools and its thoughts did not come back with it.
    """
    if effort is None or effort == "none":
        return Thinking()
    if not isinstance(effort, str) or effort not in BUDGETS:
        raise InvalidRequest(
            f"reasoning_effort must be one of none, {', '.join(BUDGETS)}", param="reasoning_effort"
        )
    if accepts.adaptive:
        level = EFFORTS[effort]
        return Thinking(
            {"type": "adaptive"}, "max" if level == "xhigh" and not accepts.xhigh else level
        )
    budget = min(BUDGETS[effort], max_tokens // 2)
    if budget < MIN_BUDGET or forced or thoughtless:
        return Thinking()
    return Thinking({"type": "enabled", "budget_tokens": budget})


def sampling(given: Mapping[str, Any], accepts: Generation, *, thinks: bool) -> dict[str, Any]:
    """The temperature (0 to 1: above is 1), top_p and top_k, as far as the model takes them.

    None of them goes with thinking, and models from 4.7 on take none. From 4.1 on only one of
    temperature and top_p is taken: the one that is not its default, temperature first.
    """
    temperature = _number(given, "temperature")
    found = {
        "temperature": None if temperature is None else min(temperature, 1.0),
        "top_p": _number(given, "top_p"),
        "top_k": _number(given, "top_k"),
    }
    if thinks or not accepts.samples:
        return {}
    if not accepts.both_samplers and None not in (found["temperature"], found["top_p"]):
        found["temperature" if temperature == 1 and found["top_p"] != 1 else "top_p"] = None
    return {name: value for name, value in found.items() if value is not None}


def _number(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    if value is not None and (type(value) not in {int, float} or value < 0):
        raise InvalidRequest(f"{name} must be a number from 0", param=name)
    return value
