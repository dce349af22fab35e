"""One entry of `model_list`: a deployment of a model, and the provider that has it."""

from typing import Any, Final

from msgspec import Struct

from gateway.config.litellm.costs import Known, capabilities, listed, price_of
from gateway.config.litellm.given import Given, Notes, fit, reference
from gateway.config.litellm.hosts import Asked, Asker
from gateway.config.litellm.periods import budget

_CHAT: Final = frozenset(("", "chat", "responses"))


class Entry(Struct, frozen=True):
    """`weigh` is what LiteLLM's shuffle goes by: its weight, requests and tokens a minute."""

    name: str
    path: str
    asked: Asked
    price: str | dict[str, Any] | None
    context: int | None
    listed_context: int | None
    max_output: int | None
    can: frozenset[str]
    weigh: tuple[int | None, int | None, int | None]
    order: int | None
    limits: tuple[dict[str, Any], ...]
    lacks: tuple[str, ...]
    regions: tuple[str, ...]
    timeout: str | None


def read_entry(given: Given, asker: Asker, known: Known, notes: Notes) -> Entry | None:
    """None, and a note, for what cannot be asked here."""
    name = given.text("model_name") or ""
    params, info = given.part("litellm_params"), given.part("model_info")
    mode = info.text("mode") or ""
    if mode not in _CHAT:
        notes.add("lost", given.path, f"{name}: only chat is served, not {mode}")
        given.forget()
        return None
    asked = asker.host_of(params)
    if asked is None or not name:
        if not name:
            notes.add("lost", given.path, "it has no model_name")
        given.forget()
        return None
    rpm, tpm = _either(params, info, "rpm"), _either(params, info, "tpm")
    price, window = price_of(name, asked, params, info, known, notes)
    output = info.count("max_output_tokens", "max_tokens")
    asks = params.count("max_tokens", "max_completion_tokens")
    if asks is not None:
        text = "it is the longest answer here, not what is asked for where a client says nothing"
        notes.add("changed", params.at("max_tokens"), text)
    dropped = params.take("additional_drop_params")
    return Entry(
        name=name,
        path=given.path,
        asked=asked,
        price=price,
        context=info.count("max_input_tokens") or window,
        listed_context=listed(asked, known).context,
        max_output=output if asks is None else asks,
        can=capabilities(info),
        weigh=(params.count("weight"), rpm, tpm),
        order=params.count("order"),
        limits=tuple(_limits(params, rpm, tpm, notes)),
        lacks=tuple(str(each) for each in dropped) if isinstance(dropped, list) else (),
        regions=tuple(fit(reference(r)) for r in [params.text("region_name")] if r is not None),
        timeout=params.text("timeout", "request_timeout"),
    )


def _either(params: Given, info: Given, key: str) -> int | None:
    here, there = params.count(key), info.count(key)
    return there if here is None else here


def _limits(params: Given, rpm: int | None, tpm: int | None, notes: Notes) -> list[dict[str, Any]]:
    """Of all replicas together."""
    limits: list[dict[str, Any]] = []
    if rpm is not None:
        limits.append({"requests": str(rpm), "per": "minute", "rolling": "true"})
    if tpm is not None:
        limits.append({"tokens": str(tpm), "per": "minute", "rolling": "true"})
    at_once = params.count("max_parallel_requests")
    if at_once is not None:
        limits.append({"at_once": str(at_once)})
    if params.has("max_budget"):
        limits += budget(params, "max_budget", "budget_duration", notes)
    return limits
