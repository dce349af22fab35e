"""LiteLLM's `config.yaml` to a configuration of ours, and a list of what is not in it."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.config.litellm import settings as other
from gateway.config.litellm.chains import add_fallbacks, read_aliases, routes_of
from gateway.config.litellm.costs import LookUp
from gateway.config.litellm.credentials import Credentials
from gateway.config.litellm.entries import Entry, read_entry
from gateway.config.litellm.given import Note, Notes, Section
from gateway.config.litellm.groups import Groups
from gateway.config.litellm.hosts import TargetResolver
from gateway.config.litellm.known import Shelf
from gateway.config.litellm.reasons import CHANGED, LOST, UNKNOWN


class Imported(Struct, frozen=True):
    """`config` is what our YAML says: texts, lists and mappings."""

    config: dict[str, Any]
    notes: tuple[Note, ...]


def translate(
    source: Mapping[str, Any],
    shipped: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    look_up: LookUp,
    env: Mapping[str, str],
) -> Imported:
    """`source` is their YAML as texts. `shipped` are the shipped providers, `models` the shipped
    models, `look_up` asks genai-prices; of `env` only the master key is read, for its hash.
    """
    notes, root = Notes(), Section(source, "")
    general, router = root.part("general_settings"), root.part("router_settings")
    settings = root.part("litellm_settings")
    credentials = Credentials(root, notes)
    resolver, groups = TargetResolver(shipped, credentials, notes), Groups(notes)
    shelf, listed = Shelf(models), root.parts("model_list")
    entries = [read_entry(each, resolver, shelf, look_up, notes) for each in listed]
    by_name: dict[str, list[Entry]] = {}
    for entry in filter(None, entries):
        by_name.setdefault(entry.name, []).append(entry)
    for name, group in by_name.items():
        groups.add(name, group, tuple(by_name))
    _unsupported(settings, groups)
    if groups.models:
        text = "capabilities: a model is taken to do all that its model_info does not deny"
        notes.add("check", "model_list", text)
    if any(each.weights[1] or each.weights[2] for group in by_name.values() for each in group):
        notes.add("changed", "model_list", "rpm and tpm are limits, of all replicas together")
    if router.has("routing_strategy") and router.text("routing_strategy") != "simple-shuffle":
        notes.add("changed", router.at("routing_strategy"), CHANGED["routing_strategy"])
    aliases = read_aliases(router, settings, notes)
    add_fallbacks((router, settings), aliases, groups, notes)
    config = _sections(general, router, settings, groups, env, notes)
    timeouts = {each.path: each.timeout for group in by_name.values() for each in group}
    config["timeouts"] = other.timeouts(settings, router, timeouts)
    config["tiers"], config["routes"] = routes_of(aliases, groups, notes)
    for path, seconds in timeouts.items():
        if seconds is not None and config["timeouts"].get("answer_s") != seconds:
            notes.add("changed", f"{path}.litellm_params.timeout", CHANGED["timeout"])
    credentials.discard_used()
    _note_unread(root, notes)
    return Imported({name: part for name, part in config.items() if part}, notes.all())


def _sections(
    general: Section,
    router: Section,
    settings: Section,
    groups: Groups,
    env: Mapping[str, str],
    notes: Notes,
) -> dict[str, Any]:
    url = other.redis(router, settings.part("cache_params"), notes)
    tenant, admin = other.keys(general, env, notes)
    spend, shared = other.limits(general, settings, router, groups, notes)
    tenant |= {"budgets": spend} if spend else {}
    each_user = other.user_budgets(settings, notes)
    tenant |= {"user_budgets": each_user} if each_user else {}
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


def _unsupported(settings: Section, groups: Groups) -> None:
    """`drop_params: false` is an error for what a provider does not know."""
    if settings.flag("drop_params") is False:
        for stanza in groups.providers.values():
            stanza["unsupported"] = "refuse"


def _note_unread(section: Section, notes: Notes) -> None:
    for path in section.unread():
        key = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
        if key in CHANGED:
            notes.add("changed", path, CHANGED[key])
        else:
            notes.add("lost", path, LOST.get(key, UNKNOWN))
