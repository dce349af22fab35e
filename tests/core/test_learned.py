"""The file of weights: there and back, and every way in which it does not fit."""

import json
from typing import Any

import pytest

from gateway.core.learned import BadWeights, read_weights, written
from gateway.core.learned.logistic import Fit, Scale
from gateway.core.learned.signals import NAMES

SCALES = tuple(Scale(0.1 * at, 1.0 + at) for at in range(len(NAMES)))
FITS = {
    "cheap": Fit(0.25, tuple(0.01 * at for at in range(len(NAMES)))),
    "smart": Fit(2.0, (0.0,) * len(NAMES)),
}
FILE = written(SCALES, FITS, {"cheap": 120, "smart": 80}, {"from": "a set"})


def changed(**more: Any) -> bytes:
    return json.dumps({**json.loads(FILE), **more}).encode()


def rung(**more: Any) -> bytes:
    """With another first rung."""
    rungs = json.loads(FILE)["rungs"]
    return changed(rungs={**rungs, "cheap": {**rungs["cheap"], **more}})


def test_chances_are_those_that_were_fitted() -> None:
    weights = read_weights(FILE)
    rows = [tuple(0.5 * at - place for at in range(len(NAMES))) for place in (0, 3, 1e6)]
    columns = [
        scale.column(column) for scale, column in zip(SCALES, zip(*rows, strict=True), strict=True)
    ]
    for name, fit in FITS.items():
        found = [weights.chances(row)[name] for row in rows]
        assert found == pytest.approx(fit.chances(columns, len(rows)), abs=1e-5)
    assert {name: odds.answer_tokens for name, odds in weights.rungs.items()} == {
        "cheap": 120,
        "smart": 80,
    }


def test_fewer_features_and_in_another_order() -> None:
    """Those that the file does not name weigh nothing."""
    whole = json.loads(FILE)
    for keys in (whole, whole["rungs"]["cheap"], whole["rungs"]["smart"]):
        for name in ("features", "means", "deviations", "weights"):
            if name in keys:
                keys[name] = keys[name][5:3:-1]
    weights = read_weights(json.dumps(whole).encode())
    used = [bool(each) for each in weights.rungs["cheap"].weights]
    assert used == [at in {4, 5} for at in range(len(NAMES))]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is no file of tollgate learn: Input data was truncated"),
        (b"tiers: [a, b]", "is no file of tollgate learn: JSON is malformed"),
        (b"[]", "is no file of tollgate learn: Expected `object`, got `array`"),
        (b"{}", "is no file of tollgate learn: Object missing required field `version`"),
        (b"\xff", "is no file of tollgate learn: "),
        (b'{"hello": 1}', "is no file of tollgate learn: Object contains unknown field `hello`"),
        (changed(version=2), "is of version 2; this gateway reads version 1"),
        (changed(version="1"), "is no file of tollgate learn: Expected `int`, got `str`"),
        (
            changed(features=["tone.1", *NAMES[1:-1], "words.9"]),
            "has weights of features that no longer exist: tone.1, words.9; learn anew",
        ),
        (changed(features=[NAMES[1], *NAMES[1:]]), "names a feature twice"),
        (changed(rungs={}), "has no rungs"),
        (changed(means=[0.0]), "has 1 means for 20 features"),
        (rung(weights=[1.0]), "has 1 rungs.cheap.weights for 20 features"),
        (changed(deviations=[0.0] * 20), "has a deviation that is not above zero"),
        (changed(deviations=[-1.0] * 20), "has a deviation that is not above zero"),
        (rung(bias=1e200), "has a number that is not finite"),
        (rung(answer_tokens=-1), "has answers of fewer than no tokens"),
        (rung(bias=None), "is no file of tollgate learn: Expected `float`, got `null`"),
        (FILE.replace(b'"bias": 0.25', b'"bias": NaN'), "is no file of tollgate learn: "),
        (FILE.replace(b'"bias": 0.25', b'"bias": 1e999'), "is no file of tollgate learn: "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(BadWeights) as caught:
        read_weights(text)
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)
