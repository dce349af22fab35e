"""What a metric is: its kind, its labels, and how several workers' cells are told as one."""

import math
from typing import Final, Literal

from msgspec import Struct

Across = Literal["sum", "live_sum", "live_worst", "latest"]
"""What several workers' cells are together: of all there were, or of those that live."""


class Metric(Struct, frozen=True):
    """`buckets` are a histogram's upper bounds, without the infinite one."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = "sum"

    @property
    def cells(self) -> int:
        """How many cells a series has: a histogram's sum and its buckets, a gauge's age."""
        if self.kind == "histogram":
            return len(self.buckets) + 2
        return 2 if self.across == "latest" else 1


def edges(buckets: tuple[float, ...]) -> tuple[float, ...]:
    """For bisect_left: how far from a histogram's first cell, its sum, the bucket of a value is."""
    return (-math.inf, *buckets)


SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
"""Of requests and calls."""
SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
"""Of our own work, and the ledger's."""
A_TOKEN: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
"""Seconds from one token to the next."""
PARTS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 2.0)
"""Of a hold: what of it was spent."""
