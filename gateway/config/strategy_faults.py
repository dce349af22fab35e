"""Strategies that no tier has enough models for."""

from collections.abc import Iterator, Sequence

from gateway.config.faults import Path
from gateway.config.optional import configured_deployments
from gateway.config.routes import Route
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.catalog import BALLOTS, Tactic


def check_strategies(tree: Tree, parts: Parts, path: Path, route: Route) -> None:
    """Notes every fault in the tree. `path` is the route's."""
    sure = not tree.doubtful(("tiers",), ("models",), ("providers",))
    if not sure or tree.doubtful((*path, "strategy"), (*path, "tiers"), (*path, "rules")):
        return
    if why := _why_impossible(tree, parts, route.strategy, route.tiers):
        tree.fault((*path, "strategy"), why)
        return
    for here, rule in zip(tree.sound_items((*path, "rules")), route.rules, strict=True):
        chosen = rule.strategy or route.strategy
        if why := _why_impossible(tree, parts, chosen, rule.tiers):
            own = rule.strategy is not None
            tree.fault((*here, "strategy" if own else "tiers"), why)


def _why_impossible(tree: Tree, parts: Parts, chosen: Tactic, tiers: Sequence[str]) -> str | None:
    """Why one of the strategies, the first or what comes `then`, can never be what it says.

    A strategy takes the tier of its place in line; or an earlier one, where those before it had
    nothing to do. One in line beyond the tiers has nothing to do itself.
    """
    for place, each in enumerate(_chain(chosen)):
        needs, unit = _needs(each)
        here = [name for name in tiers[: place + 1] if name in parts.tiers]
        if needs < 2 or place >= len(tiers) or not here:
            continue
        if max(_count(tree, parts, name, unit) for name in here) < needs:
            where = " or ".join(here)
            return f"{each.name} needs {needs} {unit} in one tier: {where} has fewer"
    return None


def _chain(chosen: Tactic | None) -> Iterator[Tactic]:
    while chosen is not None:
        yield chosen
        chosen = chosen.then


def _needs(chosen: Tactic) -> tuple[int, str]:
    if chosen.name in BALLOTS:
        return chosen.options["voters"], "models"
    return (2, "deployments") if chosen.name == "hedge" else (1, "models")


def _count(tree: Tree, parts: Parts, tier: str, unit: str) -> int:
    """How many models or deployments a tier has; others are reported elsewhere."""
    names = {entry.model for entry in parts.tiers[tier].models}
    if unit == "models":
        return len(names)
    known = [parts.models[name] for name in names if name in parts.models]
    return (
        sum(len(configured_deployments(tree, model)) for model in known) + len(names) - len(known)
    )
