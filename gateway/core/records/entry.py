"""A line of the ledger's own book: what one settle, or one expiry, added to which buckets.

Every change of what is spent is written beside an entry, in one atomic step. So the sum of what
the entries charged to a bucket is what that bucket has spent; see `sums`.
"""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from gateway.core.accounts import Amounts
from gateway.core.catalog import Meter
from gateway.core.records.record import UsageRecord

Kind = Literal["settled", "expired", "corrected", "charged"]
METERS: Final[tuple[Meter, ...]] = ("usd", "tokens", "requests")
"""What is spent, in the order of the fields of Amounts."""
Counter = tuple[str, int]
"""A bucket's key, and in a rolling one the slot of time; 0 in one of a calendar period."""


class Charged(Struct, frozen=True):
    """A bucket that an entry was charged to. The key is the store's own, with the account in it."""

    key: str
    meter: Meter
    slot: int = 0


class Entry(Struct, frozen=True):
    """`charged` is what was added to each bucket, by its meter; a correction may be negative.

    "settled" is a hold at what its call did cost, "expired" one at its ceiling since nobody settled
    it in time, "corrected" the difference when somebody does after all (or gives it back), and
    "charged" a call whose hold was not there any more, or never was.
    """

    at: str
    """Its place in the book: what `records` is asked to go on after."""
    seq: int
    """Counts the entries of a home from 1 on, so that missing ones are noticed."""
    epoch: str
    """Which life of the ledger's data it belongs to; "" when that was not known."""
    kind: Kind
    hold: str
    charged: Amounts
    buckets: tuple[Charged, ...]
    record: UsageRecord | None
    """None where the settle was given none. An expired hold's has purpose "expired" and knows no
    route or model. Its `cost` is the call's, so add up `charged`, never `cost`.
    """


def of_meter(amounts: Amounts, meter: Meter) -> int:
    """The part of an amount that a bucket of that meter counts."""
    if meter == "usd":
        return amounts.nanos
    return amounts.tokens if meter == "tokens" else amounts.requests


def sums(entries: Iterable[Entry]) -> dict[Counter, int]:
    """What the entries say that each bucket has spent, in each slot of a rolling one."""
    found: dict[Counter, int] = {}
    for entry in entries:
        for bucket in entry.buckets:
            counter = (bucket.key, bucket.slot)
            found[counter] = found.get(counter, 0) + of_meter(entry.charged, bucket.meter)
    return found
