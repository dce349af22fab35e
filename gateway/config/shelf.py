"""The whole catalog: every model and host, whether or not it is configured now."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.config import schema
from gateway.config.faults import ConfigError
from gateway.config.load import in_order, read_files, read_trees
from gateway.config.offers import Offer, offer
from gateway.config.optional import missing_variables
from gateway.config.references import check_models
from gateway.config.tree import Tree
from gateway.config.validate import Parts, validate

_STAND_IN: Final = "xx-none-1"
"""In place of variables that are not set: fits as a key, in a URL, and as an AWS region."""
_SECTIONS: Final = ("providers", "models")


class Host(Struct, frozen=True):
    """A model at one provider. `lacks` are the variables that must be set to use it."""

    provider: str
    upstream: str
    regions: tuple[str, ...]
    lacks: tuple[str, ...]
    offer: Offer


class Entry(Struct, frozen=True):
    """A model as the catalog has it; its hosts in order of preference."""

    name: str
    stanza: schema.Model
    context: int | None
    hosts: tuple[Host, ...]


def load_shelf(
    paths: Sequence[Path], env: Mapping[str, str], *, at: datetime | None = None
) -> list[Entry]:
    """The providers and models in these files; see load for `at`. Raises ConfigError for every
    fault in them, but not for an unknown price.
    """
    texts, faults = read_files(paths)
    tree = read_trees(texts, env, faults, _STAND_IN)
    tree.keep_only(_SECTIONS)
    parts = validate(tree, _SECTIONS)
    check_models(tree, parts)
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return list(_entries(tree, parts, at))


def load_tiers(paths: Sequence[Path], env: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """The models of each tier in these files, in order. Raises ConfigError for faults in them."""
    texts, faults = read_files(paths)
    tree = read_trees(texts, env, faults, _STAND_IN)
    tree.keep_only(("tiers",))
    parts = validate(tree, ())
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return {name: tuple(e.model for e in tier.models) for name, tier in parts.tiers.items()}


def _entries(tree: Tree, parts: Parts, at: datetime | None) -> Iterable[Entry]:
    for name, stanza in parts.models.items():
        hosts = []
        for each in stanza.deployments:
            provider = parts.providers[each.provider]
            upstream = each.upstream or name
            hosts.append(
                Host(
                    each.provider,
                    upstream,
                    provider.regions if each.regions is None else each.regions,
                    tuple(missing_variables(tree, each.provider)),
                    offer(stanza, each, upstream, provider.base_url, at),
                )
            )
        known = (host.offer.context for host in hosts if host.offer.context)
        yield Entry(name, stanza, stanza.context or next(known, None), tuple(hosts))
