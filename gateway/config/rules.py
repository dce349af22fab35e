"""Rules that cannot hold, are never reached, or ask for what no request can have."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gateway.config.accounts import Named
from gateway.config.faults import Path, did_you_mean, listed, quoted
from gateway.config.routes import Route, Rule
from gateway.config.tree import Tree
from gateway.core.rules import When, never
from gateway.core.tags import OTHER

Regions: TypeAlias = Callable[[Path, Sequence[str]], None]
"""Notes a fault when no deployment is in any of the regions at a path."""


def check_rules(
    tree: Tree,
    path: Path,
    route: Route,
    tags: Mapping[str, Sequence[str]],
    named: Named,
    regions: Regions,
) -> None:
    """Notes every fault in the tree, but for those of tiers and checks. `path` is the route's."""
    places = tree.kept((*path, "rules"))
    names: dict[str, Path] = {}
    earlier: list[tuple[Rule, Path, When]] = []
    for here, rule in zip(places, route.rules, strict=True):
        if not tree.doubtful((*here, "name")):
            if rule.name in names:
                tree.fault(
                    (*here, "name"), f"is the name of {_display_path(names[rule.name])} already"
                )
            names.setdefault(rule.name, here)
        _values(tree, (*here, "when", "tags"), rule, tags, named)
        if rule.when.region is not None and not tree.doubtful((*here, "when", "region")):
            regions((*here, "when", "region"), rule.when.region)
        if tree.doubtful((*here, "when")):
            continue
        when = rule.when.when()
        if why := never(when):
            tree.fault((*here, "when"), f"can never hold: {why}")
            continue
        _reached(tree, here, when, earlier)
        earlier.append((rule, here, when))


def _reached(
    tree: Tree, here: Path, when: When, earlier: Sequence[tuple[Rule, Path, When]]
) -> None:
    for rule, place, other in earlier:
        if other in (When(), when):
            has = "no conditions" if other == When() else "the same conditions"
            where = _display_path(place)
            tree.fault(here, f"is never reached: {where} before it, {rule.name}, has {has}")
            return


def _values(
    tree: Tree, path: Path, rule: Rule, tags: Mapping[str, Sequence[str]], named: Named
) -> None:
    for name, values in rule.when.tags.items():
        if tree.doubtful((*path, name)):
            continue
        named((*path, name), name, "tags")
        # What is in no list is "other" by the time that rules are looked at.
        known = (*tags[name], OTHER) if tags.get(name) else values
        for here, value in zip(tree.kept((*path, name)), values, strict=True):
            if value not in known:
                hidden = here in tree.masked
                subject = "is no" if hidden else f"{quoted(value)} is no"
                shown = tree.shown(known)
                hint = "" if hidden else did_you_mean(value, shown)
                tree.fault(here, f"{subject} value of the tag {name}{hint} ({_known(shown)})")


def _known(values: Sequence[str]) -> str:
    return f"known: {listed(values)}"


def _display_path(path: Path) -> str:
    return f"rules[{path[-1]}]"
