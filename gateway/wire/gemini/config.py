"""generationConfig: output limit, sampling, thinking and response format."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire import request_fields
from gateway.wire.gemini.generation import Generation
from gateway.wire.gemini.tools import schema
from gateway.wire.request_fields import ResponseFormat

JSON = dict[str, Any]

BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Thinking tokens by effort, from Google's page on OpenAI compatibility; at most half of the output
limit is used."""
LEVELS: Final[Mapping[str, str]] = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
MIN_BUDGET: Final = 512
"""The least budget that all 2.5 models accept. If the output limit is too small for it, thinking is
turned off, except in 2.5 Pro, which always thinks and accepts 128 or more."""
_MIN_PRO_BUDGET: Final = 128
_NUMBERS: Final[Mapping[str, tuple[str, float, float]]] = {
    "temperature": ("temperature", 0, 2),
    "top_p": ("topP", 0, 1),
    "top_k": ("topK", 0, 1_000_000),
    "presence_penalty": ("presencePenalty", -2, 2),
    "frequency_penalty": ("frequencyPenalty", -2, 2),
}
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")
_MODALITIES: Final = ("text", "image")


_SEEDS: Final = 2**31


def config(request: ChatRequest, limit: int, given: Mapping[str, Any]) -> JSON:
    """All but thinking and the response format. Raises InvalidRequest, naming the field."""
    fields: JSON = {"maxOutputTokens": limit}
    for name, (field, low, high) in _NUMBERS.items():
        value = given.get(name)
        if value is None or (name in _PENALTIES and value == 0):
            continue  # some models refuse the field, even with 0
        if type(value) not in {int, float} or not low <= value <= high:
            raise InvalidRequest(f"{name} must be a number from {low} to {high}", param=name)
        fields[field] = value
    if request.n > 1:
        fields["candidateCount"] = request.n
    stops = request_fields.stop_sequences(given.get("stop"))
    return (
        fields
        | ({"stopSequences": stops} if stops else {})
        | _logprobs(given)
        | _seed(given.get("seed"))
        | (_modalities(given.get("modalities")))
    )


def thinking(value: Any, accepts: Generation, limit: int) -> JSON:
    """`thinkingConfig` for `reasoning_effort`. The effort is a hint: it is adjusted to what the
    model supports and to the output limit. If thinking is requested, thoughts are included.
    """
    effort = request_fields.effort(value, LEVELS)
    if effort is None or not accepts.budgets:
        return {}
    shown = {"includeThoughts": True} if effort != "none" else {}
    if accepts.levels:
        level = LEVELS[effort]
        if level == "minimal" and not accepts.minimal:
            level = "low"
        if level == "medium" and not accepts.medium:
            level = "high"
        return {"thinkingConfig": {"thinkingLevel": level.upper()} | shown}
    if effort == "none":
        return {"thinkingConfig": {"thinkingBudget": _MIN_PRO_BUDGET if accepts.pro else 0}}
    budget = min(BUDGETS[effort], limit // 2)
    if accepts.pro:
        budget = max(budget, _MIN_PRO_BUDGET)
    elif budget < MIN_BUDGET:
        return {"thinkingConfig": {"thinkingBudget": 0}}
    return {"thinkingConfig": {"thinkingBudget": budget} | shown}


def json_output(requested: ResponseFormat, *, constrains: bool) -> tuple[JSON, str | None]:
    """(fields, prompt) for `response_format`; a prompt if the model cannot enforce it."""
    if not requested.json:
        return {}, None
    if not constrains:
        return {}, requested.instruction
    as_json: JSON = {"responseMimeType": "application/json"}
    if requested.schema is None:
        return as_json, None
    json_schema = schema(requested.schema, "response_format.json_schema.schema")
    return as_json | {"responseJsonSchema": json_schema}, None


def _logprobs(given: Mapping[str, Any]) -> JSON:
    if given.get("logprobs") is not True:
        return {}
    top = given.get("top_logprobs")
    if top is not None and (type(top) is not int or not 0 <= top <= 20):
        raise InvalidRequest("top_logprobs must be a number from 0 to 20", param="top_logprobs")
    return {"responseLogprobs": True} | ({"logprobs": top} if top else {})


def _seed(seed: Any) -> JSON:
    """OpenAI's seeds have 64 bits, Google's 31: reduced deterministically."""
    if seed is None:
        return {}
    if type(seed) is not int:
        raise InvalidRequest("seed must be a whole number", param="seed")
    return {"seed": seed % _SEEDS}


def _modalities(value: Any) -> JSON:
    if value is None or value in ([], ["text"]):
        return {}
    if not isinstance(value, list) or not all(each in _MODALITIES for each in value):
        raise InvalidRequest(
            f"modalities: Google's models answer with {' and '.join(_MODALITIES)} here",
            param="modalities",
        )
    return {"responseModalities": [each.upper() for each in value]}
