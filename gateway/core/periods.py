"""Calendar periods: which hour, day, week or month an instant belongs to, in a time zone.

Within a zone the periods of one kind follow each other with no gap and no overlap, also where
clocks change: a day may have 23 or 25 hours, and one without a midnight begins when it begins.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.core.catalog import Period as Per

SLOTS: Final = 24
"""A rolling window is counted in so many slots of time, and the one that is under way."""
ROLLING_S: Final[Mapping[Per, int]] = {
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
}
"""Seconds in a rolling window of each period."""
_HOUR: Final = 3600
_DAY: Final = timedelta(days=1)


class Period(Struct, frozen=True):
    """From `start` up to but not including `end`, in Unix seconds; `end` None is for ever.

    `id` is unique among the periods of a zone: "2026-11-21T05:09" (a minute, of UTC),
    "2026-11-21T05+0100" (an hour), "2026-11-21", "2026-W47" (ISO, from Monday), "2026-11", "total".
    """

    id: str
    start: int
    end: int | None


TOTAL: Final = Period("total", 0, None)


def period(per: Per, zone: str, unix_seconds: float) -> Period:
    """The period around an instant. `zone` is an IANA name; an unknown one is a KeyError."""
    if per == "total":
        return TOTAL
    clock = _zone(zone)
    now = datetime.fromtimestamp(unix_seconds, clock)
    if per == "minute":
        start = int(unix_seconds // 60) * 60
        return Period(f"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M}", start, start + 60)
    if per == "hour":
        return _hour(clock, now, int(unix_seconds // 1))
    today = now.date()
    if per == "day":
        return _days(clock, today.isoformat(), today, today + _DAY)
    if per == "week":
        monday = today - today.weekday() * _DAY
        year, week, _ = today.isocalendar()
        return _days(clock, f"{year:04d}-W{week:02d}", monday, monday + 7 * _DAY)
    first = today.replace(day=1)
    return _days(clock, f"{first:%Y-%m}", first, (first + 31 * _DAY).replace(day=1))


def ended_by(period_id: str) -> int | None:
    """A second by which the period of that id is over in every zone; None: never. Raises
    ValueError for what is no id of a period.
    """
    if period_id == "total":
        return None
    if "W" in period_id:
        start = datetime.strptime(f"{period_id}-1", "%G-W%V-%u").replace(tzinfo=UTC)
        after = start + 7 * _DAY
    elif "T" not in period_id:
        start = datetime.fromisoformat(f"{period_id}-01"[:10]).replace(tzinfo=UTC)
        after = start + (_DAY if len(period_id) == 10 else 31 * _DAY)
    elif ":" in period_id:
        return int(datetime.fromisoformat(f"{period_id}+00:00").timestamp()) + 60
    else:
        start = datetime.strptime(period_id, "%Y-%m-%dT%H%z")
        return int(start.timestamp()) + _HOUR
    return int(after.timestamp()) + 12 * _HOUR


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _days(clock: ZoneInfo, name: str, first: date, after: date) -> Period:
    return Period(name, _midnight(clock, first), _midnight(clock, after))


def _midnight(clock: ZoneInfo, day: date) -> int:
    """When the day begins. A midnight that clocks jump over is, by the offset before the jump
    (fold=0), the very instant of the jump; one that comes twice begins the day the first time.
    """
    return int(datetime.combine(day, time(), clock).timestamp())


def _hour(clock: ZoneInfo, now: datetime, second: int) -> Period:
    offset = _offset(clock, second)
    start = second - (second + offset) % _HOUR
    end = start + _HOUR
    # Clocks that change by half an hour (Lord Howe Island) cut an hour short at the change.
    if _offset(clock, start) != offset:
        start = _change(clock, start, second)
    elif _offset(clock, end - 1) != offset:
        end = _change(clock, second, end - 1)
    return Period(f"{now:%Y-%m-%dT%H%z}", start, end)


def _offset(clock: ZoneInfo, second: int) -> int:
    delta = datetime.fromtimestamp(second, UTC).astimezone(clock).utcoffset()
    return int(delta.total_seconds()) if delta is not None else 0


def _change(clock: ZoneInfo, low: int, high: int) -> int:
    """The first second with the offset of `high`, where that of `low` differs."""
    late = _offset(clock, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(clock, middle) == late:
            high = middle
        else:
            low = middle
    return high
