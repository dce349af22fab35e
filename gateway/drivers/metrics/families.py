"""Which cells a metric's series are counted in."""

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeAlias

from gateway.core.ports import Clock
from gateway.drivers.metrics.catalogue import METRICS, counted_in
from gateway.drivers.metrics.cells import NOWHERE, Cells, Series, Values

Labels: TypeAlias = tuple[str, ...]


class Found(dict[Labels, int]):
    """Where cells begin; finds what is not in it, once.

    To find a new series is to make it, and that may replace `cells.values`: so find, then count.
    What every request counts in is remembered in mere dicts beside it: to look there takes 10 ns,
    here 50.
    """

    def __init__(self, find: Callable[[Labels], int]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: Labels) -> int:
        found = self[key] = self._find(key)
        return found


def observe_seconds(values: Values, at: int, bounds: tuple[float, ...], seconds: float) -> None:
    """Add to a histogram's cells: the sum, then one for each bucket."""
    values[at] += seconds
    values[at + 1 + bisect_left(bounds, seconds)] += 1.0


class Families:
    """Each metric: where the cells of a series begin, by the values of its labels."""

    def __init__(self, cells: Cells, clock: Clock) -> None:
        self.cells = cells
        self._clock = clock
        self._of = {name: self._family(name) for name in METRICS}
        self._together = Found(self._new)
        self._go_on()

    def __getitem__(self, name: str) -> Found:
        return self._of[name]

    def add(self, name: str, *labels: str, by: float = 1.0) -> None:
        at = self._of[name][labels]
        self.cells.values[at] += by

    def show(self, name: str, *labels: str) -> None:
        """At 0, before anything happens."""
        self.add(name, *labels, by=0.0)

    def set(self, name: str, *labels: str, to: float) -> None:
        """A gauge that every worker reads: the latest counts."""
        at = self._of[name][labels]
        values = self.cells.values
        values[at] = to
        values[at + 1] = self._clock()

    def together(self, *each: Series) -> int:
        """Where to count in all of these at once: counters, the first of which may be a histogram
        that sees whatever the others count.
        """
        if len(each) == 1:
            name, *labels = each[0]
            return self._of[name][tuple(labels)]
        return self._together[tuple([part for series in each for part in series])]

    def joined(self, name: str) -> int:
        """How many records there are of such series together, those of a worker before this one
        among them.
        """
        return sum(record[0] == name for record in self._together)

    def _family(self, name: str) -> Found:
        return Found(lambda labels: self._new((name, *labels)))

    def _new(self, record: Series) -> int:
        try:
            return self.cells.add(record, METRICS[record[0]].cells)
        except OSError:  # no request fails because the disk is full
            return NOWHERE

    def _go_on(self) -> None:
        """Count on where another worker ended; what it had in flight has ended, too."""
        for record, at, count in self.cells.series:
            counted = counted_in(record, count)
            if len(counted) > 1:
                self._together[record] = at
            elif counted:
                (name, *labels), metric = counted[0]
                self._of[name][tuple(labels)] = at
                if metric.across.startswith("live"):
                    self.cells.values[at] = 0.0
