"""What a reply says of its cost: the `gateway` field of its usage."""

from typing import Final

import msgspec

from gateway.core.money import usd
from gateway.core.tab import Tab

_MOST: Final = 1_000
_known: dict[tuple[str, ...], str] = {}
"""How the JSON of an attempt begins: there are few of these, and encoding one costs 2 us."""


def extension(tab: Tab, spent: str) -> bytes:
    """JSON: what all attempts cost together, as `usd` says it, and each of them in order."""
    attempts = comma = ""
    for each in tab.attempts:
        names = each.model, each.provider, each.tier, each.purpose, each.outcome
        cost = spent if each.cost == tab.spent else usd(each.cost)
        attempts += f"{comma}{_known.get(names) or _prefix(names)}{cost}}}"
        comma = ","
    return f'{{"cost_usd":{spent},"attempts":[{attempts}]}}'.encode()


def _prefix(names: tuple[str, ...]) -> str:
    """All but what it cost."""
    what = ("model", "provider", "tier", "purpose", "outcome")
    fields = msgspec.json.encode(dict(zip(what, names, strict=True))).decode()
    if len(_known) >= _MOST:
        _known.clear()
    begins = _known[names] = f'{fields[:-1]},"cost_usd":'
    return begins
