"""What a model costs, how much it holds and what it can do, from an entry and from genai-prices."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.config.litellm.given import Given, Notes
from gateway.config.litellm.hosts import Asked
from gateway.config.prices import Listing
from gateway.core.money import Price, usd
from gateway.core.tariff import Tariff

Known = Callable[[str, str], Listing]
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
_CAN: Final = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_pdf_input": "files",
    "supports_audio_input": "audio",
}
_STAND_INS: Final = {
    "azure": "https://x.openai.azure.com/openai",
    "openai": "https://api.openai.com/v1",
}
"""Where a model of theirs is looked up when its own address says nothing."""


def price_of(
    name: str, asked: Asked, params: Given, info: Given, known: Known, notes: Notes
) -> tuple[str | dict[str, Any] | None, int | None]:
    """The price, None where genai-prices will say it; and the window that must be written for
    the same reason, None where it will say that, too, or nobody knows it.
    """
    stated, base = _stated(params, info), info.text("base_model")
    listing = listed(asked, known)
    if listing.tariff is not None:
        return stated, None
    where = _STAND_INS.get(asked.prefix, "")
    names = (base and base.rpartition("/")[2], asked.upstream, name) if where else ()
    for each in filter(None, names):
        found = known(where, each)
        if found.tariff is not None:
            if stated is None:
                text = f"the price is that of {each}, by genai-prices"
                notes.add("check", params.at("model"), text)
            return stated or _written(found.tariff), found.context
    if stated is None:
        text = "nobody knows a price, so it is free, as LiteLLM counts it: write one if it is not"
        notes.add("check", params.at("model"), text)
    return stated or "free", listing.context


def listed(asked: Asked, known: Known) -> Listing:
    """What will be listed of it. A variable in an address stands for its default, or for anything;
    of one that begins with a variable nothing is known yet.
    """
    url = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", asked.stanza["base_url"])
    if url.startswith("${"):
        return Listing()
    return known(re.sub(r"\$\{\w+\}", "x", url), asked.upstream)


def capabilities(info: Given) -> frozenset[str]:
    """LiteLLM asks whoever has the name, so a model can do all that is not denied."""
    denied = {ours for theirs, ours in _CAN.items() if info.flag(theirs) is False}
    return frozenset(_CAN.values()) - denied


def _stated(params: Given, info: Given) -> str | dict[str, Any] | None:
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


def _rates(params: Given, info: Given, suffix: str) -> Mapping[str, Decimal]:
    """USD for a million tokens. What an entry says twice holds as `litellm_params` says it."""
    found = {}
    for theirs, ours in _RATES.items():
        here, there = params.number(theirs + suffix), info.number(theirs + suffix)
        rate = there if here is None else here
        if rate is not None:
            found[ours] = rate * _MILLION
    return found


def _plain(rate: Decimal) -> str:
    text = f"{rate:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _written(tariff: Tariff) -> dict[str, Any]:
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
