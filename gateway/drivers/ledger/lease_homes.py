"""What a process knows of leased purses and homes: their call rates, and the leases it holds."""

from collections import deque
from typing import Final

from msgspec import structs

from gateway.core.accounts import Account, Hold, Purse, Refusal, Warned
from gateway.core.catalog import Budget
from gateway.core.leases import CALLS, Lease, can_be_leased
from gateway.drivers.ledger.plans import Plan

_MAX_CACHED: Final = 4_096
_WAIT_S: Final = 0.02
"""How long getting a lease takes: two round trips, and some."""
_MOST_AHEAD: Final = 16
_TRIM_EVERY: Final = 64
_HALVE_EVERY: Final = 2_000
"""After so many entries the counts are halved: an exponential average."""


class Heat:
    """A purse's call rate, the lease that serves it, and the next ones, `ahead`.

    `warned` are budget warnings that no call has reported yet.
    """

    __slots__ = (
        "_first_refusals", "_hot", "ahead", "calls", "calls_before", "lease", "off_until",
        "requesting", "since", "warned",
    )  # fmt: skip

    def __init__(self, hot: float, now: float) -> None:
        self._hot = hot
        self.since = now
        self.calls = self.calls_before = 0
        self.lease: Lease | None = None
        self.ahead: deque[Lease] = deque()
        self.requesting = False
        self.off_until = now
        self.warned: tuple[Warned, ...] = ()
        self._first_refusals: set[tuple[Account, Budget]] = set()

    def hot(self, now: float) -> bool:
        """Whether its rate is high enough for leases, in this second or the one before."""
        return self.calls >= self._hot or (
            self.calls_before >= self._hot and now < self.since + 1.0
        )

    def leases_needed(self) -> int:
        """How many more leases it would use up while waiting for them."""
        needed = 1 + int(max(self.calls, self.calls_before) * _WAIT_S / CALLS)
        return min(needed, _MOST_AHEAD) - len(self.ahead)

    def next(self) -> Lease | None:
        """Switch to the next lease, if any."""
        self.lease = self.ahead.popleft() if self.ahead else None
        return self.lease

    def drop(self, lease: Lease) -> None:
        if self.lease is lease:
            self.next()
        elif lease in self.ahead:
            self.ahead.remove(lease)

    @property
    def has_warnings(self) -> bool:
        return bool(self.warned or self._first_refusals)

    def warn(self, hold: Hold) -> Hold:
        """The call's hold, with the pending warnings added."""
        warnings, self.warned = (*hold.warned, *self.warned), ()
        return structs.replace(hold, warned=tuple(map(self._mark_first, warnings)))

    def _mark_first(self, warned: Warned) -> Warned:
        limit = (warned.account, warned.budget)
        if warned.percent < 100 or limit not in self._first_refusals:
            return warned
        self._first_refusals.discard(limit)
        return structs.replace(warned, first=True)

    def note_first_refusal(self, refusal: Refusal) -> None:
        """A lease, not a call, was the first that a budget refused: the next refused call is to be
        marked `first`.
        """
        self._first_refusals.add((refusal.account, refusal.budget))

    def mark_first_refusal(self, refusal: Refusal) -> Refusal:
        limit = (refusal.account, refusal.budget)
        if limit not in self._first_refusals:
            return refusal
        self._first_refusals.discard(limit)
        return structs.replace(refusal, first=True)


class Heats:
    """The Heat of each purse; `calls_per_s` make one hot."""

    def __init__(self, calls_per_s: int) -> None:
        self._hot = calls_per_s
        self._by_purse: dict[Purse, Heat] = {}

    def record_call(self, purse: Purse, now: float) -> Heat:
        """Count a call."""
        heat = self._by_purse.get(purse)
        if heat is None:
            if len(self._by_purse) >= _MAX_CACHED:
                self._by_purse.clear()  # their leases end by themselves
            hot = self._hot if can_be_leased(purse) else float("inf")
            heat = self._by_purse[purse] = Heat(hot, now)
        if now >= heat.since + 1.0:
            heat.calls_before = heat.calls if now < heat.since + 2.0 else 0
            heat.calls, heat.since = 0, now
        heat.calls += 1
        return heat


class LeasedHome:
    """A home's leases, each with the plan of its buckets. `leased_nanos` is what they hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.leases: dict[Lease, Plan] = {}
        self.leased_nanos = 0
        self._entries = self._records = 0.0
        self._ended = 0

    def drop(self, lease: Lease) -> None:
        del self.leases[lease]
        self.leased_nanos -= lease.hold.amounts.nanos

    def adjustments_by_bucket(self) -> dict[str, tuple[int, int]]:
        """By bucket: what was spent of leases, which the ledger does not know yet, and what the
        ledger counts as held beyond the calls in flight.
        """
        adjustments: dict[str, tuple[int, int]] = {}
        for lease, plan in self.leases.items():
            cost = lease.cost
            for line in plan.lines:
                usd = line.meter == "usd"
                spent, unspent = (cost.nanos, lease.nanos) if usd else (cost.tokens, lease.tokens)
                previous = adjustments.get(line.key, (0, 0))
                adjustments[line.key] = (previous[0] + spent, previous[1] + unspent + spent)
        return adjustments

    def count_entry(self, records: int) -> None:
        """Count an entry with so many records."""
        self._entries += 1
        self._records += records
        if self._entries > _HALVE_EVERY:
            self._entries /= 2
            self._records /= 2

    def share_to_keep(self) -> float | None:
        """Call when a lease has ended. Gives the share of entries to keep, so that the book has as
        many records as without leases; None: not now.
        """
        self._ended += 1
        if self._ended % _TRIM_EVERY or not self._entries:
            return None
        return self._entries / self._records


def first_end(plan: Plan, now: float) -> float:
    """When the first period, or slot of a rolling window, ends; in Unix seconds."""
    slots = [line.slot_ms for line in plan.lines if line.slot_ms]
    return min([plan.end, *((int(now * 1_000) // each + 1) * each / 1_000 for each in slots)])
