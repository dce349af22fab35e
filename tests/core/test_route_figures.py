"""What routes came to: lines in, figures out."""

import pytest

from gateway.core.records.line import Line
from gateway.core.records.route_figures import (
    Estimate,
    Figures,
    RouteFigures,
    mean,
    percentile,
    share,
)
from tests.usage_lines import NOON, line

USD = 10**9


def of(request: str, at_s: float, seconds: float, **other: object) -> Line:
    """A call that ended so many seconds after noon."""
    of.number += 1  # type: ignore[attr-defined]
    ms = NOON + round(1000 * at_s)
    return line(f"a{of.number}", ms=ms, request=request, seconds=seconds, **other)  # type: ignore[attr-defined, arg-type]


of.number = 0  # type: ignore[attr-defined]


def compared(request: str, outcome: str, route: str = "auto") -> Line:
    return of(request, 9, 0, route=route, purpose="compared", outcome=outcome, cost=0, requests=0)


LINES = [
    # Votes at once, and who decides after them.
    of("r1", 1.0, 1.0, cost=1 * USD, purpose="vote"),
    of("r1", 2.0, 2.0, cost=2 * USD, purpose="vote"),
    of("r1", 5.0, 2.5, cost=3 * USD, purpose="arbitration", tier="smart"),
    # Votes that agreed, and their audit.
    of("r2", 1.0, 1.0, cost=1 * USD, purpose="vote"),
    of("r2", 1.0, 0.5, cost=1 * USD, purpose="vote"),
    of("r2~guard", 3.0, 1.0, cost=7 * USD, purpose="audit", tier="smart"),
    compared("r2~guard", "agreed"),
    # A failure in another tier is no climb.
    of("r3", 1.0, 1.0, cost=0, outcome="faulty"),
    of("r3", 2.0, 1.0, cost=1 * USD, purpose="fallback", tier="smart"),
    # The other route behind all of them.
    of("r1~shadow", 2.0, 2.0, cost=4 * USD, route="next", purpose="audit"),
    of("r1~shadow", 4.0, 2.0, cost=5 * USD, route="next", purpose="audit", tier="smart"),
    compared("r1~shadow", "agreed", "next"),
    of("r2~shadow", 2.0, 2.0, cost=1 * USD, route="next", purpose="audit"),
    compared("r2~shadow", "differed", "next"),
    of("r3~shadow", 2.0, 2.0, cost=2 * USD, route="next", purpose="audit"),
    compared("r3~shadow", "incomparable", "next"),
    # A tenant that was moved to it.
    of("r4", 6.0, 6.0, cost=8 * USD, route="next"),
    # Nobody asked for this one, nor for what was kept.
    of("r5", 1.0, 1.0, route="other"),
    of("", 1.0, 0.0, purpose="cached", cost=0),
]


def test_figures() -> None:
    table = RouteFigures(["auto", "next", "auto", "nowhere"])
    for each in LINES:
        table.add(each)
    auto, moved, shadow, nowhere = table.figures()
    assert (auto.route, auto.seen, auto.requests, auto.usd) == ("auto", "answered", 3, 9.0)
    assert auto.audit_usd == 7.0
    assert (auto.compared, auto.incomparable) == (1, 0)
    assert auto.escalated == share(1, 3)
    assert auto.usd_per_request == mean([6.0, 2.0, 1.0])
    assert auto.p50_s is not None
    assert (auto.p50_s.value, auto.p50_s.high) == (2.0, 5.0)
    assert moved == Figures(
        "next", "answered", 1, 8.0, Estimate(8.0), share(0, 1), None, 0, 0, Estimate(6.0),
        Estimate(6.0), 0.0,
    )  # fmt: skip
    assert (shadow.route, shadow.seen, shadow.requests) == ("next", "shadow", 3)
    assert (shadow.usd, shadow.compared, shadow.incomparable) == (12.0, 2, 1)
    assert shadow.agreed == share(1, 2)
    assert shadow.escalated == share(1, 3)
    assert shadow.p95_s is not None
    assert shadow.p95_s.value == 4.0
    assert nowhere == Figures(
        "nowhere", "answered", 0, 0.0, None, None, None, 0, 0, None, None, 0.0
    )


@pytest.mark.parametrize(
    ("some", "of_them", "low", "high"),
    [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0), (90, 100, 0.826, 0.945)],
)
def test_a_share(some: int, of_them: int, low: float, high: float) -> None:
    """Wilson's interval, as tables have it."""
    found = share(some, of_them)
    assert found is not None
    assert found.low == pytest.approx(low, abs=6e-4)
    assert found.high == pytest.approx(high, abs=6e-4)


def test_a_mean() -> None:
    assert mean([]) is None
    assert mean([3.0]) == Estimate(3.0)
    found = mean([1.0, 2.0, 3.0])
    assert found is not None
    assert found.value == 2.0
    assert found.high == pytest.approx(2 + 1.96 / 3**0.5)


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([4.0], 0.95) == Estimate(4.0)
    found = percentile([float(each) for each in range(101)], 0.5)
    assert found == Estimate(50.0, 40.0, 60.0)
