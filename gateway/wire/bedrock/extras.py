"""What only some models take: thinking, sampling, JSON schemas, one call at a time.

All but sampling and schemas goes into additionalModelRequestFields, in the model's own words.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.schema import closed

MIN_BUDGET: Final = 1_024
"""Tokens; Claude refuses less."""
BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
"""Tokens to think with, for models that take a budget: at most half of the output limit."""
_EFFORTS: Final[Mapping[str, str]] = {"minimal": "low"}
_THREE: Final[Mapping[str, str]] = {"minimal": "low", "xhigh": "high", "max": "high"}
_NOVA: Final[Mapping[str, str]] = {"minimal": "low", "low": "low"}
"""Every other effort is `medium`: with `high`, Nova 2 takes no limit on its output."""

INSTRUCTED: Final = "Answer with one valid JSON object and nothing else: no prose, no code fence."
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BETA: Final = re.compile(r"[\w.-]+")


class Form(Struct, frozen=True):
    """What is sent for `response_format`: outputConfig, or an instruction. None is nothing."""

    config: Mapping[str, Any] | None = None
    instruction: str | None = None


def form(given: Any, accepts: Model) -> Form:
    kind = given.get("type") if isinstance(given, Mapping) else None
    if given is None or kind == "text":
        return Form()
    if kind == "json_object":
        return Form(instruction=INSTRUCTED)
    wrapped = given.get("json_schema") if kind == "json_schema" else None
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    if not isinstance(wrapped, Mapping) or not isinstance(schema, Mapping):
        raise InvalidRequest(
            "response_format must be text, json_object, or json_schema with a schema",
            param="response_format",
        )
    exact = closed(schema) if accepts.schemas else None
    if exact is None:
        said = msgspec.json.encode(schema).decode()
        told = f"{INSTRUCTED}\nIt must be valid against this JSON Schema:\n{said}"
        return Form(instruction=told)
    definition = {"schema": msgspec.json.encode(exact).decode()}
    if isinstance(wrapped.get("name"), str) and _NAME.fullmatch(wrapped["name"]):
        definition["name"] = wrapped["name"]
    if isinstance(wrapped.get("description"), str) and wrapped["description"].strip():
        definition["description"] = wrapped["description"]
    structure = {"jsonSchema": definition}
    return Form(config={"textFormat": {"type": "json_schema", "structure": structure}})


def thinking(
    effort: Any, accepts: Model, max_tokens: int, *, forced: bool, thoughtless: bool
) -> dict[str, Any]:
    """From `reasoning_effort`: fields of the model's own.

    It is a hint, so it gives way where the model does not think by request, and where a budget
    cannot be had: the limit is too small, a tool is forced, or the last answer called tools and
    its thoughts did not come back with it.
    """
    if effort is None or effort == "none":
        return {}
    if not isinstance(effort, str) or effort not in BUDGETS:
        raise InvalidRequest(
            f"reasoning_effort must be one of none, {', '.join(BUDGETS)}", param="reasoning_effort"
        )
    match accepts.thinks:
        case "effort":
            return {"reasoning_effort": _THREE.get(effort, effort)}
        case "nova":
            level = _NOVA.get(effort, "medium")
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        case "adaptive":
            level = _EFFORTS.get(effort, effort)
            level = "max" if level == "xhigh" and not accepts.xhigh else level
            return {"thinking": {"type": "adaptive"}, "output_config": {"effort": level}}
        case "budget":
            budget = min(BUDGETS[effort], max_tokens // 2)
            if budget < MIN_BUDGET or forced or thoughtless:
                return {}
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case _:
            return {}


def sampling(given: Mapping[str, Any], accepts: Model, *, thinks: bool) -> dict[str, Any]:
    """Temperature, topP and top_k, as far as the model takes them.

    Claude's temperature ends at 1: above is 1. It takes none of them with thinking nor from 4.7
    on, and from 4.1 on only one of temperature and topP: the one that is not its default,
    temperature first.
    """
    found = {name: _number(given, name) for name in ("temperature", "top_p", "top_k")}
    if not accepts.samples or (thinks and accepts.vendor == "anthropic"):
        return {}
    warmth = found["temperature"]
    if accepts.vendor == "anthropic" and warmth is not None:
        found["temperature"] = min(warmth, 1.0)
    if not accepts.both_samplers and None not in (warmth, found["top_p"]):
        found["temperature" if warmth == 1 and found["top_p"] != 1 else "top_p"] = None
    return {name: value for name, value in found.items() if value is not None}


def top_k(value: Any, accepts: Model) -> dict[str, Any]:
    """Where Claude and Nova have it; others have no such field in common."""
    if value is None:
        return {}
    if accepts.vendor == "anthropic":
        return {"top_k": value}
    return {"inferenceConfig": {"topK": value}} if accepts.vendor == "amazon" else {}


def betas(given: Any, accepts: Model) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, list) or not all(
        isinstance(beta, str) and _BETA.fullmatch(beta) for beta in given
    ):
        raise InvalidRequest("betas must be a list of names", param="betas")
    return {"anthropic_beta": given} if given and accepts.vendor == "anthropic" else {}


def one_at_a_time(mode: str, name: str | None) -> dict[str, Any]:
    """Claude's own choice of tools, with its word for one call at a time."""
    chosen: dict[str, Any] = {"type": mode, "disable_parallel_tool_use": True}
    return {"tool_choice": chosen | ({"name": name} if name is not None else {})}


def _number(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    if value is not None and (type(value) not in {int, float} or value < 0):
        raise InvalidRequest(f"{name} must be a number from 0", param=name)
    return value
