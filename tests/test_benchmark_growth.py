"""What a soak and a profile make of what they looked at. Nothing is timed."""

import pytest

from benchmarks.growth import Sample, after_warm_up, judged, lines, slope, stolen
from benchmarks.profile import UVLOOP, own_time, rooms, told

STACKS = """\
thread (0x1): MainThread;run (asyncio/runners.py:118) 40
thread (0x1): MainThread;run (asyncio/runners.py:118);serve (gateway/web/hot.py:10) 30
thread (0x1): MainThread;serve (gateway/web/hot.py:12);reply (gateway/web/hot.py:90) 20
thread (0x1): MainThread;read (/x/site-packages/msgspec/json.py:7) 10
thread (0x2): Thread-1;wait (threading.py:3) 900
"""


def test_a_profile_is_each_file_s_own_time_on_the_main_thread() -> None:
    files, functions = own_time(STACKS)
    assert files == {UVLOOP: 40, "gateway/web/hot": 50, "msgspec/json": 10}
    assert functions["gateway/web/hot: reply"] == 20
    assert rooms(files) == {UVLOOP: 40, "gateway/web": 50, "msgspec/json": 10}
    assert told(files, 200.0, "file") == [
        ["file", "%", "us"],
        ["gateway/web/hot", "50.0", "100.0"],
        [UVLOOP, "40.0", "80.0"],
        ["msgspec/json", "10.0", "20.0"],
        ["all others", "0.0", "0.0"],
    ]


@pytest.mark.parametrize(
    ("values", "an_hour"), [([5.0, 5.0, 5.0], 0.0), ([1.0, 2.0, 3.0], 60.0), ([3.0, 2.0, 1.0], -60)]
)
def test_a_slope_is_told_by_the_hour(values: list[float], an_hour: float) -> None:
    assert slope([0.0, 60.0, 120.0], values) == pytest.approx(an_hour)


def test_one_moment_has_no_slope() -> None:
    assert slope([7.0], [3.0]) == 0.0


def soaked(
    *, minutes: int, mb_an_hour: float = 0.0, files: int = 0, tasks: int = 0
) -> list[Sample]:
    """A sample a second; files and tasks by which they grow from begin to end."""
    end = minutes * 60
    return [
        Sample(
            at,
            100 + mb_an_hour * at / 3600,
            200 + files * at // end,
            50 + tasks * at // end,
            30 + at / 60,
        )
        for at in range(end + 1)
    ]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (soaked(minutes=30), ["flat", "flat", "flat", ""]),
        (soaked(minutes=30, mb_an_hour=0.9), ["flat", "flat", "flat", ""]),
        (soaked(minutes=30, mb_an_hour=1.1), ["GROWS", "flat", "flat", ""]),
        (soaked(minutes=30, files=100), ["flat", "GROWS", "flat", ""]),
        (soaked(minutes=30, tasks=100), ["flat", "flat", "GROWS", ""]),
        (soaked(minutes=3, mb_an_hour=50), ["", "flat", "flat", ""]),
    ],
)
def test_what_grows_is_told(samples: list[Sample], words: list[str]) -> None:
    rows = judged(samples)
    assert [line[-1] for line in lines(rows)[1:]] == words
    assert all(row.is_flat for row in rows) is ("GROWS" not in words)


@pytest.mark.parametrize(("minutes", "first_s"), [(3, 60), (30, 600), (120, 600)])
def test_the_warm_up_is_a_third_but_no_more_than_ten_minutes(minutes: int, first_s: int) -> None:
    assert after_warm_up(soaked(minutes=minutes))[0].at_s == first_s


@pytest.mark.parametrize(
    ("seconds", "took"),
    [
        ({0: 5.0}, (0.0, 0.0)),
        ({0: 5.0, 30: 8.0}, (0.1, 0.1)),
        ({0: 0.0, 30: 3.0, 60: 30.0, 120: 30.0}, (0.25, 0.5)),
    ],
)
def test_what_the_host_took_in_all_and_in_the_worst_minute(
    seconds: dict[int, float], took: tuple[float, float]
) -> None:
    samples = [Sample(at, 0.0, 0, 0, 0.0, stolen_s=so_far) for at, so_far in seconds.items()]
    assert stolen(samples) == pytest.approx(took)
