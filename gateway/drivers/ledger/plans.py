"""Which buckets a purse's budgets are counted in: their keys, periods and limits.

Used by both ledgers. A bucket is what one account spends of one meter in one period; budgets with
the same account, meter and period share a bucket.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from gateway.core.accounts import LARGEST, Account, Purse
from gateway.core.catalog import Budget, Meter
from gateway.core.catalog import Period as Per
from gateway.core.periods import ROLLING_S, SLOTS, Period, ended_by, period
from gateway.core.records.entry import METERS

_DAY: Final = 86_400
NEVER: Final = 2**53 - 1
_KEPT: Final[Mapping[Per, int]] = {
    "minute": _DAY,
    "hour": _DAY,
    "day": 3 * _DAY,
    "week": 10 * _DAY,
    "month": 40 * _DAY,
}
"""Seconds for which a bucket is kept after its period, for late settles."""
_ROLLING: Final = "rolling-"
_LONGEST: Final = 96


class Limit(NamedTuple):
    account: Account
    budget: Budget


class Line(Struct, frozen=True):
    """A bucket. `slot_ms` is the slot length of a rolling one, 0 for a calendar period.

    `expires` is when it is deleted, in Unix seconds, 0 for never; for a rolling one the TTL after
    its last use, in milliseconds. `resets_at` is the end of its period.
    """

    key: str
    meter: Meter
    slot_ms: int
    expires: int
    resets_at: int | None
    limits: tuple[Limit, ...]


class Plan(Struct, frozen=True):
    """The buckets of a purse while the ledger's clock is in [start, end), in Unix seconds.

    `lines` are those of amounts, `places` those of concurrent requests; `limits` are theirs, in
    that order. `rows` has the index of each budget's line.
    """

    start: int
    end: int
    lines: tuple[Line, ...]
    places: tuple[Line, ...]
    limits: tuple[tuple[Limit, Line], ...]
    rows: tuple[tuple[Limit, int], ...]


class Calendar:
    """Caches the current period of each kind and zone."""

    def __init__(self) -> None:
        self._current: dict[tuple[Per, str], Period] = {}

    def period_at(self, per: Per, zone: str, now: float) -> Period:
        span = self._current.get((per, zone))
        if span is None or not span.start <= now < (span.end or NEVER):
            span = self._current[per, zone] = period(per, zone, now)
        return span


def escape(name: str) -> str:
    """Any text as a part of a key: no colon, brace or control character, and of bounded length."""
    octets = name.encode("utf-8", "surrogatepass")
    escaped = quote(octets, safe="")
    return escaped if len(escaped) <= _LONGEST else "=" + sha256(octets).hexdigest()


def prefix(home: str) -> str:
    """The prefix of a home's keys."""
    return f"tg:{{{escape(home)}}}:"


def make_plan(purse: Purse, calendar: Calendar, now: float, ttl_ms: int) -> Plan:
    """Raises ValueError for a budget that cannot be counted, KeyError for an unknown zone."""
    start, end = 0, NEVER
    key_prefix = prefix(purse.home)
    by_key: dict[str, Line] = {}
    rows: list[tuple[Limit, str]] = []
    for account in purse.accounts:
        name = f"{key_prefix}b:{escape(account.owner)}:{account.scope}:{escape(account.name)}:"
        for budget in account.budgets:
            _check(budget)
            span = None if budget.rolling else calendar.period_at(budget.per, account.timezone, now)
            if span is not None and span.end is not None:
                start, end = max(start, span.start), min(end, span.end)
            key = f"{name}{budget.meter}:{span.id if span else _ROLLING + budget.per}"
            limit = Limit(account, budget)
            previous = by_key.get(key)
            limits = (*previous.limits, limit) if previous else (limit,)
            by_key[key] = _line(key, budget, span, ttl_ms, limits)
            rows.append((limit, key))
    lines = tuple(line for line in by_key.values() if line.meter != "at_once")
    places = tuple(line for line in by_key.values() if line.meter == "at_once")
    position = {line.key: index for index, line in enumerate((*lines, *places))}
    return Plan(
        start=start,
        end=end,
        lines=lines,
        places=places,
        limits=tuple((limit, line) for line in (*lines, *places) for limit in line.limits),
        rows=tuple((limit, position[key]) for limit, key in rows),
    )


def _line(
    key: str, budget: Budget, span: Period | None, ttl_ms: int, limits: tuple[Limit, ...]
) -> Line:
    if span is None:
        slot_ms = ROLLING_S[budget.per] * 1_000 // SLOTS
        return Line(key, budget.meter, slot_ms, _rolling_ttl_ms(slot_ms, ttl_ms), None, limits)
    expires = 0 if span.end is None else span.end + _KEPT[budget.per]
    return Line(key, budget.meter, 0, expires, span.end, limits)


def _rolling_ttl_ms(slot_ms: int, ttl_ms: int) -> int:
    """The TTL of a rolling bucket, long enough for its holds."""
    return (SLOTS + 1) * slot_ms + ttl_ms + 60_000


def _check(budget: Budget) -> None:
    if type(budget.cap) is not int or not 0 <= budget.cap <= LARGEST:
        raise ValueError(f"not a cap: {budget.cap!r}")
    total = budget.per == "total"
    if budget.rolling if total else budget.meter == "at_once":
        raise ValueError(f"there is no such budget: {budget}")


class BucketKey(NamedTuple):
    """What is parsed from a bucket's key. `end` is when a calendar period is over in every zone, in
    Unix seconds; 0 for one that never is, and for a rolling one.
    """

    meter: Meter
    slot_ms: int
    expires: int
    end: int


def read_key(key: str, ttl_ms: int) -> BucketKey | None:
    """Parse a bucket's key; None if it is not a bucket of amounts."""
    parts = key.split(":", 7)  # a minute has a colon of its own
    meter = next((meter for meter in METERS if parts[6:7] == [meter]), None)
    if meter is None or parts[2] != "b" or len(parts) < 8:
        return None
    name = parts[7]
    pers: Iterable[Per] = ROLLING_S
    for per in pers:
        if name == _ROLLING + per:
            slot_ms = ROLLING_S[per] * 1_000 // SLOTS
            return BucketKey(meter, slot_ms, _rolling_ttl_ms(slot_ms, ttl_ms), 0)
    end = ended_by(name)
    return BucketKey(meter, 0, 0, 0) if end is None else BucketKey(meter, 0, end + _kept(name), end)


def _kept(period_id: str) -> int:
    if "T" in period_id:
        return _KEPT["hour"]  # as that of a minute
    if "W" in period_id:
        return _KEPT["week"]
    return _KEPT["month" if len(period_id) < len("2026-11-21") else "day"]
