"""Maps a metric and its label values to cells."""

import logging
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, TypeAlias

from gateway.core.ports import Clock
from gateway.drivers.metrics.catalogue import METRICS, series_of_record
from gateway.drivers.metrics.cells import NOWHERE, Cells, Series, Values

Labels: TypeAlias = tuple[str, ...]
_log: Final = logging.getLogger("gateway")


class CellIndex(dict[Labels, int]):
    """The first cell by label values; makes a missing series. One that the disk had no room for is
    NOWHERE, and not remembered so: callers must not, either.

    Making a series may replace `cells.values`: so look up first, then read that. Callers on the hot
    path cache cells in plain dicts: a look-up takes 10 ns there, here 50.
    """

    def __init__(self, find: Callable[[Labels], int]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: Labels) -> int:
        index = self._find(key)
        if index != NOWHERE:
            self[key] = index
        return index


def observe_seconds(values: Values, at: int, bounds: tuple[float, ...], seconds: float) -> None:
    """Add to a histogram's cells: the sum, then one for each bucket."""
    values[at] += seconds
    values[at + 1 + bisect_left(bounds, seconds)] += 1.0


class Families:
    """All metrics, each with an index of its series."""

    def __init__(self, cells: Cells, clock: Clock) -> None:
        self.cells = cells
        self._clock = clock
        self._full = False
        self._indexes = {name: self._new_index(name) for name in METRICS}
        self._combined = CellIndex(self._add_series)
        self._resume()

    def __getitem__(self, name: str) -> CellIndex:
        return self._indexes[name]

    def add(self, name: str, *labels: str, by: float = 1.0) -> None:
        at = self._indexes[name][labels]
        self.cells.values[at] += by

    def initialize(self, name: str, *labels: str) -> None:
        """Expose a counter at 0 before anything happens."""
        self.add(name, *labels, by=0.0)

    def set(self, name: str, *labels: str, to: float) -> None:
        """Set a gauge that every worker sets: a scrape shows the latest value."""
        at = self._indexes[name][labels]
        values = self.cells.values
        values[at] = to
        values[at + 1] = self._clock()

    def combined(self, *each: Series) -> int:
        """One cell that counts in several series at once: counters, and the first may be a
        histogram that observes the same events.
        """
        if len(each) == 1:
            name, *labels = each[0]
            return self._indexes[name][tuple(labels)]
        return self._combined[tuple([part for series in each for part in series])]

    def count_combined(self, name: str) -> int:
        """How many combined records begin with this metric, including a previous worker's."""
        return sum(record[0] == name for record in self._combined)

    def _new_index(self, name: str) -> CellIndex:
        return CellIndex(lambda labels: self._add_series((name, *labels)))

    def _add_series(self, record: Series) -> int:
        try:
            index = self.cells.add(record, METRICS[record[0]].cells)
        except OSError as error:  # no request fails because the disk is full
            if not self._full:
                _log.warning("metrics: new series are not counted: %s", error.strerror or error)
            self._full = True
            return NOWHERE
        self._full = False
        return index

    def _resume(self) -> None:
        """Continue a dead worker's cells; gauges of what it had in flight are reset."""
        for record, at, count in self.cells.series:
            counted = series_of_record(record, count)
            if len(counted) > 1:
                self._combined[record] = at
            elif counted:
                (name, *labels), metric = counted[0]
                self._indexes[name][tuple(labels)] = at
                if metric.across.startswith("live"):
                    self.cells.values[at] = 0.0
