"""Which route `tollgate replay` rehearses: a file's, the configuration's, or just a strategy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import structs

from gateway.config.build import build_models, build_snapshot
from gateway.config.faults import ConfigError
from gateway.config.load import in_order, read_files, read_trees
from gateway.config.references import check_references
from gateway.config.validate import validate
from gateway.core.catalog import Catalog, Route
from gateway.core.strategies import STRATEGIES, tactic
from gateway.replay.records import Unusable

_STAND_IN: Final = "xx-none-1"
"""In place of variables that are not set: nothing is called."""
_SECTIONS: Final = ("providers", "models", "tiers", "routes", "tags")
_NOWHERE: Final = "nowhere"
_NOBODY: Final = ("to-be-dealt-1", "to-be-dealt-2", "to-be-dealt-3")
"""In a tier that the file does not say: the pool is dealt to it. As many as may vote."""
_NOTHING: Final = Catalog({}, {}, {})
_DEFAULT: Final = "auto"


def find_route(
    wanted: str, config: Sequence[Path], env: Mapping[str, str]
) -> tuple[Catalog, Route]:
    """`FILE`, `FILE#route`, a route of the configuration, or a strategy with its defaults.

    A file is a whole configuration; or tiers and routes over recorded names; or one route's
    stanza. Raises Unusable, and ConfigError for what is wrong in a file.
    """
    file, _, name = wanted.partition("#")
    if Path(file).is_file():
        return _of_file(Path(file), name, env)
    there = [path for path in config if path.exists()]
    routes: Mapping[str, Route] = {}
    if there and wanted not in STRATEGIES:
        texts, faults = read_files(there)
        if faults:
            raise ConfigError(faults)
        catalog = _catalog(texts, env)
        routes = catalog.routes
        if wanted in routes:
            return catalog, routes[wanted]
    if wanted in STRATEGIES:
        return _NOTHING, Route(wanted, (), tactic(wanted))
    known = ", ".join((*routes, *STRATEGIES))
    raise Unusable(f"{wanted} is neither a file nor a route; there are {known}")


def _of_file(file: Path, name: str, env: Mapping[str, str]) -> tuple[Catalog, Route]:
    texts, faults = read_files([file])
    if faults:
        raise ConfigError(faults)
    try:
        tree = yaml.safe_load(texts[0][1])
    except yaml.YAMLError as error:
        where = str(error).partition("\n")[0]
        raise Unusable(f"{file}: is not YAML: {where}") from None
    if not isinstance(tree, dict):
        raise Unusable(f"{file}: holds no route")
    bare = not isinstance(tree.get("tiers"), dict) and "routes" not in tree
    if bare:
        texts = [(str(file), yaml.safe_dump({"routes": {_DEFAULT: {"tiers": ["cheap"], **tree}}}))]
    if "models" not in tree:
        texts.append(("recorded", yaml.safe_dump(_around({} if bare else tree, tree))))
    catalog = _catalog(texts, env)
    route = _one_of(catalog.routes, name, file)
    if bare and "tiers" not in tree:
        return _NOTHING, structs.replace(route, tiers=())
    return catalog, route


def _one_of(routes: Mapping[str, Route], name: str, file: Path) -> Route:
    if not name:
        name = next(iter(routes)) if len(routes) == 1 else _DEFAULT
    if name not in routes:
        raise Unusable(f"{file}: no route {name}; there are {', '.join(routes) or 'none'}")
    return routes[name]


def _around(tree: Mapping[str, Any], stanza: Mapping[str, Any]) -> Any:
    """A configuration around tiers and routes: every model they name, at nobody's, and what their
    rules ask for.
    """
    tiers = tree.get("tiers") or {}
    named = [entry for tier in tiers.values() if isinstance(tier, dict) for entry in _models(tier)]
    models = dict.fromkeys((*named, *_NOBODY))
    wanted = [stanza.get("tiers")] if "routes" not in stanza else []
    wanted += [r.get("tiers") for r in (tree.get("routes") or {}).values() if isinstance(r, dict)]
    missing = [
        name
        for names in wanted
        for name in (names if isinstance(names, list) else ["cheap"])
        if isinstance(name, str) and name not in tiers
    ]
    model = {"deployments": [{"provider": _NOWHERE}], "price": "free"}
    asked = [*_conditions(stanza), *_conditions(*(tree.get("routes") or {}).values())]
    regions = [each for when in asked for each in _texts(when.get("region"))]
    tags = [each for when in asked for each in _texts(list(when.get("tags") or ()))]
    nowhere = {"dialect": "openai", "base_url": "http://localhost"}
    return {
        "providers": {_NOWHERE: nowhere | ({"regions": regions} if regions else {})},
        "models": {name: {**model, "context": 1_000_000} for name in models},
        "tiers": {name: {"models": list(_NOBODY)} for name in dict.fromkeys(missing)},
    } | ({"tags": dict.fromkeys(tags, "any")} if tags and "tags" not in tree else {})


def _conditions(*routes: Any) -> list[Mapping[str, Any]]:
    """Of every rule of these routes."""
    rules = [rule for each in routes if isinstance(each, dict) for rule in each.get("rules") or ()]
    found = [rule.get("when") for rule in rules if isinstance(rule, dict)]
    return [when for when in found if isinstance(when, dict)]


def _texts(values: Any) -> list[str]:
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []


def _models(tier: Mapping[str, Any]) -> list[str]:
    entries = tier.get("models")
    found = [e.get("model") if isinstance(e, dict) else e for e in entries or ()]
    return [each for each in found if isinstance(each, str)]


def _catalog(texts: Sequence[tuple[str, str]], env: Mapping[str, str]) -> Catalog:
    """Of all that is configured, what routes are made of. Raises ConfigError."""
    tree = read_trees(texts, env, (), _STAND_IN)
    tree.keep(_SECTIONS)
    parts = validate(tree, ("models", "routes"))
    check_references(tree, parts)
    models = build_models(tree, parts, None)
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return build_snapshot(tree, parts, models).catalog
