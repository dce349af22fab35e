"""What a scrape gets: the cells of all workers, added up, in Prometheus' text format 0.0.4."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gateway.core.money import PER_USD
from gateway.drivers.metrics.catalogue import METRICS, counted_in
from gateway.drivers.metrics.cells import Series, Shelf
from gateway.drivers.metrics.shape import Across, Metric

_Place: TypeAlias = tuple[Shelf, slice]
"""Where one worker counts a series: its cells, or those of the histogram that it counts along."""

DOLLARS: Final = "_usd_total"
"""What ends so is counted in nano-dollars: their sums are exact to 9 million dollars."""
_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def head(name: str, kind: str, help_text: str) -> str:
    return f"# HELP {name} {help_text.translate(_HELP)}\n# TYPE {name} {kind}\n"


def number(value: float) -> str:
    """As Go and prometheus_client write it: with an exponent from a million on."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124
    text = repr(value)
    whole = text.find(".")
    if value > 0 and whole > 6:
        digits = f"{text[0]}.{text[1:whole]}{text[whole + 1 :]}".rstrip("0").rstrip(".")
        return f"{digits}e+{whole - 1:02d}"
    return text


class Page:
    """Remembers how the lines of each series begin, and what it has read of each shelf."""

    def __init__(self) -> None:
        self._heads = {name: head(name, each.kind, each.help) for name, each in METRICS.items()}
        self._lines: dict[str, dict[Series, _Lines]] = {name: {} for name in METRICS}
        self._read: dict[Shelf, int] = {}

    def text(self, shelves: Sequence[Shelf]) -> str:
        """The metrics in the catalogue's order, each one's series in the order of their coming."""
        for shelf in shelves:
            self._take_in(shelf)
        out: list[str] = []
        for name, metric in METRICS.items():
            out.append(self._heads[name])
            together = _TOGETHER[metric.across]
            unit = PER_USD if name.endswith(DOLLARS) else 1
            for lines in self._lines[name].values():
                if metric.buckets:
                    lines.histogram(out)
                else:
                    out.append(f"{lines.starts[0]}{number(together(lines.places) / unit)}\n")
        return "".join(out)

    def _take_in(self, shelf: Shelf) -> None:
        for record, at, count in shelf.series[self._read.get(shelf, 0) :]:
            for series, metric in counted_in(record, count):
                known = self._lines[series[0]]
                if series not in known:
                    known[series] = _Lines(series, metric)
                # What a histogram has seen is what is in its buckets: all but its sum.
                first = at if metric.cells == count else at + 1
                known[series].places.append((shelf, slice(first, at + count)))
        self._read[shelf] = len(shelf.series)


class _Lines:
    """One series: how each of its lines begins, and where its cells are, one place a worker."""

    def __init__(self, series: Series, metric: Metric) -> None:
        name = series[0]
        labels = dict(zip(metric.labels, series[1:], strict=True))
        self.places: list[_Place] = []
        self.starts = [_start(name, labels)]
        if metric.buckets:
            bounds = [*map(number, metric.buckets), "+Inf"]
            self.starts = [_start(f"{name}_bucket", {**labels, "le": bound}) for bound in bounds]
            self.starts += [_start(f"{name}_{last}", labels) for last in ("count", "sum")]

    def histogram(self, out: list[str]) -> None:
        """Cells: the sum, and how many fell into each bucket. Lines: how many up to each bound."""
        *buckets, count, total = self.starts
        workers = [shelf.values[cells] for shelf, cells in self.places]
        seconds, *within = map(sum, zip(*workers, strict=True))
        up_to, text = 0.0, "0.0"
        for bucket, more in zip(buckets, within, strict=True):
            if more:
                up_to += more
                text = number(up_to)
            out.append(f"{bucket}{text}\n")
        out.append(f"{count}{text}\n{total}{number(seconds)}\n")


def _sum(places: Sequence[_Place]) -> float:
    return sum([sum(shelf.values[cells]) for shelf, cells in places])


def _live_sum(places: Sequence[_Place]) -> float:
    return sum([shelf.values[cells][0] for shelf, cells in places if shelf.live])


def _live_worst(places: Sequence[_Place]) -> float:
    return max([shelf.values[cells][0] for shelf, cells in places if shelf.live], default=0.0)


def _latest(places: Sequence[_Place]) -> float:
    """A gauge's value and, beside it, when it was read."""
    read = [shelf.values[cells] for shelf, cells in places]
    return max((when, value) for value, when in read)[1]


_TOGETHER: Final[Mapping[Across, Callable[[Sequence[_Place]], float]]] = {
    "sum": _sum,
    "live_sum": _live_sum,
    "live_worst": _live_worst,
    "latest": _latest,
}


def _start(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{k}="{v.translate(_VALUE)}"' for k, v in sorted(labels.items()))
    return f"{name}{{{pairs}}} " if pairs else f"{name} "
