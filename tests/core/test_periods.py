from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.catalog import Period as Per
from gateway.core.periods import ROLLING_S, SLOTS, TOTAL, ended_by, period

PERS: tuple[Per, ...] = ("minute", "hour", "day", "week", "month")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # clocks go back at 01:00, so midnight comes twice
    "America/Santiago",  # clocks go forward at midnight, which is skipped
    "Africa/Cairo",
    "Asia/Kolkata",  # +05:30
    "Australia/Lord_Howe",  # changes by half an hour
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)


def at(text: str, zone: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


@pytest.mark.parametrize(
    ("per", "zone", "moment", "name", "start", "end"),
    [
        ("minute", "UTC", "2026-11-21T05:09:59", "2026-11-21T05:09", "T05:09", "T05:10"),
        ("hour", "Europe/Berlin", "2026-11-21T05:59:59", "2026-11-21T05+0100", "T05:00", "T06:00"),
        ("hour", "Asia/Kolkata", "2026-11-21T05:10", "2026-11-21T05+0530", "T05:00", "T06:00"),
        ("day", "Europe/Berlin", "2026-11-21T23:59:59", "2026-11-21", "T00:00", "2026-11-22T00:00"),
        ("day", "Europe/Berlin", "2026-11-22T00:00", "2026-11-22", "T00:00", "2026-11-23T00:00"),
        ("week", "UTC", "2026-11-22T12:00", "2026-W47", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("week", "UTC", "2027-01-03T12:00", "2026-W53", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("month", "UTC", "2026-12-31T12:00", "2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("month", "UTC", "2028-02-29T12:00", "2028-02", "2028-02-01T00:00", "2028-03-01T00:00"),
    ],
)
def test_where_a_period_begins_and_ends(
    per: Per, zone: str, moment: str, name: str, start: str, end: str
) -> None:
    day = moment[:10]
    found = period(per, zone, at(moment, zone))
    assert found.id == name
    assert found.start == at(start if start[0] != "T" else day + start, zone)
    assert found.end == at(end if end[0] != "T" else day + end, zone)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Havana", "2026-11-01", 25),
        ("America/Santiago", "2026-09-06", 23),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("UTC", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(zone: str, day: str, hours: float) -> None:
    found = period("day", zone, at(f"{day}T12:00", zone))
    assert found.end is not None
    assert (found.end - found.start) / 3600 == hours


def test_an_hour_that_comes_twice_is_two_periods() -> None:
    first, second = (
        period("hour", "Europe/Berlin", at("2026-10-25T02:30", "Europe/Berlin", fold))
        for fold in (0, 1)
    )
    assert (first.id, second.id) == ("2026-10-25T02+0200", "2026-10-25T02+0100")
    assert first.end == second.start


def test_total_never_ends() -> None:
    assert period("total", "Europe/Berlin", 1_800_000_000) == TOTAL


def test_an_unknown_zone_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        period("day", "Mars/Olympus", 0)


@given(
    per=st.sampled_from(PERS),
    zone=st.sampled_from(ZONES),
    second=st.floats(min_value=1_600_000_000, max_value=2_100_000_000),
)
def test_periods_tile_the_time(per: Per, zone: str, second: float) -> None:
    found = period(per, zone, second)
    assert found.end is not None
    assert found.start <= second < found.end
    assert period(per, zone, found.start) == found
    assert period(per, zone, found.end - 1) == found
    following = period(per, zone, found.end)
    assert following.start == found.end
    assert following.id != found.id


@pytest.mark.parametrize("zone", ZONES)
@settings(deadline=None)  # the first strptime of a process loads its locale
@given(moment=st.integers(0, 4_000_000_000))
def test_an_id_says_when_its_period_is_over_at_the_latest(zone: str, moment: int) -> None:
    for per in PERS:
        span = period(per, zone, moment)
        latest = ended_by(span.id)
        assert span.end is not None
        assert latest is not None
        assert 0 <= latest - span.end <= 5 * 86_400, span
    assert ended_by(TOTAL.id) is None


@pytest.mark.parametrize("name", ["", "rolling-day", "2026", "2026-13", "2026-11-31", "2026-W60"])
def test_what_is_no_id_of_a_period(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ended_by(name)


def test_slots_of_a_rolling_window_are_whole_milliseconds() -> None:
    assert {per: s * 1_000 % SLOTS for per, s in ROLLING_S.items()} == dict.fromkeys(PERS, 0)
