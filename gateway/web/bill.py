"""What a reply says of its cost: the `gateway` field of its usage."""

from typing import Final

import msgspec

from gateway.core.money import usd
from gateway.core.spent import Attempt, Tab

_MOST: Final = 1_000
_known: dict[tuple[str, ...], bytes] = {}
"""How the JSON of an attempt begins: there are few of these, and encoding one costs 2 us."""


def extension(tab: Tab) -> bytes:
    """JSON: what all attempts cost together, and each of them in order."""
    told = [b"%b%b}" % (_beginning(each), usd(each.cost).encode()) for each in tab.attempts]
    return b'{"cost_usd":%b,"attempts":[%b]}' % (usd(tab.spent).encode(), b",".join(told))


def _beginning(attempt: Attempt) -> bytes:
    to = attempt.candidate
    key = (
        to.model.name,
        to.deployment.provider,
        to.tier,
        attempt.purpose,
        attempt.outcome,
    )
    found = _known.get(key)
    if found is None:
        names = ("model", "provider", "tier", "purpose", "outcome")
        fields = msgspec.json.encode(dict(zip(names, key, strict=True)))
        if len(_known) >= _MOST:
            _known.clear()
        found = _known[key] = fields[:-1] + b',"cost_usd":'
    return found
