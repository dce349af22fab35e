"""Weights that say what a test wants: by how many words a request has."""

from collections.abc import Mapping
from typing import Final

from gateway.core.learned import Odds, Weights
from gateway.core.learned.logistic import Fit, Scale
from gateway.core.learned.signals import NAMES

EVEN: Final = tuple(Scale(0.0, 1e6) for _ in NAMES)
"""No value is clipped, and each weight is a millionth of itself."""
WORDS: Final = NAMES.index("words.1")


def fit(bias: float, per_word: float = 0.0) -> Fit:
    """`per_word` of log(1 + words)."""
    weights = [0.0] * len(NAMES)
    weights[WORDS] = per_word * 1e6
    return Fit(bias, tuple(weights))


def weights(biases: Mapping[str, float], per_word: float = 0.0, tokens: int = 100) -> Weights:
    """Each tier's bias; `per_word` is the first one's."""
    odds = {}
    for number, (tier, bias) in enumerate(biases.items()):
        each = [0.0] * len(NAMES)
        each[WORDS] = per_word if number == 0 else 0.0
        odds[tier] = Odds(bias, tuple(each), tokens)
    return Weights((-1e6,) * len(NAMES), (1e6,) * len(NAMES), odds)
