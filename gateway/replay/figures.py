"""The results of a policy, beside single models, the best mix of them, and the best possible.

The zero router mixes single models at random so that it pays the same: the upper hull of their
points (dollars, accuracy). Intervals are of 95 %, by a bootstrap over the queries.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Final, TypeVar

from msgspec import Struct

from gateway.core.money import PER_USD
from gateway.core.records.route_figures import percentile
from gateway.replay.rehearse import Decision, Rehearsal

SAMPLES: Final = 400
_MAX_SINGLE_DRAWS: Final = 8_000
"""Queries that are drawn one by one. More are drawn in random blocks: the interval is the same, and
the work is not that of a hundred thousand."""
_BLOCKS: Final = 2_000

T = TypeVar("T")
Point = tuple[float, float]
"""(dollars a query, accuracy)"""


class Figure(Struct, frozen=True):
    """A value, and its 95 % interval."""

    value: float
    low: float
    high: float


class Line(Struct, frozen=True):
    """One policy. Accuracy is from 0 to 1, differences are in percentage points."""

    name: str
    accuracy: Figure
    usd_per_1000: Figure
    cost_of_smart: Figure
    vs_smart_pp: Figure
    lift_pp: Figure
    calls: Figure
    p50_s: Figure | None = None
    p95_s: Figure | None = None


class Outcomes(Struct, frozen=True):
    """One policy's, a value for each query."""

    quality: Sequence[float]
    usd: Sequence[float]
    calls: Sequence[float]
    seconds: Sequence[float] | None


class Figures(Struct, frozen=True):
    queries: int
    smart: str
    policy: Line
    singles: tuple[Line, ...]
    oracle: Line


def measure(
    rehearsal: Rehearsal,
    decisions: Sequence[Decision],
    name: str,
    rng: Random,
    samples: int = SAMPLES,
) -> Figures:
    """Every line of the report. There is at least one decision, and one sample."""
    pool, smart = rehearsal.pool, rehearsal.lineup.smart
    singles = {each: _single_outcomes(rehearsal, each) for each in pool}
    comparison = _Comparison(singles, smart, _samples(len(decisions), rng, samples))
    return Figures(
        queries=len(decisions),
        smart=smart,
        policy=comparison.line(name, _policy_outcomes(decisions)),
        singles=tuple(comparison.line(f"always {each}", singles[each]) for each in pool),
        oracle=comparison.line("oracle", _oracle_outcomes(rehearsal, pool)),
    )


def hull(points: Sequence[Point]) -> list[Point]:
    """The corners of what a random mix can reach, from the cheapest up."""
    corners: list[Point] = []
    for point in sorted(points):
        if corners and point[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _below(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return corners


def best_mix_accuracy(corners: Sequence[Point], usd: float) -> float:
    """The accuracy of the best mix at that price."""
    if usd <= corners[0][0]:
        return corners[0][1]
    for (cheap, low), (dear, high) in pairwise(corners):
        if usd <= dear:
            return low + (high - low) * (usd - cheap) / (dear - cheap)
    return corners[-1][1]


def _below(first: Point, middle: Point, last: Point) -> bool:
    """Whether the middle one lies on or below the line of the others."""
    rise = (middle[1] - first[1]) * (last[0] - first[0])
    return rise <= (last[1] - first[1]) * (middle[0] - first[0])


def _policy_outcomes(decisions: Sequence[Decision]) -> Outcomes:
    times = [each.seconds for each in decisions if each.seconds is not None]
    return Outcomes(
        [each.quality for each in decisions],
        [(each.cost + each.audit_cost) / PER_USD for each in decisions],
        [float(len(each.called) + len(each.audited)) for each in decisions],
        times if len(times) == len(decisions) else None,
    )


def _single_outcomes(rehearsal: Rehearsal, name: str) -> Outcomes:
    answers = [rehearsal.answers[name][query.id] for query in rehearsal.queries]
    times = [each.seconds for each in answers if each.seconds is not None]
    return Outcomes(
        [each.quality for each in answers],
        [each.cost / PER_USD for each in answers],
        [1.0] * len(answers),
        times if len(times) == len(answers) else None,
    )


def _oracle_outcomes(rehearsal: Rehearsal, pool: Sequence[str]) -> Outcomes:
    """For each query the best answer, and of those the cheapest."""
    best = [
        min(
            (rehearsal.answers[name][query.id] for name in pool),
            key=lambda answer: (-answer.quality, answer.cost),
        )
        for query in rehearsal.queries
    ]
    usd = [each.cost / PER_USD for each in best]
    return Outcomes([each.quality for each in best], usd, [1.0] * len(best), None)


Sample = Sequence[int]


class _Samples(Struct, frozen=True):
    """`blocks` are the queries of each block, or None where each query is one."""

    draws: Sequence[Sample]
    blocks: Sequence[Sequence[int]] | None

    def means(self, values: Sequence[float]) -> list[float]:
        """The mean of the values in each sample."""
        if self.blocks is None:
            return [sum(map(values.__getitem__, draw)) / len(draw) for draw in self.draws]
        sums = [sum(map(values.__getitem__, block)) for block in self.blocks]
        sizes = [len(block) for block in self.blocks]
        return [
            sum(map(sums.__getitem__, draw)) / sum(map(sizes.__getitem__, draw))
            for draw in self.draws
        ]


def _samples(queries: int, rng: Random, count: int = SAMPLES) -> _Samples:
    if queries > _MAX_SINGLE_DRAWS:
        order = list(range(queries))
        rng.shuffle(order)
        blocks = [order[at::_BLOCKS] for at in range(_BLOCKS)]
        draws = [rng.choices(range(_BLOCKS), k=_BLOCKS) for _ in range(count)]
        return _Samples(draws, blocks)
    # As the recordings' own scorer draws: tests/replay/test_same_numbers.py wants its figures.
    return _Samples([[rng.randrange(queries) for _ in range(queries)] for _ in range(count)], None)


class _Comparison:
    """Compares each policy with the smart model and the best mix, in each sample."""

    def __init__(self, singles: Mapping[str, Outcomes], smart: str, samples: _Samples) -> None:
        self.samples = samples
        self.singles = [_usd_and_quality(each, _mean) for each in singles.values()]
        self.smart = _usd_and_quality(singles[smart], _mean)
        drawn = {name: _usd_and_quality(each, samples.means) for name, each in singles.items()}
        self.drawn_smart = drawn[smart]
        points = [list(zip(*each, strict=True)) for each in drawn.values()]
        self.drawn_hulls = [hull(each) for each in zip(*points, strict=True)]

    def line(self, name: str, outcomes: Outcomes) -> Line:
        usd, quality = _usd_and_quality(outcomes, _mean)
        drawn_usd, drawn_quality = _usd_and_quality(outcomes, self.samples.means)
        smart_usd, smart_quality = self.smart
        drawn_smart_usd, drawn_smart_quality = self.drawn_smart
        ratios = [a / b if b else 0.0 for a, b in zip(drawn_usd, drawn_smart_usd, strict=True)]
        gaps = [100 * (a - b) for a, b in zip(drawn_quality, drawn_smart_quality, strict=True)]
        lifts = [
            100 * (quality - best_mix_accuracy(corners, usd))
            for corners, usd, quality in zip(
                self.drawn_hulls, drawn_usd, drawn_quality, strict=True
            )
        ]
        return Line(
            name,
            accuracy=_figure(quality, drawn_quality),
            usd_per_1000=_figure(1000 * usd, [1000 * each for each in drawn_usd]),
            cost_of_smart=_figure(usd / smart_usd if smart_usd else 0.0, ratios),
            vs_smart_pp=_figure(100 * (quality - smart_quality), gaps),
            lift_pp=_figure(100 * (quality - best_mix_accuracy(hull(self.singles), usd)), lifts),
            calls=_figure(_mean(outcomes.calls), self.samples.means(outcomes.calls)),
            p50_s=self._percentile(outcomes.seconds, 0.50),
            p95_s=self._percentile(outcomes.seconds, 0.95),
        )

    def _percentile(self, seconds: Sequence[float] | None, share: float) -> Figure | None:
        """A percentile; its interval is by order statistics, not by drawing."""
        estimate = None if seconds is None else percentile(sorted(seconds), share)
        if estimate is None:
            return None
        low, high = estimate.low, estimate.high
        return Figure(
            estimate.value,
            estimate.value if low is None else low,
            estimate.value if high is None else high,
        )


def _usd_and_quality(outcomes: Outcomes, mean: Callable[[Sequence[float]], T]) -> tuple[T, T]:
    return mean(outcomes.usd), mean(outcomes.quality)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _figure(value: float, drawn: Sequence[float]) -> Figure:
    ordered = sorted(drawn)
    count = len(ordered)
    return Figure(value, ordered[int(0.025 * count)], ordered[int(0.975 * count)])
