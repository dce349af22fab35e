"""One entry of `model_list`: a deployment of a model, and the provider that has it."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.config.litellm.costs import LookUp, capabilities, listed, price_of
from gateway.config.litellm.given import Notes, Section, reference, valid_name
from gateway.config.litellm.hosts import Target, TargetResolver
from gateway.config.litellm.known import Known, Shelf
from gateway.config.litellm.periods import budget

_CHAT: Final = frozenset(("", "chat", "responses"))
_OTHER_KINDS: Final = re.compile(
    r"(^|[-_./])(embed\w*|rerank\w*|dall-e|gpt-image|whisper|tts|transcribe|moderation|realtime)\b"
)
"""In the name of a model, where its entry does not say its mode."""


class Entry(Struct, frozen=True):
    """`weights` are what LiteLLM's shuffle goes by: its weight, requests and tokens a minute."""

    name: str
    path: str
    target: Target
    price: str | dict[str, Any] | None
    context: int | None
    listed_context: int | None
    max_output: int | None
    capabilities: frozenset[str]
    weights: tuple[Decimal | int | None, int | None, int | None]
    order: int | None
    limits: tuple[dict[str, Any], ...]
    lacks: tuple[str, ...]
    regions: tuple[str, ...]
    timeout: str | None
    token_factor: str | None


def read_entry(
    section: Section, resolver: TargetResolver, shelf: Shelf, look_up: LookUp, notes: Notes
) -> Entry | None:
    """None, and a note, for what cannot be asked here."""
    name = section.text("model_name") or ""
    params, info = section.part("litellm_params"), section.part("model_info")
    mode = info.text("mode") or ""
    if mode not in _CHAT:
        notes.add("lost", section.path, f"{name}: only chat is served, not {mode}")
        section.discard()
        return None
    target = resolver.resolve(params)
    if target is not None and not mode and (kind := _OTHER_KINDS.search(target.upstream)):
        notes.add("lost", section.path, f"{name}: only chat is served, not {kind[2]}")
        target = None
    if target is None or not name:
        if not name:
            notes.add("lost", section.path, "it has no model_name")
        section.discard()
        return None
    rpm, tpm = (_first(key, params, info, section) for key in ("rpm", "tpm"))
    base = (info.text("base_model") or "").rpartition("/")[2]
    names = (base, target.upstream, name)
    price, window = price_of(names, target, params, info, look_up, notes)
    output = info.count("max_output_tokens", "max_tokens")
    stated_max = params.count("max_tokens", "max_completion_tokens")
    if stated_max is not None:
        text = "it is the longest answer here, not what is asked for where a client says nothing"
        notes.add("changed", params.at("max_tokens"), text)
    dropped = params.take("additional_drop_params")
    known = shelf.find(names[:2])
    return Entry(
        name=name,
        path=section.path,
        target=target,
        price=_with_fee(price, known),
        context=info.count("max_input_tokens") or window,
        listed_context=listed(target, look_up).context,
        max_output=output if stated_max is None else stated_max,
        capabilities=capabilities(info),
        weights=(params.number("weight"), rpm, tpm),
        order=params.count("order"),
        limits=tuple(_limits(params, rpm, tpm, notes)),
        lacks=_lacks(target, known, dropped if isinstance(dropped, list) else ()),
        regions=tuple(
            valid_name(reference(r)) for r in [params.text("region_name")] if r is not None
        ),
        timeout=params.text("timeout", "request_timeout"),
        token_factor=known.token_factor,
    )


def _with_fee(price: str | dict[str, Any] | None, known: Known) -> str | dict[str, Any] | None:
    """What searches of the web cost stands beside the rates, also where genai-prices has those."""
    if isinstance(price, str) or not known.search:
        return price
    return {**(price or {}), **known.search}


def _lacks(target: Target, known: Known, dropped: Iterable[Any]) -> tuple[str, ...]:
    """What the deployment says stands in the place of what its provider says, so it says all."""
    own = (*known.lacks, *map(str, dropped))
    return tuple(dict.fromkeys((*target.stanza.get("lacks", ()), *own))) if own else ()


def _first(key: str, *sections: Section) -> int | None:
    """What the first of these sections that has it says; of the others it is not reported."""
    return next((n for n in [each.count(key) for each in sections] if n is not None), None)


def _limits(
    params: Section, rpm: int | None, tpm: int | None, notes: Notes
) -> list[dict[str, Any]]:
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
