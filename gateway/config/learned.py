"""Where a route begins, as it is written; and the file of weights that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from gateway.config.faults import Path as Place
from gateway.config.faults import listed
from gateway.config.scalars import Text, decimal, number_schema
from gateway.config.stanza import Stanza
from gateway.config.tree import Tree
from gateway.core import learned
from gateway.core.learned import BadWeights, Weights, read_weights

_LARGEST: Final = 1_000_000
"""Bytes. A file of weights has some thousand."""
_share: Final = decimal("a share from 0 to 1, such as 0.05", lambda share: 0 <= share <= 1)
Share = Annotated[
    float, BeforeValidator(lambda value: float(_share(value))), number_schema(minimum=0, maximum=1)
]


class Learning(Stanza):
    file: Text | None = None
    """The weights that `tollgate learn` wrote, relative to this configuration file. Without them
    every request begins at the first tier, and usage records get the data to learn from."""
    floor: Share = 0.9
    """The probability of passing that a tier needs to be the first."""
    within: Share = 0.05
    """Or how far it may be below the probability of the best tier. So a question that no tier can
    answer need not go to the most expensive one."""

    def learned(self, weights: Weights | None = None, file: str = "") -> learned.Learned:
        return learned.Learned(weights, self.floor, self.within, file)


def check_learned(
    tree: Tree, route: Place, stanza: Learning | None, tiers: tuple[str, ...]
) -> learned.Learned | None:
    """What a route makes of its weights; notes a fault where they cannot be used."""
    here = (*route, "learned", "file")
    if stanza is None or stanza.file is None or tree.doubtful(here):
        return None
    place = tree.place(here)
    file = (Path(place.file).parent if place else Path()) / stanza.file
    try:
        weights = read_weights(_bytes(file))
    except OSError as error:
        tree.fault(here, f"cannot be read: {error.strerror or 'unreadable'}")
    except BadWeights as error:
        tree.fault(here, str(error))
    else:
        if tree.doubtful((*route, "tiers")):
            return None
        if _check_rungs(tree, here, weights.rungs, tiers):
            return stanza.learned(weights, str(file))
    return None


def _check_rungs(
    tree: Tree, here: Place, rungs: Mapping[str, object], tiers: tuple[str, ...]
) -> bool:
    if len(tiers) < 2:
        tree.fault(here, "is of no use: the route has one tier only")
        return False
    missing = [tier for tier in tiers if tier not in rungs]
    if missing:
        tree.fault(here, f"knows nothing of {listed(missing)} (known: {listed(rungs)})")
    return not missing


def _bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        text = opened.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise BadWeights("is no file of tollgate learn: too large")
    return text
