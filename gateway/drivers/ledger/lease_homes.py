"""What a process knows of those whose budgets it leases: how much they send, and what it holds."""

from collections import deque
from typing import Final

from msgspec import structs

from gateway.core.accounts import Account, Hold, Purse, Refusal, Warned
from gateway.core.catalog import Budget
from gateway.core.leases import CALLS, Lease, can_be_leased
from gateway.drivers.ledger.plans import Plan

_REMEMBERED: Final = 4_096
_WAIT_S: Final = 0.02
"""A lease takes two round trips: so long, and some."""
_MOST_AHEAD: Final = 16
_TRIM_EVERY: Final = 64
_WRITTEN: Final = 2_000
"""After so many entries the share of records in them is half of what it was, half what it is."""


class Heat:
    """How much a purse sends, and the lease that serves it; those `ahead` come after it.

    `warned` is what is to be told of the purse's budgets, and was not told with a call.
    """

    __slots__ = (
        "_firsts", "_hot", "ahead", "asking", "before", "calls", "lease", "off_until", "since",
        "warned",
    )  # fmt: skip

    def __init__(self, hot: float, now: float) -> None:
        self._hot = hot
        self.since = now
        self.calls = self.before = 0
        self.lease: Lease | None = None
        self.ahead: deque[Lease] = deque()
        self.asking = False
        self.off_until = now
        self.warned: tuple[Warned, ...] = ()
        self._firsts: set[tuple[Account, Budget]] = set()

    def hot(self, now: float) -> bool:
        """Whether it sends so much, in this second or the one before."""
        return self.calls >= self._hot or (self.before >= self._hot and now < self.since + 1.0)

    def lacks(self) -> int:
        """How many leases more it uses up while it waits for them."""
        wanted = 1 + int(max(self.calls, self.before) * _WAIT_S / CALLS)
        return min(wanted, _MOST_AHEAD) - len(self.ahead)

    def next(self) -> Lease | None:
        """The lease that comes after one that does not do any more."""
        self.lease = self.ahead.popleft() if self.ahead else None
        return self.lease

    def drop(self, lease: Lease) -> None:
        if self.lease is lease:
            self.next()
        elif lease in self.ahead:
            self.ahead.remove(lease)

    @property
    def has_to_tell(self) -> bool:
        return bool(self.warned or self._firsts)

    def warn(self, hold: Hold) -> Hold:
        """The call's hold, with what is to be told."""
        told, self.warned = (*hold.warned, *self.warned), ()
        return structs.replace(hold, warned=tuple(map(self._mark_first, told)))

    def _mark_first(self, warned: Warned) -> Warned:
        limit = (warned.account, warned.budget)
        if warned.percent < 100 or limit not in self._firsts:
            return warned
        self._firsts.discard(limit)
        return structs.replace(warned, first=True)

    def refused_first(self, refusal: Refusal) -> None:
        """A lease, not a call, was the first that a budget refused: the first call is still to be
        told so.
        """
        self._firsts.add((refusal.account, refusal.budget))

    def first(self, refusal: Refusal) -> Refusal:
        limit = (refusal.account, refusal.budget)
        if limit not in self._firsts:
            return refusal
        self._firsts.discard(limit)
        return structs.replace(refusal, first=True)


class Heats:
    """Of all purses; `calls_per_s` make one hot."""

    def __init__(self, calls_per_s: int) -> None:
        self._hot = calls_per_s
        self._of: dict[Purse, Heat] = {}

    def felt(self, purse: Purse, now: float) -> Heat:
        """One call more."""
        heat = self._of.get(purse)
        if heat is None:
            if len(self._of) >= _REMEMBERED:
                self._of.clear()  # their leases end by themselves
            hot = self._hot if can_be_leased(purse) else float("inf")
            heat = self._of[purse] = Heat(hot, now)
        if now >= heat.since + 1.0:
            heat.before = heat.calls if now < heat.since + 2.0 else 0
            heat.calls, heat.since = 0, now
        heat.calls += 1
        return heat


class LeasedHome:
    """A home's leases, each with the buckets that it is held in. `sliced` nano-dollars are held."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.leases: dict[Lease, Plan] = {}
        self.sliced = 0
        self._entries = self._records = 0.0
        self._ended = 0

    def drop(self, lease: Lease) -> None:
        del self.leases[lease]
        self.sliced -= lease.hold.amounts.nanos

    def shift(self) -> dict[str, tuple[int, int]]:
        """By bucket: what is spent of its leases that the ledger does not know yet, and what it
        takes for held that is not held for a call.
        """
        found: dict[str, tuple[int, int]] = {}
        for lease, plan in self.leases.items():
            cost = lease.cost
            for line in plan.lines:
                usd = line.meter == "usd"
                spent, rest = (cost.nanos, lease.nanos) if usd else (cost.tokens, lease.tokens)
                had = found.get(line.key, (0, 0))
                found[line.key] = (had[0] + spent, had[1] + rest + spent)
        return found

    def written(self, records: int) -> None:
        """An entry was written, with so many."""
        self._entries += 1
        self._records += records
        if self._entries > _WRITTEN:
            self._entries /= 2
            self._records /= 2

    def share_to_keep(self) -> float | None:
        """A lease has ended: of how many entries the book is to be kept, so that it has as many
        records as ever. None: not now.
        """
        self._ended += 1
        if self._ended % _TRIM_EVERY or not self._entries:
            return None
        return self._entries / self._records


def first_end(plan: Plan, now: float) -> float:
    """When the first of its periods is over, or the slot of a rolling one; in Unix seconds."""
    slots = [line.slot_ms for line in plan.lines if line.slot_ms]
    return min([plan.end, *((int(now * 1_000) // each + 1) * each / 1_000 for each in slots)])
