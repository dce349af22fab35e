"""What only some models take: thinking, sampling, JSON schemas, one call at a time.

All but sampling and schemas goes into additionalModelRequestFields, in the model's own words.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.wire import asked, claude
from gateway.wire.asked import ResponseFormat
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.schema import closed

_THREE: Final[Mapping[str, str]] = {"minimal": "low", "xhigh": "high", "max": "high"}
_NOVA: Final[Mapping[str, str]] = {"minimal": "low", "low": "low"}
"""Every other effort is `medium`: with `high`, Nova 2 takes no limit on its output."""
_ADAPTIVE: Final = {"thinking": {"type": "adaptive"}}
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def structure(form: ResponseFormat, accepts: Model) -> dict[str, Any] | None:
    """`outputConfig` for a schema; None where it has to be said in words, or there is none."""
    exact = closed(form.schema) if form.schema is not None and accepts.schemas else None
    if exact is None:
        return None
    definition = {"schema": msgspec.json.encode(exact).decode()}
    if _NAME.fullmatch(form.name):
        definition["name"] = form.name
    if form.description.strip():
        definition["description"] = form.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def thinking(
    given: Any, accepts: Model, max_tokens: int, *, forced: bool, thoughtless: bool
) -> dict[str, Any]:
    """From `reasoning_effort`: fields of the model's own.

    It is a hint, so it gives way where the model does not think by request, where a forced
    tool rules thinking out, and where a budget cannot be had; see claude.budget.
    """
    effort = asked.effort(given, claude.EFFORTS)
    if effort is None:
        return {}
    if effort == "none":
        kept = accepts.thoughtless
        return {"output_config": {"effort": "low"}} if kept is None else dict(kept)
    match accepts.thinks:
        case "effort":
            return {"reasoning_effort": _THREE.get(effort, effort)}
        case "nova":
            level = _NOVA.get(effort, "medium")
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        case "adaptive":
            level = claude.adaptive_effort(effort, xhigh=accepts.xhigh)
            found: dict[str, Any] = {"output_config": {"effort": level}}
            return found if forced and not accepts.thinks_forced else _ADAPTIVE | found
        case "budget":
            budget = claude.thinking_budget(
                effort, max_tokens, forced=forced, thoughts_missing=thoughtless
            )
            if budget is None:
                return {}
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case _:
            return {}


def sampling(given: Mapping[str, Any], accepts: Model, *, thinks: bool) -> dict[str, Any]:
    """Temperature (0 to 1: above is 1), top_p and top_k, as far as the model takes them."""
    if accepts.vendor == "anthropic":
        none = thinks or not accepts.samples
        return claude.sampling(given, none=none, both=accepts.both_samplers)
    found = {name: asked.number(given, name) for name in ("temperature", "top_p", "top_k")}
    if found["temperature"] is not None:
        found["temperature"] = min(found["temperature"], 1.0)
    return {name: value for name, value in found.items() if value is not None}


def top_k(value: Any, accepts: Model) -> dict[str, Any]:
    """Where Claude and Nova have it; others have no such field in common."""
    if value is None:
        return {}
    if accepts.vendor == "anthropic":
        return {"top_k": value}
    return {"inferenceConfig": {"topK": value}} if accepts.vendor == "amazon" else {}


def betas(given: Any, accepts: Model) -> dict[str, Any]:
    found = asked.betas(given)
    return {"anthropic_beta": found} if found and accepts.vendor == "anthropic" else {}


def one_at_a_time(mode: str, name: str | None) -> dict[str, Any]:
    """Claude's own choice of tools, with its word for one call at a time."""
    chosen: dict[str, Any] = {"type": mode, "disable_parallel_tool_use": True}
    return {"tool_choice": chosen | ({"name": name} if name is not None else {})}
