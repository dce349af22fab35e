"""Fallbacks of models, and other names for them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.config.litellm.given import Notes, Section, valid_name
from gateway.config.litellm.groups import Groups

_KINDS: Final[tuple[tuple[str, str | None], ...]] = (
    ("fallbacks", None),
    (
        "context_window_fallbacks",
        "a fallback like any other: who has no room for a prompt is passed over before it is asked",
    ),
    (
        "content_policy_fallbacks",
        "a fallback like any other: who filters a request is passed over, not who only says no",
    ),
)
_ALL: Final = "*"


def read_aliases(router: Section, settings: Section, notes: Notes) -> dict[str, str]:
    """Aliases, each with the name of its model."""
    aliases: dict[str, str] = {}
    for section, key in ((settings, "model_alias_map"), (router, "model_group_alias")):
        stated = section.take(key)
        for alias, target in stated.items() if isinstance(stated, Mapping) else ():
            path = f"{section.at(key)}.{alias}"
            hidden = target.get("hidden") if isinstance(target, Mapping) else None
            if str(hidden).lower() == "true":
                notes.add("lost", f"{path}.hidden", "every name is in /v1/models")
            model = target.get("model") if isinstance(target, Mapping) else target
            if isinstance(model, str):
                aliases[str(alias)] = model
            else:
                notes.add("lost", path, "it names no model")
    return aliases


def add_fallbacks(
    sections: tuple[Section, ...], aliases: Mapping[str, str], groups: Groups, notes: Notes
) -> None:
    """Into the models. `"*"` and `default_fallbacks` are of those that have no `fallbacks`."""
    for_all: list[tuple[str, str]] = []
    for key, remark in _KINDS:
        if remark is not None:
            _add_defaults(sections, aliases, groups, for_all, notes)
        for each in sections:
            for path, name, others in _pairs(each, key):
                if remark is not None:
                    notes.add("changed", path, remark)
                if name == _ALL:
                    for_all += ((path, other) for other in others)
                else:
                    _add(groups, aliases, name, [(path, other) for other in others], notes)


def _add_defaults(
    sections: tuple[Section, ...],
    aliases: Mapping[str, str],
    groups: Groups,
    for_all: list[tuple[str, str]],
    notes: Notes,
) -> None:
    for each in sections:
        stated = each.take("default_fallbacks")
        defaults = stated if isinstance(stated, list) else [stated] if stated else []
        for_all += ((each.at("default_fallbacks"), str(other)) for other in defaults)
    for name in [n for n, ours in groups.names.items() if "fallbacks" not in groups.models[ours]]:
        _add(groups, aliases, name, for_all, notes)
    for_all.clear()


def _pairs(section: Section, key: str) -> Iterator[tuple[str, str, list[str]]]:
    """The path, the model and its fallbacks, for each entry of `[{a: [b, c]}]`."""
    stated = section.take(key)
    for i, each in enumerate(stated if isinstance(stated, list) else [stated]):
        for name, others in each.items() if isinstance(each, Mapping) else ():
            names = others if isinstance(others, list) else [others]
            yield f"{section.at(key)}[{i}]", str(name), [_name(other) for other in names]


def _name(other: Any) -> str:
    return str(other.get("model", other)) if isinstance(other, Mapping) else str(other)


def _add(
    groups: Groups,
    aliases: Mapping[str, str],
    name: str,
    others: list[tuple[str, str]],
    notes: Notes,
) -> None:
    ours = groups.names.get(aliases.get(name, name))
    for path, other in others:
        theirs = groups.names.get(aliases.get(other, other))
        if ours is None or theirs is None:
            missing = name if ours is None else other
            notes.add("lost", path, f"{missing} is no model of this list that can be asked here")
        elif theirs != ours:
            listed = groups.models[ours].setdefault("fallbacks", [])
            if theirs not in listed:
                listed.append(theirs)


def routes_of(
    aliases: Mapping[str, str], groups: Groups, notes: Notes
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tiers and routes: another name is a route to the model, then to its fallbacks."""
    tiers: dict[str, Any] = {}
    routes: dict[str, Any] = {}
    for alias, target in aliases.items():
        ours, name = groups.names.get(target), valid_name(alias)
        path = f"model_group_alias.{alias}"
        if ours is None:
            notes.add("lost", path, f"{target} is no model of this list that can be asked here")
            continue
        if name in groups.models or name in routes:
            notes.add("lost", path, f"{name} is the name of a model already, which answers")
            continue
        if name != alias:
            text = f"clients ask for {name}: a name has only letters, digits and . _ : @ + -"
            notes.add("changed", path, text)
        tier = f"for-{name}"
        while tier in groups.models or tier in aliases:
            tier += "-2"
        tiers[tier] = {"models": [ours, *groups.models[ours].get("fallbacks", [])]}
        routes[name] = {"tiers": [tier]}
    return tiers, routes
