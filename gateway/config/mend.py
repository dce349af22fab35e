"""A stanza without its faulty parts, so that the other faults can be found, too."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.checks import OneCheck
from gateway.config.faults import Path, closest
from gateway.config.stanza import Stanza, is_named_mapping, model_in, owner_of
from gateway.config.tree import EMPTY, Tree

S = TypeVar("S", bound=Stanza)
_REMOVED: Final = object()
_STAND_INS: Final[Mapping[str, Any]] = {
    "base_url": "http://unknown.invalid",
    "deployments": [],
    "dialect": "openai",
    "endpoint": "http://unknown.invalid",
    "hash": f"sha256:{'0' * 64}",
    "id": "unknown",
    "models": [],
    "tiers": [],
}
"""Where a required key has no sound value. The tree doubts them, so nothing is judged by them."""


def mend(tree: Tree, path: Path, spec: type[S], faulty: Iterable[Path]) -> S | None:
    """The stanza at `path` without what is `faulty` in it: to judge the rest by, never to build.

    Notes in the tree what to doubt. None when the stanza as a whole is at fault.
    """
    written = tree.at(path)
    raw = {} if written is EMPTY else written
    places = [place for place in faulty if place]
    if not isinstance(raw, dict) or path in tree.broken:
        return None
    for items in (False, True):
        paths = (_cut(spec, raw, place, items=items) for place in places)
        cuts = {cut: _stand_in(spec, cut) for cut in paths}
        try:
            entry = spec.model_validate(_without(raw, (), cuts))
        except ValidationError:
            continue
        tree.doubts.update((*path, *doubt) for cut in cuts for doubt in _doubts(spec, raw, cut))
        return entry
    return None


def _cut(spec: type[BaseModel], raw: Any, place: Path, *, items: bool) -> Path:
    """The least that can be taken out: a key of the stanza, an item of its lists, or, unless
    `items` go as a whole, a key of such an item.
    """
    owner: type[BaseModel] | None = spec
    value, chosen = raw, False
    for i, step in enumerate(place):
        here = place[: i + 1]
        if isinstance(step, int):
            value = value[step]
            # A check has exactly one key: without it, nothing would be left.
            if items or not isinstance(value, dict) or owner is OneCheck:
                return here
            continue
        if isinstance(value, list):  # it is about the name of the list
            return place[:i]
        value = value.get(step)
        if chosen:
            chosen = False
        else:
            field = owner.model_fields.get(step) if owner else None
            if i and field and field.is_required() and step not in _STAND_INS:
                return here[:-1]
            if field is None:
                return here
            owner = model_in(field.annotation)
            chosen = is_named_mapping(field.annotation) and isinstance(value, dict)
        if not chosen and not isinstance(value, list):
            return here
    return place


def _stand_in(spec: type[BaseModel], cut: Path) -> Any:
    owner, key = owner_of(spec, cut), cut[-1]
    field = owner.model_fields.get(key) if owner and isinstance(key, str) else None
    if field and field.is_required():
        return _STAND_INS[str(key)]
    own = owner.stand_ins if owner and issubclass(owner, Stanza) else {}
    return own.get(str(key), _REMOVED)


def _without(value: Any, here: Path, cuts: Mapping[Path, Any]) -> Any:
    if isinstance(value, list):
        whole = [((*here, i), item) for i, item in enumerate(value)]
        return [_without(item, place, cuts) for place, item in whole if place not in cuts]
    if not isinstance(value, dict):
        return value
    retained = {
        key: _without(item, (*here, key), cuts)
        for key, item in value.items()
        if (*here, key) not in cuts
    }
    stand_ins = {
        cut[-1]: stand_in
        for cut, stand_in in cuts.items()
        if cut[:-1] == here and stand_in is not _REMOVED
    }
    return retained | stand_ins


def _doubts(spec: type[BaseModel], raw: Any, cut: Path) -> Iterable[Path]:
    """What was taken out; for an unknown key, the known key that was probably meant."""
    owner, key = owner_of(spec, cut), cut[-1]
    if isinstance(key, int) or owner is None or key in owner.model_fields:
        yield cut
        return
    value = raw
    for step in cut[:-1]:
        value = value[step]
    meant = closest(key, owner.model_fields)
    if meant and meant not in value:
        yield (*cut[:-1], meant)
