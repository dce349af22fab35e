"""Entries of one name are a model; their targets are providers, each written once."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any, Final

from gateway.config.litellm.entries import Entry
from gateway.config.litellm.given import Notes, valid_name
from gateway.config.litellm.reasons import CHANGED

GUESSED_CONTEXT: Final = 128_000
"""Tokens, for an unknown model. Most take as many; for others the provider will refuse."""
_ORDER: Final = ("tools", "vision", "files", "audio", "json_schema", "reasoning")


class Groups:
    """Providers and models as they are written. `names` are ours, by theirs."""

    def __init__(self, notes: Notes) -> None:
        self.providers: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.names: dict[str, str] = {}
        self.provider_limits: dict[str, list[dict[str, Any]]] = {}
        self.model_limits: dict[str, list[dict[str, Any]]] = {}
        self.prefixes: dict[str, list[str]] = {}
        self._alone: set[str] = set()
        self._notes = notes

    def add(self, name: str, entries: Sequence[Entry], taken: Sequence[str]) -> None:
        """All entries of a name; `taken` are all names there are."""
        if any(each.order is not None for each in entries):
            entries = sorted(entries, key=lambda each: (each.order is None, each.order or 0))
        weights = _weights(entries)
        if any(weights) and len({each.order for each in entries}) > 1:
            for each in entries:
                if each.order is not None:
                    path = f"{each.path}.litellm_params.order"
                    self._notes.add("changed", path, CHANGED["order"])
        deployments: list[dict[str, Any]] = []
        for entry, weight in zip(entries, weights, strict=True):
            used = {each["provider"] for each in deployments}
            own = bool(entry.limits) and len(entries) > 1
            provider = self._provider(entry, used, own=own)
            if own:
                self.provider_limits[provider] = list(entry.limits)
            deployment: dict[str, Any] = {"provider": provider, "upstream": entry.target.upstream}
            deployment |= {"weight": str(weight)} if weight is not None else {}
            deployment |= {"price": entry.price} if entry.price is not None else {}
            deployment |= {"lacks": list(entry.lacks)} if entry.lacks else {}
            deployment |= {"regions": list(entry.regions)} if entry.regions else {}
            deployments.append(deployment)
        ours = self._name_model(name, deployments, taken)
        if len(entries) == 1 and entries[0].limits:
            self.model_limits[ours] = list(entries[0].limits)
        self.models[ours] = {"deployments": deployments, **self._sizes(name, entries)}

    def _provider(self, entry: Entry, used: set[str], *, own: bool) -> str:
        """A provider with the same stanza that this model does not ask yet, or a new one."""
        name, number = entry.target.name, 1
        while True:
            free = name not in self.providers
            same = not free and self.providers[name] == entry.target.stanza and not own
            if free or (same and name not in used and name not in self._alone):
                break
            number += 1
            name = f"{entry.target.name}-{number}"
        if own:
            self._alone.add(name)
        self.providers[name] = dict(entry.target.stanza)
        of_prefix = self.prefixes.setdefault(entry.target.prefix, [])
        if name not in of_prefix:
            of_prefix.append(name)
        return name

    def _name_model(
        self, name: str, deployments: Sequence[Mapping[str, Any]], taken: Sequence[str]
    ) -> str:
        """Our name. Clients can ask for `openai/gpt-4o` also when the model is `gpt-4o`."""
        head, _, tail = name.partition("/")
        ours = valid_name(name)
        if tail and "/" not in tail and [head] == [each["provider"] for each in deployments]:
            free = tail not in taken and tail not in self.models
            ours = tail if free and valid_name(tail) == tail else ours
        while ours in self.models:
            ours += "-2"
        if name not in {ours, f"{head}/{ours}"}:
            text = f"clients ask for {ours}: a name has only letters, digits and . _ : @ + -"
            self._notes.add("changed", f"model_name {name}", text)
        self.names[name] = ours
        return ours

    def _sizes(self, name: str, entries: Sequence[Entry]) -> dict[str, Any]:
        stated = [each.context for each in entries if each.context is not None]
        listed = [each.listed_context for each in entries if each.listed_context is not None]
        sizes: dict[str, Any] = {}
        context = min(stated, default=listed[0] if listed else GUESSED_CONTEXT)
        if stated or not listed:
            sizes["context"] = str(context)
        if not stated and not listed:
            text = f"nobody knows how many tokens it takes: context is a guess, {context}"
            self._notes.add("check", f"model_name {name}", text)
        outputs = [each.max_output for each in entries if each.max_output is not None]
        if outputs:
            sizes["max_output"] = str(min(*outputs, context))
        can = frozenset(_ORDER).intersection(*(each.capabilities for each in entries))
        sizes["capabilities"] = [each for each in _ORDER if each in can]
        factors = [each.token_factor for each in entries if each.token_factor is not None]
        if factors:
            sizes["token_factor"] = max(factors, key=float)
        return sizes


def _weights(entries: Sequence[Entry]) -> list[int | None]:
    """As LiteLLM shuffles: by weight, else by requests a minute, else by tokens, else equally,
    whichever the first entry has. Who has none, or 0, is asked where the others fail. Distinct
    values of `order` go first.
    """
    orders = [each.order for each in entries]
    if len(entries) == 1 or (any(orders) and len(set(orders)) == len(orders)):
        return [None] * len(entries)
    for kind in range(3):
        if entries[0].weights[kind] is not None:
            shares = [Fraction(each.weights[kind] or 0) for each in entries]
            if any(shares):
                whole = lcm(*(share.denominator for share in shares))
                return [int(share * whole) or None for share in shares]
    return [1] * len(entries)
