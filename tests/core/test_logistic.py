"""Logistic regression, held against what must be true of it."""

from math import exp
from random import Random

import pytest

from gateway.core.learned.logistic import REACH, chance, fit, penalty_of, scale_of, solve


def drawn(
    rows: int, weights: tuple[float, ...], bias: float, seed: int = 1
) -> tuple[list[list[float]], list[bool]]:
    """Columns of noise, and labels by these weights of them."""
    rng = Random(seed)  # noqa: S311 - noise, not a secret
    columns = [[rng.gauss(0, 1) for _ in range(rows)] for _ in weights]
    labels = [
        rng.random() < chance(bias + sum(w * v for w, v in zip(weights, row, strict=True)))
        for row in zip(*columns, strict=True)
    ]
    return columns, labels


def test_solve() -> None:
    assert solve([[4, 1, 0], [1, 3, 1], [0, 1, 2]], [6, 10, 8]) == pytest.approx([1, 2, 3])


def test_a_direction_of_which_nothing_is_known_gets_nothing() -> None:
    assert solve([[4.0, 0.0], [0.0, 0.0]], [8.0, 0.0]) == [2.0, 0.0]


def test_it_finds_the_weights_that_made_the_labels() -> None:
    columns, labels = drawn(20_000, (1.0, -0.5, 0.0), 0.3)
    found = fit(columns, labels, 1.0)
    assert found.bias == pytest.approx(0.3, abs=0.08)
    assert found.weights == pytest.approx((1.0, -0.5, 0.0), abs=0.08)


@pytest.mark.parametrize("penalty", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("bias", [-4.0, 0.0, 3.0])
def test_it_is_the_optimum(penalty: float, bias: float) -> None:
    """At which each weight's pull by the labels is that of the penalty, and the bias has none."""
    columns, labels = drawn(500, (2.0, -1.0), bias)
    found = fit(columns, labels, penalty)
    misses = [y - p for y, p in zip(labels, found.chances(columns, 500), strict=True)]
    assert sum(misses) == pytest.approx(0.0, abs=1e-3)
    for weight, column in zip(found.weights, columns, strict=True):
        pull = sum(m * v for m, v in zip(misses, column, strict=True))
        assert pull == pytest.approx(penalty * weight, abs=1e-3)


def test_labels_that_a_column_tells_apart_without_a_miss() -> None:
    column = [-1.0] * 50 + [1.0] * 50
    (weight,) = fit([column], [False] * 50 + [True] * 50, 1.0).weights
    assert 2.0 < weight < 10.0


@pytest.mark.parametrize(("label", "sure"), [(True, 101 / 102), (False, 1 / 102)])
def test_labels_that_are_all_alike(label: bool, sure: float) -> None:
    found = fit([[1.0, 2.0] * 50], [label] * 100, 1.0)
    assert found.weights == (0.0,)
    assert chance(found.bias) == pytest.approx(sure)


def test_a_column_of_one_value_has_no_weight() -> None:
    columns, labels = drawn(200, (1.0,), 0.0)
    assert fit([[3.0] * 200, *columns], labels, 1.0).weights[0] == 0.0


@pytest.mark.parametrize(("weight", "wanted"), [(2.0, 1.0), (0.0, 10_000.0)])
def test_the_penalty_is_small_where_there_is_something_to_learn(
    weight: float, wanted: float
) -> None:
    columns, labels = drawn(600, (weight, 0.0, 0.0, 0.0), 0.0, seed=3)
    folds = [at % 5 for at in range(600)]
    answers = [[float(each) for each in labels]]
    assert penalty_of(columns, answers, folds, (1.0, 10_000.0)) == wanted


def test_a_scale_reaches_so_far() -> None:
    scale = scale_of([0.0, 10.0])
    assert (scale.mean, scale.deviation) == (5.0, 5.0)
    assert scale.column([0.0, 5.0, 1e9, -1e9]) == [-1.0, 0.0, REACH, -REACH]
    assert scale_of([7.0, 7.0]).deviation == 1.0


@pytest.mark.parametrize(("logit", "sure"), [(0.0, 0.5), (1e300, 1.0), (-1e300, exp(-35))])
def test_no_logit_is_too_large(logit: float, sure: float) -> None:
    assert chance(logit) == pytest.approx(sure)
