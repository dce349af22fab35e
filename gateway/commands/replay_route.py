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
_PLACEHOLDERS: Final = ("to-be-dealt-1", "to-be-dealt-2", "to-be-dealt-3")
"""The models of a tier that the file does not define, until the pool replaces them: as many as
may vote.
"""
_EMPTY: Final = Catalog({}, {}, {})
_DEFAULT: Final = "auto"


def find_route(spec: str, config: Sequence[Path], env: Mapping[str, str]) -> tuple[Catalog, Route]:
    """`FILE`, `FILE#route`, a route of the configuration, or a strategy with its defaults.

    A file is a whole configuration; or tiers and routes over recorded names; or one route's
    stanza. Raises Unusable, and ConfigError for what is wrong in a file.
    """
    file, _, name = spec.partition("#")
    if Path(file).is_file():
        return _from_file(Path(file), name, env)
    existing = [path for path in config if path.exists()]
    routes: Mapping[str, Route] = {}
    if existing and spec not in STRATEGIES:
        texts, faults = read_files(existing)
        if faults:
            raise ConfigError(faults)
        catalog = _catalog(texts, env)
        routes = catalog.routes
        if spec in routes:
            return catalog, routes[spec]
    if spec in STRATEGIES:
        return _EMPTY, Route(spec, (), tactic(spec))
    known = ", ".join((*routes, *STRATEGIES))
    raise Unusable(f"{spec} is neither a file nor a route; there are {known}")


def _from_file(file: Path, name: str, env: Mapping[str, str]) -> tuple[Catalog, Route]:
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
        texts.append(("recorded", yaml.safe_dump(_surrounding_config({} if bare else tree, tree))))
    catalog = _catalog(texts, env)
    route = _pick_route(catalog.routes, name, file)
    if bare and "tiers" not in tree:
        return _EMPTY, structs.replace(route, tiers=())
    return catalog, route


def _pick_route(routes: Mapping[str, Route], name: str, file: Path) -> Route:
    if not name:
        name = next(iter(routes)) if len(routes) == 1 else _DEFAULT
    if name not in routes:
        raise Unusable(f"{file}: no route {name}; there are {', '.join(routes) or 'none'}")
    return routes[name]


def _surrounding_config(tree: Mapping[str, Any], stanza: Mapping[str, Any]) -> Any:
    """A configuration around tiers and routes: every model they name, at a provider that is never
    called, with the regions and tags of their rules.
    """
    tiers = tree.get("tiers") or {}
    named = [entry for tier in tiers.values() if isinstance(tier, dict) for entry in _models(tier)]
    models = dict.fromkeys((*named, *_PLACEHOLDERS))
    tier_lists = [stanza.get("tiers")] if "routes" not in stanza else []
    tier_lists += [
        r.get("tiers") for r in (tree.get("routes") or {}).values() if isinstance(r, dict)
    ]
    missing = [
        name
        for names in tier_lists
        for name in (names if isinstance(names, list) else ["cheap"])
        if isinstance(name, str) and name not in tiers
    ]
    model = {"deployments": [{"provider": _NOWHERE}], "price": "free"}
    conditions = [*_conditions(stanza), *_conditions(*(tree.get("routes") or {}).values())]
    regions = [each for when in conditions for each in _texts(when.get("region"))]
    tags = [each for when in conditions for each in _texts(list(when.get("tags") or ()))]
    nowhere = {"dialect": "openai", "base_url": "http://localhost"}
    return {
        "providers": {_NOWHERE: nowhere | ({"regions": regions} if regions else {})},
        "models": {name: {**model, "context": 1_000_000} for name in models},
        "tiers": {name: {"models": list(_PLACEHOLDERS)} for name in dict.fromkeys(missing)},
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
    """Only the parts of a configuration that routes need. Raises ConfigError."""
    tree = read_trees(texts, env, (), _STAND_IN)
    tree.keep_only(_SECTIONS)
    parts = validate(tree, ("models", "routes"))
    check_references(tree, parts)
    models = build_models(tree, parts, None)
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return build_snapshot(tree, parts, models).catalog
