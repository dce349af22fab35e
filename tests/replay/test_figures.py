"""Hulls, mixes, intervals, the frontier and the picture."""

import re
from random import Random
from xml.etree import ElementTree as ET

import pytest

from gateway.replay.figures import (
    Figure,
    Figures,
    Line,
    Outcomes,
    Point,
    _Comparison,
    _samples,
    best_mix_accuracy,
    hull,
)
from gateway.replay.picture import draw
from gateway.replay.sweep import frontier


@pytest.mark.parametrize(
    ("points", "corners"),
    [
        ([(1, 0.5)], [(1, 0.5)]),
        ([(1, 0.5), (2, 0.9)], [(1, 0.5), (2, 0.9)]),
        ([(2, 0.9), (1, 0.5), (1.5, 0.6)], [(1, 0.5), (2, 0.9)]),  # below the line
        ([(1, 0.5), (1.5, 0.8), (2, 0.9)], [(1, 0.5), (1.5, 0.8), (2, 0.9)]),
        ([(1, 0.5), (2, 0.4)], [(1, 0.5)]),  # dearer and worse
        ([(1, 0.5), (1, 0.7)], [(1, 0.5), (1, 0.7)]),
    ],
)
def test_hull(points: list[Point], corners: list[Point]) -> None:
    assert hull(points) == corners


@pytest.mark.parametrize(
    ("usd", "accuracy"), [(0.5, 0.5), (1.0, 0.5), (1.5, 0.7), (2.0, 0.9), (9.0, 0.9)]
)
def test_the_best_mix_at_a_price(usd: float, accuracy: float) -> None:
    assert best_mix_accuracy([(1.0, 0.5), (2.0, 0.9)], usd) == pytest.approx(accuracy)


def outcomes(queries: int) -> Outcomes:
    quality = [float(n % 5 != 0) for n in range(queries)]
    return Outcomes(quality, [0.001 * (n % 7) for n in range(queries)], [1.0] * queries, None)


def interval(queries: int) -> Figure:
    found = outcomes(queries)
    scales = _Comparison({"m": found}, "m", _samples(queries, Random(1)))  # noqa: S311 - a draw
    return scales.line("m", found).accuracy


@pytest.mark.parametrize("queries", [500, 8_000, 8_001, 20_000])
def test_an_interval_is_as_wide_as_its_standard_error_says(queries: int) -> None:
    """Also where many queries are drawn in blocks."""
    found = interval(queries)
    error = (0.8 * 0.2 / queries) ** 0.5
    assert found.value == pytest.approx(0.8, abs=0.001)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert interval(500) == interval(500)


def line(name: str, usd: float, accuracy: float) -> Line:
    same = {
        field: Figure(0.0, 0.0, 0.0)
        for field in ("cost_of_smart", "vs_smart_pp", "lift_pp", "calls")
    }
    spread = Figure(accuracy, accuracy - 0.05, accuracy + 0.05)
    return Line(name, accuracy=spread, usd_per_1000=Figure(usd, usd, usd), **same)


def test_the_frontier() -> None:
    lines = [line("a", 1, 0.5), line("b", 2, 0.4), line("c", 3, 0.8), line("d", 3, 0.7)]
    assert [each.name for each in frontier(lines)] == ["a", "c"]


@pytest.mark.parametrize("usd", [0.0, 0.04, 12.0])
def test_the_picture_shows_each_policy(usd: float) -> None:
    singles = (line("always <cheap>", usd, 0.5), line("always smart", 20.0, 0.9))
    figures = Figures(10, "smart", line("a & b", 5.0, 0.85), singles, line("oracle", 6.0, 0.99))
    text = draw(figures, "set: a & b", [line("other", 7.0, 0.8)])
    ET.fromstring(text)  # noqa: S314 - what we have just written
    titles = re.findall(r"<circle [^>]*><title>([^:]+):", text)
    assert sorted(titles) == [
        "a &amp; b",
        "always &lt;cheap&gt;",
        "always smart",
        "oracle",
        "other",
    ]
    for x, y in re.findall(r'<circle cx="([-\d.]+)" cy="([-\d.]+)"', text):
        assert 0 <= float(x) <= 760
        assert 0 <= float(y) <= 460
