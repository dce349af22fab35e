"""What each hard budget has left, as far as this process knows, and this process's share of it.

The ledger is read now and then (`learn`); in between, this process's own spending is subtracted.
While the ledger is unreachable, a process may spend a share: what was left, divided by the number
of processes. So together they stay within what was left, and exceed a cap at most by what others
spent between the last read and the outage.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from gateway.core.accounts import Amounts, Balance, Purse
from gateway.core.money import Nanos
from gateway.core.periods import ROLLING_S, SLOTS
from gateway.core.ports import Clock
from gateway.core.records.entry import of_meter
from gateway.drivers.ledger.plans import Calendar, Limit, make_plan

_MAX_PURSES: Final = 4_096
FRESH_S: Final = 10.0
"""Balances older than this are not used."""
_ACTIVE_S: Final = 60.0
_WINDOW: Final = "#"
"""Between a bucket's key, which has none, and the number of a rolling budget's share."""


class Room:
    """What one hard budget has left. Amounts are in its meter's unit.

    `left` is an estimate, of the bucket `key`; `requested` is the sum ever requested here, and
    `in_flight` what of it has no reply yet. `share` is what may be spent here while the ledger is
    unreachable, None when it is reachable, and `taken` what of the share is held or spent. That of
    a rolling budget begins anew each `window_s`: it began at `share_since`, in monotonic seconds.
    """

    __slots__ = (
        "__weakref__", "in_flight", "key", "left", "limit", "lives", "read_at", "requested",
        "share", "share_key", "share_since", "taken", "window_s", "windows",
    )  # fmt: skip

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.key = self.share_key = ""
        self.left = self.requested = self.in_flight = self.taken = self.windows = 0
        self.read_at = self.share_since = float("-inf")
        budget = limit.budget
        self.window_s = ROLLING_S[budget.per] * (SLOTS + 1) / SLOTS if budget.rolling else None
        self.share: int | None = None
        self.lives: set[str] = set()
        """The lives that have a place, for a budget of concurrent requests."""

    def share_key_now(self, key: str, replicas: int, now: float) -> str:
        """What names the present share of that bucket. In a rolling window it begins anew, less by
        what we took of the one before: that may not have left it yet, what others spent has.
        """
        if self.window_s is None or self.share is None:
            return key
        passed = now - self.share_since
        if passed >= self.window_s:
            before = self.taken if passed < 2 * self.window_s else 0
            self.windows += 1
            self.share_key = f"{key}{_WINDOW}{self.windows}"
            self.share = self.limit.budget.cap // replicas - before
            self.taken, self.share_since = 0, now
        return self.share_key

    def share_left(self, key: str, replicas: int, since: float, now: float) -> int | None:
        """What is left of the share while the ledger is unreachable, `since` then; None if the
        budget's state is not known.
        """
        if self.share_key != key:
            if self.share is None and since - self.read_at > FRESH_S:
                return None
            # In a period that begins during the outage, all spending is from shares.
            new = self.share is not None or self.key != key
            left = self.limit.budget.cap if new else self.left
            self.share, self.share_key, self.taken = max(left, 0) // replicas, key, 0
            self.share_since = now
        return None if self.share is None else self.share - self.taken

    def forget_share(self) -> None:
        """The ledger is back; what is left must be read again."""
        self.share, self.share_key, self.taken = None, "", 0
        self.read_at = float("-inf")


class Row(NamedTuple):
    room: Room
    key: str
    """Its current bucket."""


class WatchedPurse:
    """A purse, and the rooms that it spends from in [start, end), Unix seconds."""

    __slots__ = ("end", "purse", "read_at", "rows", "start", "used_at")

    def __init__(self, purse: Purse, rows: Sequence[Row], start: int, end: int) -> None:
        self.purse = purse
        self.rows = rows
        self.start = start
        self.end = end
        self.used_at = self.read_at = float("-inf")


Demand = list[tuple[Room, str, int]]
"""For one call: each room, its share's key, and the amount."""


def bucket_of(share_key: str) -> str:
    """The key of a share's bucket."""
    return share_key.partition(_WINDOW)[0]


class Rooms:
    """`clock` gives monotonic seconds, `wall` Unix seconds."""

    def __init__(self, replicas: int, clock: Clock, wall: Callable[[], float]) -> None:
        self._replicas = replicas
        self._clock = clock
        self._wall = wall
        self._calendar = Calendar()
        self._watched: dict[Purse, WatchedPurse] = {}
        self._rooms: WeakValueDictionary[Limit, Room] = WeakValueDictionary()
        self._lives: dict[str, list[Room]] = {}

    def watch(self, purse: Purse) -> WatchedPurse:
        """Raises ValueError for a budget that cannot be counted, KeyError for an unknown zone."""
        watched = self._watched.pop(purse, None)
        now = self._wall()
        if watched is None or not watched.start <= now < watched.end:
            plan = make_plan(purse, self._calendar, now, 0)
            keys = [line.key for line in (*plan.lines, *plan.places)]
            rows = [
                Row(self._room(limit), keys[at])
                for limit, at in plan.rows
                if limit.budget.mode == "hard"
            ]
            watched, before = WatchedPurse(purse, rows, plan.start, plan.end), watched
            if before is not None:
                watched.used_at, watched.read_at = before.used_at, before.read_at
        self._watched[purse] = watched  # moved to the end: least recently used first
        return watched

    def _room(self, limit: Limit) -> Room:
        room = self._rooms.get(limit)
        if room is None:
            room = self._rooms[limit] = Room(limit)
        return room

    def demand(self, purse: Purse, amounts: Amounts, life: str) -> Demand:
        watched = self.watch(purse)
        watched.used_at = now = self._clock()
        demand = []
        for room, key in watched.rows:
            meter = room.limit.budget.meter
            new = life not in room.lives
            amount = int(new) if meter == "at_once" else of_meter(amounts, meter)
            demand.append((room, room.share_key_now(key, self._replicas, now), amount))
        return demand

    def fits_shares(self, demand: Demand, since: float) -> tuple[bool, Nanos | None]:
        """Whether it fits the shares, and what the smallest money share would have left."""
        fits, least, now = True, None, self._clock()
        for room, key, amount in demand:
            left = room.share_left(key, self._replicas, since, now)
            if left is None or (amount > 0 and left < amount):
                fits = False
            elif room.limit.budget.meter == "usd":
                after = Nanos(max(left - amount, 0))
                least = after if least is None else min(least, after)
        return fits, least

    def stale(self) -> list[WatchedPurse]:
        """Recently used purses, the least recently read first."""
        since = self._clock() - _ACTIVE_S
        used = [each for each in self._watched.values() if each.used_at > since]
        return sorted(used, key=lambda each: each.read_at)

    def trim(self) -> None:
        """Forget the least recently used purses."""
        while len(self._watched) > _MAX_PURSES:
            del self._watched[next(iter(self._watched))]

    def forget_shares(self, home: str) -> None:
        """A home's ledger is back: shares end."""
        for each in self._watched.values():
            if each.purse.home == home:
                for room, _ in each.rows:
                    room.forget_share()
                each.read_at = float("-inf")

    def begin(self, demand: Demand, life: str) -> None:
        """They are being requested from the ledger."""
        for room, _, amount in demand:
            room.requested += amount
            room.in_flight += amount
            room.left -= amount
        self._enter(demand, life)

    def answered(self, demand: Demand, life: str, *, held: bool) -> None:
        for room, _, amount in demand:
            room.in_flight -= amount
            if not held:
                room.left += amount
                if amount and room.limit.budget.meter == "at_once":
                    room.lives.discard(life)

    def take(self, demand: Demand, life: str) -> None:
        """They are taken from the shares."""
        for room, _, amount in demand:
            room.taken += amount
        self._enter(demand, life)

    def take_back(self, demand: Demand) -> None:
        for room, key, amount in demand:
            if room.share_key == key:
                room.taken -= amount

    def _enter(self, demand: Demand, life: str) -> None:
        for room, _, amount in demand:
            if amount and room.limit.budget.meter == "at_once":
                room.lives.add(life)
                self._lives.setdefault(life, []).append(room)

    def leave(self, life: str) -> None:
        """Its places are free again."""
        for room in self._lives.pop(life, ()):
            if life in room.lives:
                room.lives.discard(life)
                room.taken -= 1


class BalanceQuery:
    """One read of balances: made before the read, then `learn` gets the reply."""

    def __init__(self, watched: WatchedPurse, now: float) -> None:
        self._watched = watched
        self._now = now
        # What is in flight now may or may not be in the reply: it is subtracted as well.
        self._rows = [(row, row.room.requested - row.room.in_flight) for row in watched.rows]

    def learn(self, balances: Sequence[Balance]) -> None:
        hard = [each for each in balances if each.budget.mode == "hard"]
        for (row, requested), each in zip(self._rows, hard, strict=True):
            room = row.room
            left = each.budget.cap - each.spent - each.held
            room.left = left - (room.requested - requested)
            room.key, room.read_at = row.key, self._now
        self._watched.read_at = self._now


def give_back(demand: Demand, held: Amounts, actual: Amounts) -> None:
    """Correct the shares by what a call really cost. Its place is kept until its life leaves."""
    for room, key, _ in demand:
        meter = room.limit.budget.meter
        if room.share_key == key and meter != "at_once":
            room.taken -= of_meter(held, meter) - of_meter(actual, meter)
