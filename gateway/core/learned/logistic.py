"""Logistic regression for some thousand rows of some twenty numbers, without any library.

Newton's method with an L2 penalty (iteratively reweighted least squares). Columns are lists, so
that the sums run in C: seven thousand rows of twenty take a third of a second. A numerical library
would take a tenth of that, once in a learning, and be a dependency of thirty megabytes.
"""

from collections.abc import Iterable, Sequence
from math import exp, log, sqrt
from operator import add, mul, sub
from typing import Final

from msgspec import Struct

Column = Sequence[float]
REACH: Final = 4.0
"""In standard deviations: what lies beyond counts as if it lay there."""
_STEPS: Final = 50
_LONG: Final = 2.0
_SHORT: Final = 0.05
_SMALL: Final = 1e-6
_LARGEST: Final = 35.0
"""Of a logit: its odds are beyond all doubt."""


class Scale(Struct, frozen=True):
    """What a column's values are measured in. A column of one value has the deviation 1."""

    mean: float
    deviation: float

    def column(self, values: Iterable[float]) -> list[float]:
        mean, deviation = self.mean, self.deviation
        return [min(max((each - mean) / deviation, -REACH), REACH) for each in values]


class Fit(Struct, frozen=True):
    """Weights of scaled columns."""

    bias: float
    weights: tuple[float, ...]

    def chances(self, columns: Sequence[Column], rows: int) -> list[float]:
        return [chance(each) for each in _logits(self.bias, self.weights, columns, rows)]


def scale_of(values: Column) -> Scale:
    mean = sum(values) / len(values)
    spread = sqrt(sum((each - mean) ** 2 for each in values) / len(values))
    return Scale(mean, spread if spread > 1e-9 * (1 + abs(mean)) else 1.0)


def chance(logit: float) -> float:
    """From 0 to 1."""
    return 1.0 / (1.0 + exp(-min(max(logit, -_LARGEST), _LARGEST)))


def fit(columns: Sequence[Column], labels: Sequence[bool], penalty: float) -> Fit:
    """`labels` has a value for each row. Where all are alike nothing can be told apart: the chance
    is then the same of all, and not quite certain.
    """
    rows, hits = len(labels), sum(labels)
    even = log((hits + 1) / (rows - hits + 1))
    live = [at for at, column in enumerate(columns) if min(column) < max(column)]
    if not live or hits in {0, rows}:
        return Fit(even, (0.0,) * len(columns))
    values = _newton([columns[at] for at in live], list(map(float, labels)), penalty, even)
    weights = dict(zip(live, values[1:], strict=True))
    return Fit(values[0], tuple(weights.get(at, 0.0) for at in range(len(columns))))


def _newton(columns: Sequence[Column], labels: Column, penalty: float, bias: float) -> list[float]:
    """The bias and the weights. Once a step is short the curvature hardly changes any more, and is
    most of the work: the last one will do.
    """
    rows = len(labels)
    every = [[1.0] * rows, *columns]
    penalties = [0.0] + [penalty] * len(columns)
    values = [bias] + [0.0] * len(columns)
    bend: list[list[float]] = []
    longest = float("inf")
    for _ in range(_STEPS):
        chances = [chance(each) for each in _logits(values[0], values[1:], columns, rows)]
        misses = list(map(sub, labels, chances))
        slope = [sum(map(mul, misses, column)) for column in every]
        slope = list(map(sub, slope, map(mul, penalties, values)))
        if longest > _SHORT:
            bend = gram(every, [each * (1.0 - each) for each in chances])
            for at, each in enumerate(penalties):
                bend[at][at] += each
        step = solve(bend, slope)
        longest = max(map(abs, step))
        if longest > _LONG:
            step = [each * _LONG / longest for each in step]
        values = list(map(add, values, step))
        if longest < _SMALL:
            break
    return values


def penalty_of(
    columns: Sequence[Column],
    answers: Sequence[Sequence[float]],
    folds: Sequence[int],
    tried: Sequence[float],
) -> float:
    """Which of the penalties predicts best what it has not seen, over all the answers together.

    It is found with straight lines in place of curves, which takes one pass over the rows for all
    penalties and folds: what counts is how much to trust the data, and that is the same. A line's
    penalty is to a curve's as 1 to the mean doubt. `folds` has a fold for each row.
    """
    rows = len(folds)
    centred = [_centred(answer) for answer in answers]
    blocks = [_block(columns, centred, folds, fold) for fold in sorted(set(folds))]
    whole = _added([block.squares for block in blocks])
    best, least = tried[0], float("inf")
    for penalty in tried:
        wrong = 0.0
        for number, answer in enumerate(centred):
            doubt = sum(map(mul, answer, answer)) / rows or 1.0
            total = [sum(each) for each in zip(*(b.sides[number] for b in blocks), strict=True)]
            for block in blocks:
                wrong += block.missed(number, whole, total, penalty / doubt)
        if wrong < least:
            best, least = penalty, wrong
    return best


class _Block(Struct, frozen=True):
    """Sums over the rows of one fold: of columns by columns, and, for each answer, of columns by
    it and of it by itself.
    """

    squares: list[list[float]]
    sides: list[list[float]]
    powers: list[float]

    def missed(self, number: int, whole: Sequence[Column], total: Column, penalty: float) -> float:
        """How far off an answer of this fold is the line through all other folds, squared."""
        others = [list(map(sub, row, mine)) for row, mine in zip(whole, self.squares, strict=True)]
        for at in range(len(others)):
            others[at][at] += penalty
        side = self.sides[number]
        line = solve(others, list(map(sub, total, side)))
        through = [sum(map(mul, row, line)) for row in self.squares]
        along: float = sum(map(mul, line, through)) - 2 * sum(map(mul, line, side))
        return self.powers[number] + along


def _block(
    columns: Sequence[Column], answers: Sequence[Column], folds: Sequence[int], fold: int
) -> _Block:
    here = [at for at, each in enumerate(folds) if each == fold]
    part = [[column[at] for at in here] for column in columns]
    mine = [[answer[at] for at in here] for answer in answers]
    sides = [[sum(map(mul, column, answer)) for column in part] for answer in mine]
    return _Block(gram(part), sides, [sum(map(mul, answer, answer)) for answer in mine])


def gram(columns: Sequence[Column], weights: Column | None = None) -> list[list[float]]:
    """Each column times each other, summed over the rows, by the rows' weights if there are any."""
    table = [[0.0] * len(columns) for _ in columns]
    for at, column in enumerate(columns):
        weighted = column if weights is None else list(map(mul, column, weights))
        for other in range(at + 1):
            table[at][other] = table[other][at] = sum(map(mul, weighted, columns[other]))
    return table


def solve(table: Sequence[Sequence[float]], side: Sequence[float]) -> list[float]:
    """Of a symmetric and positive definite table, by Cholesky's method. A direction that the rows
    say nothing of gets nothing.
    """
    size = len(side)
    lower = [[0.0] * size for _ in range(size)]
    for at in range(size):
        for other in range(at + 1):
            rest = table[at][other] - sum(map(mul, lower[at][:other], lower[other][:other]))
            if at == other:
                lower[at][at] = sqrt(rest) if rest > _SMALL**2 else float("inf")
            else:
                lower[at][other] = rest / lower[other][other]
    half: list[float] = []
    for at in range(size):
        half.append((side[at] - sum(map(mul, lower[at][:at], half))) / lower[at][at])
    found = [0.0] * size
    for at in reversed(range(size)):
        above = sum(lower[below][at] * found[below] for below in range(at + 1, size))
        found[at] = (half[at] - above) / lower[at][at]
    return found


def _logits(
    bias: float, weights: Sequence[float], columns: Sequence[Column], rows: int
) -> list[float]:
    logits = [bias] * rows
    for weight, column in zip(weights, columns, strict=True):
        if weight:
            logits = [logit + weight * value for logit, value in zip(logits, column, strict=True)]
    return logits


def _centred(answer: Sequence[float]) -> list[float]:
    mean = sum(answer) / len(answer)
    return [each - mean for each in answer]


def _added(tables: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
