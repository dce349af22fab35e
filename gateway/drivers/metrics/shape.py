"""What a metric is: its kind, its labels, and how several workers' cells are aggregated."""

import math
from typing import Final, Literal

from msgspec import Struct

Across = Literal["sum", "live_sum", "live_worst", "latest"]
"""How several workers' cells are aggregated: over all workers ever, or over the live ones."""


class Metric(Struct, frozen=True):
    """`buckets` are a histogram's upper bounds, without the infinite one."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = "sum"

    @property
    def cells(self) -> int:
        """Cells per series: a histogram has its sum and buckets, a `latest` gauge its time."""
        if self.kind == "histogram":
            return len(self.buckets) + 2
        return 2 if self.across == "latest" else 1


def edges(buckets: tuple[float, ...]) -> tuple[float, ...]:
    """For bisect_left: gives the offset of a value's bucket from the first cell, the sum."""
    return (-math.inf, *buckets)


SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
"""Of requests and calls."""
SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
"""Of our own work, and the ledger's."""
A_TOKEN: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
"""Seconds from one token to the next."""
PARTS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 2.0)
"""Ratios of what was spent to what was held."""
