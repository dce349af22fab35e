"""Renders the cells of all workers in Prometheus' text format 0.0.4."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gateway.core.money import PER_USD
from gateway.drivers.metrics.catalogue import METRICS, series_of_record
from gateway.drivers.metrics.cells import Series, WorkerCells
from gateway.drivers.metrics.shape import Across, Metric

_WorkerSlice: TypeAlias = tuple[WorkerCells, slice]
"""One worker's cells of a series; for a counter in a combined record, the histogram's buckets."""

DOLLARS: Final = "_usd_total"
"""Metrics with this suffix are counted in nano-dollars: sums are exact to 9 million dollars."""
_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def head(name: str, kind: str, help_text: str) -> str:
    return f"# HELP {name} {help_text.translate(_HELP)}\n# TYPE {name} {kind}\n"


def number(value: float) -> str:
    """As Go and prometheus_client format it: with an exponent from a million on."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124
    text = repr(value)
    whole = text.find(".")
    if value > 0 and whole > 6:
        digits = f"{text[0]}.{text[1:whole]}{text[whole + 1 :]}".rstrip("0").rstrip(".")
        return f"{digits}e+{whole - 1:02d}"
    return text


class Page:
    """Caches the text before each value, and how many series of each worker were read."""

    def __init__(self) -> None:
        self._heads = {name: head(name, each.kind, each.help) for name, each in METRICS.items()}
        self._lines: dict[str, dict[Series, _Lines]] = {name: {} for name in METRICS}
        self._indexed: dict[WorkerCells, int] = {}

    def text(self, workers: Sequence[WorkerCells]) -> str:
        """The metrics in the catalogue's order, each one's series in order of creation."""
        for worker in workers:
            self._index_new_series(worker)
        out: list[str] = []
        for name, metric in METRICS.items():
            out.append(self._heads[name])
            combine = _COMBINE[metric.across]
            unit = PER_USD if name.endswith(DOLLARS) else 1
            for lines in self._lines[name].values():
                if metric.buckets:
                    lines.histogram(out)
                else:
                    out.append(f"{lines.starts[0]}{number(combine(lines.places) / unit)}\n")
        return "".join(out)

    def _index_new_series(self, worker: WorkerCells) -> None:
        for record, at, count in worker.series[self._indexed.get(worker, 0) :]:
            for series, metric in series_of_record(record, count):
                lines = self._lines[series[0]]
                if series not in lines:
                    lines[series] = _Lines(series, metric)
                # A counter along a histogram is the sum of its buckets: skip the first cell.
                first = at if metric.cells == count else at + 1
                lines[series].places.append((worker, slice(first, at + count)))
        self._indexed[worker] = len(worker.series)


class _Lines:
    """One series: the text before each value, and its cells in each worker."""

    def __init__(self, series: Series, metric: Metric) -> None:
        name = series[0]
        labels = dict(zip(metric.labels, series[1:], strict=True))
        self.places: list[_WorkerSlice] = []
        self.starts = [_start(name, labels)]
        if metric.buckets:
            bounds = [*map(number, metric.buckets), "+Inf"]
            self.starts = [_start(f"{name}_bucket", {**labels, "le": bound}) for bound in bounds]
            self.starts += [_start(f"{name}_{last}", labels) for last in ("count", "sum")]

    def histogram(self, out: list[str]) -> None:
        """Cells are the sum and a count per bucket; lines have cumulative counts."""
        *buckets, count, total = self.starts
        workers = [worker.values[cells] for worker, cells in self.places]
        seconds, *within = map(sum, zip(*workers, strict=True))
        up_to, text = 0.0, "0.0"
        for bucket, more in zip(buckets, within, strict=True):
            if more:
                up_to += more
                text = number(up_to)
            out.append(f"{bucket}{text}\n")
        out.append(f"{count}{text}\n{total}{number(seconds)}\n")


def _sum(places: Sequence[_WorkerSlice]) -> float:
    return sum([sum(worker.values[cells]) for worker, cells in places])


def _live_sum(places: Sequence[_WorkerSlice]) -> float:
    return sum([worker.values[cells][0] for worker, cells in places if worker.live])


def _live_worst(places: Sequence[_WorkerSlice]) -> float:
    return max([worker.values[cells][0] for worker, cells in places if worker.live], default=0.0)


def _latest(places: Sequence[_WorkerSlice]) -> float:
    """The value that was set last; each worker's cells are a value and its time."""
    read = [worker.values[cells] for worker, cells in places]
    return max((when, value) for value, when in read)[1]


_COMBINE: Final[Mapping[Across, Callable[[Sequence[_WorkerSlice]], float]]] = {
    "sum": _sum,
    "live_sum": _live_sum,
    "live_worst": _live_worst,
    "latest": _latest,
}


def _start(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{k}="{v.translate(_VALUE)}"' for k, v in sorted(labels.items()))
    return f"{name}{{{pairs}}} " if pairs else f"{name} "
