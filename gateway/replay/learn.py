"""From lessons to weights, and how well these predict requests that were held out.

Which requests are held out, and so every figure and byte, follows from the seed alone.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from gateway.core.learned import written
from gateway.core.learned.logistic import Column, Fit, Scale, fit, penalty_of, scale_of
from gateway.core.learned.signals import NAMES
from gateway.replay.lessons import Lesson, Lessons
from gateway.replay.records import Unusable

MIN_REQUESTS: Final = 100
"""Requests. With fifty it is guessing; with five hundred it is worth something."""
PENALTIES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_FOLDS: Final = 5
_BINS: Final = 5


class RungWeights(Struct, frozen=True):
    """Weights for each rung."""

    scales: tuple[Scale, ...]
    fits: Mapping[str, Fit]
    penalty: float

    def chances(self, lessons: Sequence[Lesson]) -> dict[str, list[float]]:
        """Of each rung, how likely its answers pass, request by request."""
        columns = _scaled(self.scales, lessons)
        return {name: each.chances(columns, len(lessons)) for name, each in self.fits.items()}


class Bin(Struct, frozen=True):
    """Requests of similar chances: how many were predicted to pass, and did."""

    requests: int
    predicted: float
    passed: float


class Evaluation(Struct, frozen=True):
    """On requests that were held out. `apgr` (average performance gap recovered) is the area under
    the part of the last rung's gain over the first that is recovered, by the share of requests
    that go to the last at once: 0.5 is by chance,
    None where it is not known of every request which rungs pass. `by_length` is the same when
    longer prompts go to the last. `auc` and `calibration` are of each rung.
    """

    requests: int
    apgr: float | None
    by_length: float | None
    auc: Mapping[str, float | None]
    calibration: Mapping[str, tuple[Bin, ...]]


def train(lessons: Sequence[Lesson], rungs: Sequence[str], seed: int) -> RungWeights:
    """The penalty is chosen by these lessons alone."""
    scales = tuple(scale_of(column) for column in _columns(lessons))
    columns = _scaled(scales, lessons)
    penalty = _penalty(lessons, columns, rungs, seed)
    fits = {}
    for rung in rungs:
        rows = [at for at, each in enumerate(lessons) if rung in each.passed]
        part = columns if len(rows) == len(lessons) else [[c[at] for at in rows] for c in columns]
        fits[rung] = fit(part, [lessons[at].passed[rung] for at in rows], penalty)
    return RungWeights(scales, fits, penalty)


def _penalty(
    lessons: Sequence[Lesson], columns: Sequence[Column], rungs: Sequence[str], seed: int
) -> float:
    """The penalty that best predicts how much better the last rung is than the first; where that
    is not known, whether the first one passes.
    """
    first, last = rungs[0], rungs[-1]
    known = [at for at, each in enumerate(lessons) if first in each.passed and last in each.passed]
    if len(known) == len(lessons):
        targets = [float(each.passed[last]) - each.passed[first] for each in lessons]
    else:
        known = [at for at, each in enumerate(lessons) if first in each.passed]
        targets = [float(lessons[at].passed[first]) for at in known]
    if not known:
        return PENALTIES[-1]
    known_columns = [[column[at] for at in known] for column in columns]
    folds = [fold_of(lessons[at].id, seed) for at in known]
    return penalty_of(known_columns, [targets], folds, PENALTIES)


def cross_validate(lessons: Lessons, seed: int) -> Evaluation:
    """Each request is judged by weights that were made without it."""
    every = lessons.lessons
    chances: dict[str, dict[str, float]] = {rung: {} for rung in lessons.rungs}
    areas: list[tuple[int, float, float]] = []
    for fold in range(_FOLDS):
        test_fold = [each for each in every if fold_of(each.id, seed) == fold]
        training_fold = [each for each in every if fold_of(each.id, seed) != fold]
        if not test_fold or not training_fold:
            continue
        predicted = train(training_fold, lessons.rungs, seed).chances(test_fold)
        for rung, values in predicted.items():
            chances[rung].update(zip((each.id for each in test_fold), values, strict=True))
        if lessons.complete:
            area, plain = areas_of(test_fold, predicted, lessons.rungs)
            if area is not None and plain is not None:
                areas.append((len(test_fold), area, plain))
    pairs = {
        rung: [(chances[rung][each.id], each.passed[rung]) for each in every if rung in each.passed]
        for rung in lessons.rungs
    }
    whole = sum(size for size, _, _ in areas)
    return Evaluation(
        requests=len(every),
        apgr=sum(size * area for size, area, _ in areas) / whole if whole else None,
        by_length=sum(size * plain for size, _, plain in areas) / whole if whole else None,
        auc={rung: auc(each) for rung, each in pairs.items()},
        calibration={rung: calibration(each) for rung, each in pairs.items()},
    )


def learn(lessons: Lessons, seed: int) -> tuple[bytes, Evaluation]:
    """The file of weights, made of all lessons, and their worth. Raises Unusable."""
    if len(lessons.rungs) < 2:
        raise Unusable(f"{lessons.name}: there is nothing to choose between: needs two rungs")
    for rung in lessons.rungs:
        known = sum(rung in each.passed for each in lessons.lessons)
        if known < MIN_REQUESTS:
            raise Unusable(
                f"{lessons.name}: too little to learn from: {known} requests whose answer of "
                f"{rung} is known to pass or not, at least {MIN_REQUESTS} are needed"
                f"{_skipped_note(lessons)}"
            )
    evaluation = cross_validate(lessons, seed)
    weights = train(lessons.lessons, lessons.rungs, seed)
    training: dict[str, Any] = {
        "from": lessons.name,
        "seed": seed,
        "requests": len(lessons.lessons),
        "skipped": dict(sorted(lessons.skipped.items())),
        "penalty": weights.penalty,
        "passed": {rung: round(_share(lessons, rung), 4) for rung in lessons.rungs},
        "held_out": {
            "apgr": _rounded(evaluation.apgr),
            "apgr_by_length": _rounded(evaluation.by_length),
            "auc": {rung: _rounded(each) for rung, each in evaluation.auc.items()},
        },
    }
    return written(weights.scales, weights.fits, lessons.answer_tokens, training), evaluation


def fold_of(name: str, seed: int) -> int:
    """By a hash, so that it is the same on every machine."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _FOLDS


def areas_of(
    lessons: Sequence[Lesson], chances: Mapping[str, Sequence[float]], rungs: Sequence[str]
) -> tuple[float | None, float | None]:
    """APGR of these chances, and of the prompts' length."""
    first, last = rungs[0], rungs[-1]
    gains = [float(each.passed[last]) - float(each.passed[first]) for each in lessons]
    words = NAMES.index("words.1")
    better = [high - low for high, low in zip(chances[last], chances[first], strict=True)]
    return apgr(better, gains), apgr([each.signals[words] for each in lessons], gains)


def apgr(needs: Sequence[float], gains: Sequence[float]) -> float | None:
    """`gains` are how much better the last rung is on each request than the first. Requests with
    the highest of `needs` go there first; equals share it. None where there is nothing to gain.
    """
    total, rows = sum(gains), len(gains)
    if total <= 0:
        return None
    order = sorted(range(rows), key=lambda at: -needs[at])
    area = done = 0.0
    at = 0
    while at < rows:
        end = at
        while end < rows and needs[order[end]] == needs[order[at]]:
            end += 1
        more = sum(gains[each] for each in order[at:end])
        area += (end - at) * (done + more / 2)
        done += more
        at = end
    return area / (rows * total)


def auc(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """How often one that passed had the higher chance than one that did not."""
    hits = sum(passed for _, passed in pairs)
    misses = len(pairs) - hits
    if not hits or not misses:
        return None
    ordered = sorted(pairs)
    ranks, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(passed for _, passed in ordered[at:end])
        at = end
    return (ranks - hits * (hits + 1) / 2) / (hits * misses)


def calibration(pairs: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    """Fifths of the requests, by their chances."""
    ordered = sorted(pairs)
    cuts = [round(len(ordered) * at / _BINS) for at in range(_BINS + 1)]
    parts = [ordered[low:high] for low, high in pairwise(cuts) if high > low]
    return tuple(
        Bin(len(each), sum(c for c, _ in each) / len(each), sum(p for _, p in each) / len(each))
        for each in parts
    )


def _columns(lessons: Sequence[Lesson]) -> list[Column]:
    return list(zip(*(each.signals for each in lessons), strict=True))


def _scaled(scales: Sequence[Scale], lessons: Sequence[Lesson]) -> list[Column]:
    pairs = zip(scales, _columns(lessons), strict=True)
    return [scale.column(column) for scale, column in pairs]


def _share(lessons: Lessons, rung: str) -> float:
    known = [each.passed[rung] for each in lessons.lessons if rung in each.passed]
    return sum(known) / len(known)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _skipped_note(lessons: Lessons) -> str:
    reasons = ", ".join(f"{count:,} {why}" for why, count in sorted(lessons.skipped.items()))
    return f" (skipped: {reasons})" if reasons else ""
