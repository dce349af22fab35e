"""Parts of a day, by the minute: when a price or a rule applies."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


def minute_of(unix_seconds: float, zone: str) -> int:
    """Minutes since midnight in `zone`, an IANA name."""
    clock = datetime.fromtimestamp(unix_seconds, _zone(zone))
    return clock.hour * 60 + clock.minute


def within(begin: int, minute: int, end: int) -> bool:
    """From `begin` up to but not including `end`; what ends at or before its begin ends on the next
    day.
    """
    if begin < end:
        return begin <= minute < end
    return minute >= begin or minute < end


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
