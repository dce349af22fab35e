"""A lease: a slice of a purse's budgets that is held with one hold, and spent call by call without
asking the ledger. It is settled as one, with a part for each call that it served.

What is not exact about it is in docs/budgets.md: what a process holds ahead nobody else can use.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from gateway.core.accounts import LARGEST, Amounts, Balance, Hold, Purse, bounded
from gateway.core.money import Nanos
from gateway.core.records.entry import Entry
from gateway.core.records.record import UsageRecord
from gateway.core.snapshot import Leasing

CALLS: Final = 32
"""The most that one lease serves: what it costs is shared by so many, and an entry of the book
keeps the records of so many, some 15 kB."""


class Part(Struct, frozen=True, array_like=True):
    """What one call did cost that a lease served. `hold` is the id of the call's own hold."""

    hold: str
    nanos: int
    tokens: int
    requests: int
    record: UsageRecord | None = None


Record = UsageRecord | tuple[Part, ...]
"""What a settle keeps: the record of a call, or of each call that a lease served."""


class Served(NamedTuple):
    """A call that is under way, and the request that it belongs to."""

    hold: Hold
    life: str


_decoder: Final = msgspec.json.Decoder(tuple[Part, ...])


def decode_parts(line: bytes) -> tuple[Part, ...]:
    """Raises msgspec.MsgspecError."""
    return _decoder.decode(line)


class Lease:
    """`hold` is the slice's. `nanos` and `tokens` are what is not held for a call, nor spent, of
    it; without a budget of tokens those are not bounded. No call begins at `until` or later, in
    monotonic seconds.
    """

    __slots__ = (
        "closed", "hand_over_at", "hold", "left", "nanos", "open", "parts", "stay", "tokens",
        "until",
    )  # fmt: skip

    def __init__(
        self, hold: Hold, until: float, hand_over_at: float, *, bounds_tokens: bool
    ) -> None:
        self.hold = hold
        self.until = until
        self.hand_over_at = hand_over_at
        self.nanos: int = hold.amounts.nanos
        self.tokens = hold.amounts.tokens if bounds_tokens else LARGEST
        self.left = CALLS
        self.closed = False
        self.open: dict[str, Served] = {}
        self.stay: set[str] = set()
        self.parts: list[Part] = []

    def take(self, hold_id: str, amounts: Amounts, life: str, now: float) -> Hold | None:
        """A call's hold; None where it cannot have one of this slice."""
        nanos, tokens = self.nanos - amounts.nanos, self.tokens - amounts.tokens
        if nanos < 0 or tokens < 0 or self.left == 0 or self.closed or now >= self.until:
            return None
        self.nanos, self.tokens = nanos, tokens
        self.left -= 1
        beside = self.hold.left
        left = None if beside is None else Nanos(beside + nanos)
        hold = Hold(hold_id, self.hold.purse, amounts, left)
        self.open[hold_id] = Served(hold, life)
        return hold

    def settle(self, hold_id: str, actual: Amounts, record: UsageRecord | None) -> None:
        """Raises ValueError for what is no cost: then the call is under way as before."""
        cost = bounded(actual)
        held = self.open.pop(hold_id).hold.amounts
        self.nanos += held.nanos - cost.nanos
        self.tokens += held.tokens - cost.tokens
        self.parts.append(Part(hold_id, cost.nanos, cost.tokens, held.requests, record))

    def release(self, hold_id: str) -> None:
        """That call never was, or is held elsewhere now."""
        held = self.open.pop(hold_id).hold.amounts
        self.nanos += held.nanos
        self.tokens += held.tokens

    @property
    def finished(self) -> bool:
        """Whether nothing is under way, and nothing more can be."""
        return not self.open and (self.closed or self.left == 0)

    @property
    def cost(self) -> Amounts:
        """What it did cost so far. Requests are not counted in a lease."""
        nanos, tokens = sum(each.nanos for each in self.parts), sum(p.tokens for p in self.parts)
        return Amounts(Nanos(nanos), tokens)


def can_be_leased(purse: Purse) -> bool:
    """Whether a slice of all its budgets can be exact. Requests cannot: the ledger charges those of
    a hold as they were held. Nor can what a budget in shadow mode would have refused.
    """
    budgets = [budget for account in purse.accounts for budget in account.budgets]
    return all(each.meter in {"usd", "tokens"} and each.mode != "shadow" for each in budgets)


def bounds_tokens(purse: Purse) -> bool:
    return any(b.meter == "tokens" for account in purse.accounts for b in account.budgets)


def slice_of(
    balances: Iterable[Balance],
    ceiling: Amounts,
    leasing: Leasing,
    sliced: int,
    beside: Sequence[Amounts] = (),
) -> Amounts | None:
    """So much is leased for calls of about this ceiling; None: nothing is. `sliced` nano-dollars of
    the home are held ahead already. The balances do not know yet of slices that are asked `beside`.

    With it no budget comes to four fifths of its cap, where warnings begin.
    """
    calls = _times(leasing.nanos - sliced, ceiling.nanos)
    bounds = False
    for each in balances:
        cap = each.budget.cap
        of_tokens = each.budget.meter == "tokens"
        taken = sum(slice_.tokens if of_tokens else slice_.nanos for slice_ in beside)
        room = max(cap - cap // 5 - 1 - each.spent - each.held - taken, 0) // leasing.share
        bounds = bounds or of_tokens
        calls = min(calls, _times(room, ceiling.tokens if of_tokens else ceiling.nanos))
    if calls < leasing.least:
        return None
    return Amounts(Nanos(calls * ceiling.nanos), calls * ceiling.tokens if bounds else 0)


def _times(room: int, ceiling: int) -> int:
    """How many calls fit: a whole number of them, so that nothing is left over."""
    if room < 0:
        return 0
    return min(room // ceiling, CALLS) if ceiling else CALLS


def split(entry: Entry, parts: Sequence[Part]) -> tuple[Entry, ...]:
    """The entries of the calls that a lease served, from the one that settled it: they add up to
    it. A lease that had expired was charged in full: that is given back by an entry of its own.
    """
    kind = "settled" if entry.kind == "corrected" else entry.kind
    nanos, tokens = entry.charged.nanos, entry.charged.tokens
    each = []
    for part in parts:
        charged = Amounts(Nanos(part.nanos), part.tokens, part.requests)
        nanos, tokens = Nanos(nanos - part.nanos), tokens - part.tokens
        each.append(
            structs.replace(entry, kind=kind, hold=part.hold, charged=charged, record=part.record)
        )
    if nanos or tokens or entry.kind == "corrected":
        each.append(structs.replace(entry, charged=Amounts(nanos, tokens), record=None))
    return tuple(each)
