"""Optional providers: left out, rather than at fault, while a variable they name is not set.

So one file can list every provider there is, and be used with the key of one. What only they
serve is left out with them; a tier that names such a model is at fault.
"""

from collections.abc import Iterable, Mapping

from gateway.config import schema
from gateway.config.faults import dotted, listed, quoted
from gateway.config.tree import Tree
from gateway.config.validate import Parts


def missing_variables(tree: Tree, provider: str) -> list[str]:
    """The variables that a provider lacks."""
    mine = (names for path, names in tree.missing.items() if path[:2] == ("providers", provider))
    return sorted({name for names in mine for name in names})


def leave_out(tree: Tree) -> None:
    """Note in the tree which providers are left out, and take back what was at fault in them."""
    providers = tree.root.get("providers")
    for name, stanza in providers.items() if isinstance(providers, dict) else ():
        if not isinstance(stanza, dict) or stanza.get("optional") != "true":
            continue
        if variables := missing_variables(tree, name):
            tree.left_out[name] = f"{listed(variables)} not set"
    paths = [path for path in tree.missing if path[1:2] and path[1] in tree.left_out]
    tree.broken.update(paths)
    excused = {dotted(path) for path in paths}
    tree.faults = [fault for fault in tree.faults if fault.path not in excused]


def configured_deployments(tree: Tree, stanza: schema.Model) -> list[schema.Deployment]:
    """The deployments of a model at configured providers."""
    return [each for each in stanza.deployments if each.provider not in tree.left_out]


def is_complete(tree: Tree, model: str, stanza: schema.Model) -> bool:
    """Whether a model's deployments are all that were written."""
    path = ("models", model, "deployments")
    if tree.written_part(path) != path:
        return False
    written = tree.at(path)
    return isinstance(written, list) and len(stanza.deployments) == len(written)


def left_out_models(tree: Tree, parts: Parts) -> Mapping[str, str]:
    """The models that no configured provider serves, and why."""
    return {
        name: f"not configured: {_why(tree, stanza.deployments)}"
        for name, stanza in parts.models.items()
        if stanza.deployments
        and is_complete(tree, name, stanza)
        and not configured_deployments(tree, stanza)
    }


def check_tiers(tree: Tree, parts: Parts, models: Mapping[str, str]) -> None:
    """A tier that names a model that is left out would promise what is not there."""
    for name, tier in parts.tiers.items():
        for here, entry in zip(
            tree.sound_items(("tiers", name, "models")), tier.models, strict=True
        ):
            if entry.model in models:
                path = tree.written_part((*here, "model"))
                hidden = path in tree.masked
                subject = "a model" if hidden else quoted(entry.model)
                why = _why(tree, parts.models[entry.model].deployments)
                tree.fault(path, f"names {subject}, and no provider of it is configured: {why}")


def _why(tree: Tree, deployments: Iterable[schema.Deployment]) -> str:
    return "; ".join(f"{each.provider} ({tree.left_out[each.provider]})" for each in deployments)
