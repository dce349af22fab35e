"""What config/models.yaml knows of a model at whatever host, and no file of LiteLLM's says."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

_PLACE: Final = re.compile(r"^(us|eu|apac|jp|au|global)\.")
"""Where Bedrock answers from, before its name of a model."""


class Known(Struct, frozen=True):
    """`lacks` are fields that it refuses, `token_factor` is how long it is told a text to be, and
    `search` what a search of the web costs, as prices are written.
    """

    lacks: tuple[str, ...] = ()
    token_factor: str | None = None
    search: Mapping[str, str] = {}


NOTHING: Final = Known()


class Shelf:
    """The shipped models, by their names at hosts."""

    def __init__(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        self._by_upstream: dict[str, Known] = {}
        for name, model in models.items():
            for host in model["deployments"]:
                upstream = _PLACE.sub("", host.get("upstream", name))
                self._by_upstream.setdefault(upstream, _known(model, host))

    def find(self, names: Sequence[str]) -> Known:
        """By the first of these names that is known."""
        stripped = (_PLACE.sub("", name) for name in names)
        return next(
            (self._by_upstream[name] for name in stripped if name in self._by_upstream), NOTHING
        )


def _known(model: Mapping[str, Any], host: Mapping[str, Any]) -> Known:
    price = host.get("price", model.get("price"))
    fee = price if isinstance(price, Mapping) else {}
    factor = model.get("token_factor")
    return Known(
        tuple(host.get("lacks", ())),
        None if factor is None else str(factor),
        {key: str(fee[key]) for key in ("search", "search_per") if key in fee},
    )
