"""LiteLLM's `config.yaml` to a configuration of ours, and a list of what is not in it."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.config.litellm import settings as other
from gateway.config.litellm.chains import add_fallbacks, read_aliases, routes_of
from gateway.config.litellm.costs import Known
from gateway.config.litellm.entries import Entry, read_entry
from gateway.config.litellm.given import Given, Note, Notes
from gateway.config.litellm.groups import Groups
from gateway.config.litellm.hosts import Asker
from gateway.config.litellm.reasons import CHANGED, LOST, UNKNOWN


class Imported(Struct, frozen=True):
    """`config` is what our YAML says: texts, lists and mappings."""

    config: dict[str, Any]
    notes: tuple[Note, ...]


def translate(
    source: Mapping[str, Any],
    ready: Mapping[str, Mapping[str, Any]],
    known: Known,
    env: Mapping[str, str],
) -> Imported:
    """`source` is their YAML as texts. `ready` are providers that come ready, `known` what
    genai-prices lists; of `env` only the master key is read, for its hash.
    """
    notes, given = Notes(), Given(source, "")
    general, router = given.part("general_settings"), given.part("router_settings")
    settings = given.part("litellm_settings")
    asker, groups = Asker(ready, notes), Groups(notes)
    entries = [read_entry(each, asker, known, notes) for each in given.parts("model_list")]
    by_name: dict[str, list[Entry]] = {}
    for entry in filter(None, entries):
        by_name.setdefault(entry.name, []).append(entry)
    for name, found in by_name.items():
        groups.add(name, found, tuple(by_name))
    _unsupported(settings, groups)
    if groups.models:
        text = "capabilities: a model is taken to do all that its model_info does not deny"
        notes.add("check", "model_list", text)
    if any(each.weigh[1] or each.weigh[2] for found in by_name.values() for each in found):
        notes.add("changed", "model_list", "rpm and tpm are limits, of all replicas together")
    if router.has("routing_strategy") and router.text("routing_strategy") != "simple-shuffle":
        notes.add("changed", router.at("routing_strategy"), CHANGED["routing_strategy"])
    aliases = read_aliases(router, settings, notes)
    add_fallbacks((router, settings), aliases, groups, notes)
    config = _sections(general, router, settings, groups, env, notes)
    waits = {each.path: each.timeout for found in by_name.values() for each in found}
    config["timeouts"] = other.timeouts(settings, router, waits)
    config["tiers"], config["routes"] = routes_of(aliases, groups, notes)
    for path, seconds in waits.items():
        if seconds is not None and config["timeouts"].get("answer_s") != seconds:
            notes.add("changed", f"{path}.litellm_params.timeout", CHANGED["timeout"])
    _tell_the_rest(given, notes)
    return Imported({name: part for name, part in config.items() if part}, notes.all())


def _sections(
    general: Given,
    router: Given,
    settings: Given,
    groups: Groups,
    env: Mapping[str, str],
    notes: Notes,
) -> dict[str, Any]:
    url = other.redis(router, settings.part("cache_params"), notes)
    tenant, admin = other.keys(general, env, notes)
    spend, shared = other.limits(general, settings, router, groups, notes)
    tenant |= {"budgets": spend} if spend else {}
    tenant |= {"organisation": other.SHARED} if shared else {}
    key = {"id": "master", "hash": admin, "scopes": ["read", "write"]}
    return {
        "redis": {} if url is None else {"url": url},
        "providers": groups.providers,
        "models": groups.models,
        "tiers": {},
        "routes": {},
        "tenants": {other.TENANT: tenant},
        "organisations": {other.SHARED: shared} if shared else {},
        "admin": {} if admin is None else {"keys": [key]},
    }


def _unsupported(settings: Given, groups: Groups) -> None:
    """`drop_params: false` is an error for what a provider does not know."""
    if settings.flag("drop_params") is False:
        for stanza in groups.providers.values():
            stanza["unsupported"] = "refuse"


def _tell_the_rest(given: Given, notes: Notes) -> None:
    for path in given.left():
        key = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
        if key in CHANGED:
            notes.add("changed", path, CHANGED[key])
        else:
            notes.add("lost", path, LOST.get(key, UNKNOWN))
