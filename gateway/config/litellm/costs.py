"""What a model costs, how much it holds and what it can do, from an entry and from genai-prices."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.config.litellm.given import Notes, Section
from gateway.config.litellm.hosts import Target
from gateway.config.prices import Listing
from gateway.core.money import Price, usd
from gateway.core.tariff import Tariff

LookUp = Callable[[str, str], Listing]
"""What is listed of an upstream name at a `base_url`."""

_MILLION: Final = 1_000_000
_RATES: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "audio_cached_input",
    "output_cost_per_image_token": "image_output",
}
"""USD for one token, as they write it; ours are for a million."""
_ABOVE: Final = (128, 200, 256, 272)
"""Thousands of tokens of a prompt, above which LiteLLM knows other rates."""
_CAPABILITIES: Final = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_pdf_input": "files",
    "supports_audio_input": "audio",
}
_STAND_INS: Final = {
    "azure": "https://x.openai.azure.com/openai",
    "bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com",
    "openai": "https://api.openai.com/v1",
}
"""Where a model of theirs is looked up when its own address says nothing."""


def price_of(
    names: Sequence[str],
    target: Target,
    params: Section,
    info: Section,
    look_up: LookUp,
    notes: Notes,
) -> tuple[str | dict[str, Any] | None, int | None]:
    """The price, None where genai-prices has it; and the context window to write, None where
    genai-prices has that, too, or it is not known. `names` are what it may be listed as.
    """
    stated = _stated(params, info)
    listing = listed(target, look_up)
    if listing.tariff is not None:
        return stated, None
    where = _STAND_INS.get(target.prefix, "")
    for each in filter(None, names if where else ()):
        guess = look_up(where, each)
        if guess.tariff is not None:
            if stated is None:
                text = f"the price is that of {each}, by genai-prices"
                notes.add("check", params.at("model"), text)
            return stated or _price_stanza(guess.tariff), guess.context
    if stated is None:
        text = "nobody knows a price, so it is free, as LiteLLM counts it: write one if it is not"
        notes.add("check", params.at("model"), text)
    return stated or "free", listing.context


def listed(target: Target, look_up: LookUp) -> Listing:
    """What will be listed of it. A variable in an address stands for its default, or for anything;
    of one that begins with a variable nothing is known yet.
    """
    url = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", target.stanza["base_url"])
    if url.startswith("${"):
        return Listing()
    return look_up(re.sub(r"\$\{\w+\}", "x", url), target.upstream)


def capabilities(info: Section) -> frozenset[str]:
    """LiteLLM does not check capabilities, so a model has all that are not denied."""
    denied = {ours for theirs, ours in _CAPABILITIES.items() if info.flag(theirs) is False}
    return frozenset(_CAPABILITIES.values()) - denied


def _stated(params: Section, info: Section) -> str | dict[str, Any] | None:
    rates = _rates(params, info, "")
    if "input" not in rates and "output" not in rates:
        return None
    written: dict[str, Any] = {key: _plain(rate) for key, rate in rates.items()}
    written = {"input": "0", "output": "0", **written}
    steps = []
    for thousands in _ABOVE:
        dearer = _rates(params, info, f"_above_{thousands}k_tokens")
        if dearer:
            step = {**rates, **dearer}
            plain = {key: _plain(rate) for key, rate in step.items()}
            steps.append({"above": str(thousands * 1000), "input": "0", "output": "0", **plain})
    if steps:
        written["steps"] = steps
    elif not any(rates.values()):
        return "free"
    return written


def _rates(params: Section, info: Section, suffix: str) -> Mapping[str, Decimal]:
    """USD for a million tokens. Where an entry has it twice, `litellm_params` wins."""
    rates = {}
    for theirs, ours in _RATES.items():
        in_params, in_info = params.number(theirs + suffix), info.number(theirs + suffix)
        rate = in_info if in_params is None else in_params
        if rate is not None:
            rates[ours] = rate * _MILLION
    return rates


def _plain(rate: Decimal) -> str:
    text = f"{rate:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price_stanza(tariff: Tariff) -> dict[str, Any]:
    def rates(price: Price) -> dict[str, Any]:
        every = {"input": price.input, "output": price.output,
                 "cached_input": price.cached_input, "cache_write": price.cache_write}  # fmt: skip
        if price.audio is not None:
            every |= {"audio_input": price.audio.input, "audio_output": price.audio.output,
                      "audio_cached_input": price.audio.cached_input}  # fmt: skip
        if price.image_output is not None:
            every["image_output"] = price.image_output
        return {key: usd(rate) for key, rate in every.items()}

    written = rates(tariff.usual)
    if tariff.steps:
        written["steps"] = [{"above": str(s.above), **rates(s.price)} for s in tariff.steps]
    return written
