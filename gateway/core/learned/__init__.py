"""Learned weights: how likely a rung's answer passes, by what the request looks like.

They come from a JSON file that `tollgate learn` writes. A file that does not fit is refused:
weights of a feature or a rung that no longer exists are never guessed at.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import mul
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.learned.logistic import REACH, Fit, Scale, chance
from gateway.core.learned.signals import NAMES
from gateway.core.money import Nanos

VERSION: Final = 1
_DIGITS: Final = 6
"""Significant ones, in the file: the same on every machine."""


class BadWeights(Exception):
    """Weights that cannot be used. The text says why, without the file's name."""


class Odds(Struct, frozen=True):
    """One rung's. `answer_tokens` is how long its answers were, in the mean."""

    bias: float
    weights: tuple[float, ...]
    answer_tokens: int


class Weights(Struct, frozen=True):
    """For the signals as they are read, in the order of NAMES: values beyond `low` and `high` count
    as these.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    rungs: Mapping[str, Odds]

    def chances(self, signals: Sequence[float]) -> dict[str, float]:
        """Of each rung, how likely its answer passes."""
        values = [
            low if each < low else high if each > high else each  # noqa: FURB136 - half the time
            for each, low, high in zip(signals, self.low, self.high, strict=True)
        ]
        return {
            name: chance(odds.bias + sum(map(mul, odds.weights, values)))
            for name, odds in self.rungs.items()
        }


class Learned(Struct, frozen=True):
    """How a route uses weights. A rung may be the first when its answer passes with a chance of at
    least `floor`, or with one of at most `within` less than the likeliest rung's. Without weights
    the signals are only kept in the usage records, to be learned from. `file` is where the weights
    were read from.
    """

    weights: Weights | None = None
    floor: float = 0.9
    within: float = 0.05
    file: str = ""


class Estimate(Struct, frozen=True):
    """Of one rung: `expected` is its own cost, and the chance that it fails times what comes
    next.
    """

    tier: str
    passes: float
    clears: bool
    expected: Nanos


class Start(Struct, frozen=True):
    """Where a plan begins, and why: `below` is how many rungs were left out for it."""

    below: int
    estimates: tuple[Estimate, ...]
    signals: tuple[float, ...]
    floor: float
    within: float

    @property
    def tier(self) -> str:
        return self.estimates[self.below].tier


class _Rung(Struct):
    bias: float
    weights: tuple[float, ...]
    answer_tokens: int


class _File(Struct, forbid_unknown_fields=True):
    version: int
    features: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    rungs: dict[str, _Rung]
    training: dict[str, Any] = {}


_FILE: Final = msgspec.json.Decoder(_File)
_VERSIONED: Final = msgspec.json.Decoder(dict[str, Any])


def written(
    scales: Sequence[Scale],
    fits: Mapping[str, Fit],
    answer_tokens: Mapping[str, int],
    training: Mapping[str, Any],
) -> bytes:
    """The file's text. `training` tells a person what it was learned from."""
    rungs = {
        name: _Rung(_rounded(fit.bias), tuple(map(_rounded, fit.weights)), answer_tokens[name])
        for name, fit in fits.items()
    }
    whole = _File(
        VERSION,
        NAMES,
        tuple(_rounded(each.mean) for each in scales),
        tuple(_rounded(each.deviation) for each in scales),
        rungs,
        dict(training),
    )
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def read_weights(text: bytes) -> Weights:
    """Raises BadWeights."""
    try:
        version = _VERSIONED.decode(text).get("version")
        if type(version) is int and version != VERSION:
            raise BadWeights(f"is of version {version}; this gateway reads version {VERSION}")
        file = _FILE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadWeights(f"is no file of tollgate learn: {error}") from None
    gone = [each for each in file.features if each not in NAMES]
    if gone:
        names = ", ".join(gone[:5])
        raise BadWeights(f"has weights of features that no longer exist: {names}; learn anew")
    _check(file)
    place = {name: at for at, name in enumerate(file.features)}
    scales = [
        Scale(file.means[place[name]], file.deviations[place[name]]) if name in place else None
        for name in NAMES
    ]
    rungs = {name: _odds(rung, scales, place) for name, rung in file.rungs.items()}
    return Weights(
        tuple(0.0 if each is None else each.mean - REACH * each.deviation for each in scales),
        tuple(0.0 if each is None else each.mean + REACH * each.deviation for each in scales),
        rungs,
    )


def _check(file: _File) -> None:
    names = file.features
    if len(set(names)) < len(names):
        raise BadWeights("names a feature twice")
    if not file.rungs:
        raise BadWeights("has no rungs")
    lists = {"means": file.means, "deviations": file.deviations}
    lists |= {f"rungs.{name}.weights": rung.weights for name, rung in file.rungs.items()}
    for name, values in lists.items():
        if len(values) != len(names):
            raise BadWeights(f"has {len(values)} {name} for {len(names)} features")
    numbers = [each for values in lists.values() for each in values]
    numbers += [rung.bias for rung in file.rungs.values()]
    # What is read with these must stay finite, too.
    if not all(isfinite(each) and abs(each) < 1e100 for each in numbers):
        raise BadWeights("has a number that is not finite")
    if any(each <= 1e-100 for each in file.deviations):
        raise BadWeights("has a deviation that is not above zero")
    if any(rung.answer_tokens < 0 for rung in file.rungs.values()):
        raise BadWeights("has answers of fewer than no tokens")


def _odds(rung: _Rung, scales: Sequence[Scale | None], place: Mapping[str, int]) -> Odds:
    """Weights of scaled values as those of the values themselves."""
    bias, weights = rung.bias, []
    for name, scale in zip(NAMES, scales, strict=True):
        weight = 0.0 if scale is None else rung.weights[place[name]] / scale.deviation
        weights.append(weight)
        bias -= 0.0 if scale is None else weight * scale.mean
    return Odds(bias, tuple(weights), rung.answer_tokens)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
