"""A home's data in the ledger in memory: the same as the scripts keep in Redis, as simply as
possible.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.core.accounts import Amounts
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.core.periods import SLOTS
from gateway.core.records.entry import Charged, Counter, Entry, Kind, of_meter
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.book import expired_record
from gateway.drivers.ledger.plans import Line, prefix, read_key

CORRECTABLE_S: Final = 2 * 86_400
"""For how long after its expiry a hold can still be settled at its true cost."""
SETTLED_S: Final = 300
VOID_S: Final = 3_600
CHARGED_S: Final = 86_400
_MARKED_S: Final = 3_600
NOTHING: Final = Amounts(Nanos(0))


def line_of(home: str, key: str, ttl_ms: int) -> Line:
    """A bucket by its key, without limits. Raises ValueError for a key that is none of the home."""
    known = read_key(key, ttl_ms)
    if known is None or not key.startswith(prefix(home)):
        raise ValueError(f"not a bucket of this home: {key}")
    return Line(key, known.meter, known.slot_ms, known.expires, None, ())


def subtract(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(
        Nanos(one.nanos - other.nanos), one.tokens - other.tokens, one.requests - other.requests
    )


@dataclass
class Bucket:
    """What an account spent of one meter in one period: by time slot for a rolling one."""

    slot_ms: int
    expires: float
    held: int = 0
    spent: dict[int, int] = field(default_factory=dict)
    marks: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def slot(self, now: float) -> int:
        return int(now * 1_000) // self.slot_ms if self.slot_ms else 0

    def spent_now(self, now: float) -> int:
        """What is spent of it now. Slots outside of the window are dropped."""
        newest = self.slot(now)
        self.spent = {slot: n for slot, n in self.spent.items() if newest - slot <= SLOTS}
        if any(slot - newest > SLOTS for slot in self.spent):  # the clock was ahead
            self.spent = {newest: sum(self.spent.values())}
        return sum(self.spent.values())

    def resets_at(self, now: float, excess: int) -> float:
        """The latest time when enough spending will have left the rolling window."""
        newest = self.slot(now)
        for slot in range(newest - SLOTS, newest + 1):
            excess -= self.spent.get(slot, 0)
            if excess <= 0:
                return (slot + SLOTS + 1) * self.slot_ms / 1_000
        return (newest + SLOTS + 1) * self.slot_ms / 1_000

    def mark_first(self, now: float, budget: Budget, percent: int) -> bool:
        """Whether this percentage is reached for the first time; marks it."""
        mark = (budget.mode, budget.cap)
        marked, slot = self.marks.get(mark, (0, 0))
        if marked >= percent and abs(self.slot(now) - slot) <= SLOTS:
            return False
        self.marks[mark] = (percent, self.slot(now))
        return True


@dataclass
class Places:
    """The places of concurrent requests, and until when each is held."""

    lives: dict[str, float] = field(default_factory=dict)
    marks: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def count_now(self, now: float) -> int:
        self.lives = {life: until for life, until in self.lives.items() if now < until}
        return len(self.lives)

    def is_used(self, now: float) -> bool:
        """Whether anybody has a place, or was warned of them a while ago."""
        return self.count_now(now) > 0 or any(now < until for _, until in self.marks.values())

    def mark_first(self, now: float, budget: Budget, percent: int) -> bool:
        mark = (budget.mode, budget.cap)
        marked, until = self.marks.get(mark, (0, 0.0))
        if marked >= percent and now < until:
            return False
        self.marks[mark] = (percent, now + _MARKED_S)
        return True


@dataclass
class Held:
    """A hold. `state`: "open", "expired" and charged, or over: "settled" or "void"."""

    state: str
    until: float
    amounts: Amounts = NOTHING
    left: Nanos | None = None
    life: str = ""
    tenant: str = ""
    buckets: tuple[Charged, ...] = ()


class Books:
    """One home's data. Look-ups ignore what has expired."""

    def __init__(self, max_entries: int) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.places: dict[str, Places] = {}
        self._places_of: dict[str, set[str]] = {}
        """The keys of the places that a life has taken."""
        self.open: dict[str, Held] = {}
        self.ended: dict[str, Held] = {}
        self.charged: dict[str, float] = {}
        self.entries: deque[Entry] = deque(maxlen=max_entries)
        self.seq = 0

    @property
    def newest(self) -> str:
        """The id of the newest entry; "" if there is none."""
        return self.entries[-1].at if self.entries else ""

    def hold(self, hold_id: str, now: float) -> Held | None:
        if held := self.open.get(hold_id):
            return held
        held = self.ended.get(hold_id)
        return held if held and now < held.until else None

    def bucket(self, key: str, now: float) -> Bucket | None:
        bucket = self.buckets.get(key)
        return bucket if bucket and now < bucket.expires else None

    def ensure_bucket(self, line: Line, now: float) -> Bucket:
        """The bucket of a line, created or with its expiry extended."""
        expires = now + line.expires / 1_000 if line.slot_ms else line.expires or float("inf")
        bucket = self.bucket(line.key, now)
        if bucket is None:
            bucket = self.buckets[line.key] = Bucket(line.slot_ms, expires)
        bucket.expires = max(bucket.expires, expires)
        return bucket

    def take_place(self, key: str, life: str, until: float) -> None:
        self.places[key].lives[life] = until
        self._places_of.setdefault(life, set()).add(key)

    def leave(self, life: str) -> None:
        for key in self._places_of.pop(life, ()):
            if places := self.places.get(key):
                places.lives.pop(life, None)

    def renew_places(self, now: float, until: float) -> None:
        for life, keys in self._places_of.items():
            for key in keys:
                places = self.places.get(key)
                if places is not None and places.lives.get(life, 0) > now:
                    places.lives[life] = until

    def forget(self, now: float) -> None:
        self.places = {key: each for key, each in self.places.items() if each.is_used(now)}
        lives = {life for each in self.places.values() for life in each.lives}
        self._places_of = {life: keys for life, keys in self._places_of.items() if life in lives}
        self.buckets = {key: each for key, each in self.buckets.items() if now < each.expires}
        self.charged = {call: until for call, until in self.charged.items() if now < until}
        self.ended = {hold: each for hold, each in self.ended.items() if now < each.until}

    def write_entry(
        self,
        kind: Kind,
        hold: str,
        charged: Amounts,
        buckets: tuple[Charged, ...],
        record: UsageRecord | None,
        now: float,
    ) -> None:
        """Append an entry, and charge its buckets."""
        self.seq += 1
        at = f"{self.seq}-0"
        self.entries.append(Entry(at, self.seq, "", kind, hold, charged, buckets, record))
        for each in buckets:
            if bucket := self.bucket(each.key, now):
                spent = bucket.spent.get(each.slot, 0) + of_meter(charged, each.meter)
                bucket.spent[each.slot] = spent

    def release_hold(self, held: Held, now: float) -> None:
        for each in held.buckets:
            if bucket := self.bucket(each.key, now):
                bucket.held -= of_meter(held.amounts, each.meter)

    def settle(self, hold_id: str, actual: Amounts, record: UsageRecord | None, now: float) -> bool:
        """Whether there was such a hold, in whatever state."""
        held = self.hold(hold_id, now)
        if held is None:
            return False
        cost = Amounts(actual.nanos, actual.tokens, held.amounts.requests)
        if held.state == "open":
            self.release_hold(self.open.pop(hold_id), now)
            self.write_entry("settled", hold_id, cost, held.buckets, record, now)
        elif held.state == "expired":
            difference = subtract(cost, held.amounts)
            self.write_entry("corrected", hold_id, difference, held.buckets, record, now)
        else:
            return True
        self.ended[hold_id] = Held("settled", now + SETTLED_S)
        return True

    def void(self, hold_id: str, now: float) -> None:
        held = self.hold(hold_id, now)
        if held is None or held.state in {"open", "expired"}:
            self.ended[hold_id] = Held("void", now + VOID_S)
        if held is None:
            return
        if held.state == "open":
            self.release_hold(self.open.pop(hold_id), now)
        elif held.state == "expired":
            difference = subtract(NOTHING, held.amounts)
            self.write_entry("corrected", hold_id, difference, held.buckets, None, now)

    def expire(self, now: float) -> list[Held]:
        late = [(each.until, hold) for hold, each in self.open.items() if each.until <= now]
        expired = []
        for _, hold_id in sorted(late):
            held = self.open.pop(hold_id)
            expired.append(held)
            self.release_hold(held, now)
            record = expired_record(hold_id, held.life, held.tenant, held.amounts)
            self.write_entry("expired", hold_id, held.amounts, held.buckets, record, now)
            held.state, held.until = "expired", now + CORRECTABLE_S
            self.ended[hold_id] = held
        return expired

    def counted(self, now: float) -> dict[Counter, int]:
        self.forget(now)
        amounts = {}
        for key, bucket in self.buckets.items():
            bucket.spent_now(now)
            amounts.update({(key, slot): n for slot, n in bucket.spent.items() if n})
        return amounts
