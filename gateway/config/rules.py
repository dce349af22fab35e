"""Rules that cannot hold, are never reached, or ask for what no request can have."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gateway.config.accounts import CheckReference
from gateway.config.faults import Path, did_you_mean, listed, quoted
from gateway.config.routes import Route, Rule
from gateway.config.tree import Tree
from gateway.core.rules import When, never
from gateway.core.tags import OTHER

CheckRegions: TypeAlias = Callable[[Path, Sequence[str]], None]
"""Notes a fault when no deployment is in any of the regions at a path."""


def check_rules(
    tree: Tree,
    path: Path,
    route: Route,
    tags: Mapping[str, Sequence[str]],
    check_reference: CheckReference,
    check_regions: CheckRegions,
) -> None:
    """Notes every fault in the tree, but for those of tiers and checks. `path` is the route's."""
    places = tree.sound_items((*path, "rules"))
    names: dict[str, Path] = {}
    earlier: list[tuple[Rule, Path, When]] = []
    for here, rule in zip(places, route.rules, strict=True):
        if not tree.doubtful((*here, "name")):
            if rule.name in names:
                tree.fault(
                    (*here, "name"), f"is the name of {_display_path(names[rule.name])} already"
                )
            names.setdefault(rule.name, here)
        _check_tag_values(tree, (*here, "when", "tags"), rule, tags, check_reference)
        if rule.when.region is not None and not tree.doubtful((*here, "when", "region")):
            check_regions((*here, "when", "region"), rule.when.region)
        if tree.doubtful((*here, "when")):
            continue
        when = rule.when.when()
        if why := never(when):
            tree.fault((*here, "when"), f"can never hold: {why}")
            continue
        _check_reachable(tree, here, when, earlier)
        earlier.append((rule, here, when))


def _check_reachable(
    tree: Tree, here: Path, when: When, earlier: Sequence[tuple[Rule, Path, When]]
) -> None:
    for rule, place, other in earlier:
        if other in (When(), when):
            has = "no conditions" if other == When() else "the same conditions"
            where = _display_path(place)
            tree.fault(here, f"is never reached: {where} before it, {rule.name}, has {has}")
            return


def _check_tag_values(
    tree: Tree,
    path: Path,
    rule: Rule,
    tags: Mapping[str, Sequence[str]],
    check_reference: CheckReference,
) -> None:
    for name, values in rule.when.tags.items():
        if tree.doubtful((*path, name)):
            continue
        check_reference((*path, name), name, "tags")
        # What is in no list is "other" by the time that rules are looked at.
        known = (*tags[name], OTHER) if tags.get(name) else values
        for here, value in zip(tree.sound_items((*path, name)), values, strict=True):
            if value not in known:
                hidden = here in tree.masked
                subject = "is no" if hidden else f"{quoted(value)} is no"
                shown = tree.showable(known)
                hint = "" if hidden else did_you_mean(value, shown)
                tree.fault(here, f"{subject} value of the tag {name}{hint} ({_known(shown)})")


def _known(values: Sequence[str]) -> str:
    return f"known: {listed(values)}"


def _display_path(path: Path) -> str:
    return f"rules[{path[-1]}]"
