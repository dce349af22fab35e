"""What only some models accept: thinking, sampling, JSON schemas, single tool calls.

All but sampling and schemas goes into additionalModelRequestFields, in the model's native form.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.wire import claude, request_fields
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.schema import close
from gateway.wire.request_fields import ResponseFormat

_GPT_OSS_EFFORTS: Final[Mapping[str, str]] = {"minimal": "low", "xhigh": "high", "max": "high"}
_NOVA_EFFORTS: Final[Mapping[str, str]] = {"minimal": "low", "low": "low"}
"""Every other effort is `medium`: with `high`, Nova 2 accepts no output limit."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def structure(response_format: ResponseFormat, accepts: Model) -> dict[str, Any] | None:
    """`outputConfig` for a schema; None if there is none, or it must go into the prompt."""
    schema = (
        close(response_format.schema)
        if response_format.schema is not None and accepts.schemas
        else None
    )
    if schema is None:
        return None
    definition = {"schema": msgspec.json.encode(schema).decode()}
    if _NAME.fullmatch(response_format.name):
        definition["name"] = response_format.name
    if response_format.description.strip():
        definition["description"] = response_format.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def thinking(
    value: Any, accepts: Model, max_tokens: int, *, forced: bool, thoughts_missing: bool
) -> dict[str, Any]:
    """The model's native fields for `reasoning_effort`.

    The effort is a hint: it is dropped if the model has no such control, if a forced tool rules
    thinking out, or if no budget is possible; see claude.thinking_budget.
    """
    effort = request_fields.effort(value, claude.EFFORTS)
    if effort is None:
        return {}
    if effort == "none":
        off = accepts.thinking_off
        return {"output_config": {"effort": "low"}} if off is None else dict(off)
    match accepts.thinks:
        case "effort":
            return {"reasoning_effort": _GPT_OSS_EFFORTS.get(effort, effort)}
        case "nova":
            level = _NOVA_EFFORTS.get(effort, "medium")
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        case "adaptive":
            return _adaptive(effort, accepts, forced=forced)
        case "budget":
            budget = claude.thinking_budget(
                effort, max_tokens, forced=forced, thoughts_missing=thoughts_missing
            )
            if budget is None:
                return {}
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case _:
            return {}


def _adaptive(effort: str, accepts: Model, *, forced: bool) -> dict[str, Any]:
    level = claude.adaptive_effort(effort, xhigh=accepts.xhigh)
    fields: dict[str, Any] = {"output_config": {"effort": level}}
    if not forced or accepts.thinks_with_forced_tool:
        shown = {"display": "summarized"} if accepts.hides_thinking else {}
        fields["thinking"] = {"type": "adaptive"} | shown
    return fields


def sampling(fields: Mapping[str, Any], accepts: Model, *, thinks: bool) -> dict[str, Any]:
    """Temperature (capped at 1), top_p and top_k, as far as the model accepts them."""
    if accepts.vendor == "anthropic":
        none = thinks or not accepts.takes_sampling
        return claude.sampling(fields, none=none, both=accepts.both_samplers)
    values = {
        name: request_fields.number(fields, name) for name in ("temperature", "top_p", "top_k")
    }
    if values["temperature"] is not None:
        values["temperature"] = min(values["temperature"], 1.0)
    return {name: value for name, value in values.items() if value is not None}


def top_k(value: Any, accepts: Model) -> dict[str, Any]:
    """The native field for Claude and Nova; other models have none in common."""
    if value is None:
        return {}
    if accepts.vendor == "anthropic":
        return {"top_k": value}
    return {"inferenceConfig": {"topK": value}} if accepts.vendor == "amazon" else {}


def betas(value: Any, accepts: Model) -> dict[str, Any]:
    names = request_fields.betas(value)
    return {"anthropic_beta": names} if names and accepts.vendor == "anthropic" else {}


def one_at_a_time(mode: str, name: str | None) -> dict[str, Any]:
    """Claude's native `tool_choice` with parallel tool use disabled."""
    choice: dict[str, Any] = {"type": mode, "disable_parallel_tool_use": True}
    return {"tool_choice": choice | ({"name": name} if name is not None else {})}
