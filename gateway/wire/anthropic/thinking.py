"""Thinking parameters from `reasoning_effort`."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.wire import claude, request_fields
from gateway.wire.anthropic.generation import Generation


class Thinking(Struct, frozen=True):
    """The fields `thinking` and `output_config.effort`; None is not sent."""

    config: Mapping[str, Any] | None = None
    effort: str | None = None


def thinking(
    value: Any, accepts: Generation, max_tokens: int, *, forced: bool, thoughts_missing: bool
) -> Thinking:
    """The effort is a hint: thinking is left out if no budget is possible, see
    claude.thinking_budget, or if a forced tool rules it out. Adaptive models still get `effort`.
    """
    effort = request_fields.effort(value, claude.EFFORTS)
    if effort is None:
        return Thinking()
    if effort == "none":
        off = accepts.thinking_off
        return Thinking(effort="low") if off is None else Thinking(off.get("thinking"))
    if accepts.adaptive:
        shown = {"display": "summarized"} if accepts.hides_thinking else {}
        config = (
            None if forced and not accepts.thinks_with_forced_tool else {"type": "adaptive"} | shown
        )
        return Thinking(config, claude.adaptive_effort(effort, xhigh=accepts.xhigh))
    budget = claude.thinking_budget(
        effort, max_tokens, forced=forced, thoughts_missing=thoughts_missing
    )
    if budget is None:
        return Thinking()
    return Thinking({"type": "enabled", "budget_tokens": budget})
