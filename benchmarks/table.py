"""From what was measured in each round to the tables that are printed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Cell:
    """One system in one round. `per` is what the price is told for: requests, or events.

    `latency_ms` is the 50th, 99th and 99.9th percentile, `first_ms` the median until the first
    byte of a body; both are empty where the load does not tell.
    """

    requests: int
    per: int
    cpu_s: float
    ledger_s: float
    """Of the embedded ledger's server, which is a process of its own."""
    seconds: float
    latency_ms: tuple[float, ...] = ()
    first_ms: float = 0.0

    @property
    def us(self) -> float:
        return self.cpu_s / self.per * 1e6


@dataclass(frozen=True)
class Measured:
    """A table of cells. `beside` names each row's reference, where it has one."""

    title: str
    unit: str
    rows: Mapping[str, Sequence[Cell]]
    beside: Mapping[str, str]
    latency: bool = False
    """Whether its latencies are of interest: those of a saturated system are not."""
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """A figure that is read, not counted: its value in each round."""

    unit: str
    values: Sequence[float]


@dataclass(frozen=True)
class Readings:
    title: str
    rows: Mapping[str, Reading]
    note: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    us: float
    low: float
    high: float
    ratio: float | None
    """To the reference, taken round by round, then the median; None without a reference."""
    ledger_us: float
    rate: float
    """Requests a second."""
    latency_ms: tuple[float, ...] = ()
    first_ms: float = 0.0


def ratio(cells: Sequence[Cell], reference: Sequence[Cell]) -> float:
    """Taken round by round, then the median. One that used no CPU time counts a tick's tenth."""
    pairs = zip(cells, reference, strict=True)
    return median(cell.us / max(other.us, 1e3 / other.per) for cell, other in pairs)


def added(cells: Sequence[Cell], others: Sequence[Cell], at: int) -> float:
    """What the one adds to the other's latency at its percentile number `at`, ms."""
    pairs = zip(cells, others, strict=True)
    return median(a.latency_ms[at] - b.latency_ms[at] for a, b in pairs)


def row(name: str, cells: Sequence[Cell], reference: Sequence[Cell] | None) -> Row:
    prices = [cell.us for cell in cells]
    told = [cell.latency_ms for cell in cells if cell.latency_ms]
    return Row(
        name,
        median(prices),
        min(prices),
        max(prices),
        None if reference is None else ratio(cells, reference),
        median(cell.ledger_s / cell.per * 1e6 for cell in cells),
        median(cell.requests / cell.seconds for cell in cells),
        tuple(median(each) for each in zip(*told, strict=True)),
        median(cell.first_ms for cell in cells),
    )


def rows(measured: Measured) -> list[Row]:
    def reference(name: str) -> Sequence[Cell] | None:
        return measured.rows.get(measured.beside.get(name, ""))

    return [row(name, cells, reference(name)) for name, cells in measured.rows.items()]


LATENCIES = ("p50 ms", "p99 ms", "p99.9 ms", "first ms")


def columns(measured: Measured) -> list[list[str]]:
    """Texts: a head and a line for each row, the name first."""
    found = rows(measured)
    has_ledger = any(each.ledger_us for each in found)
    timed = measured.latency and any(each.latency_ms for each in found)
    head = ["", measured.unit, "min-max", "ratio", *(["ledger"] if has_ledger else []), "req/s"]
    lines = [[*head, *(LATENCIES if timed else ())]]
    for each in found:
        line = [
            each.name,
            f"{each.us:.1f}",
            f"{each.low:.1f}-{each.high:.1f}",
            "" if each.ratio is None else f"{each.ratio:.2f}",
            *([f"{each.ledger_us:.1f}" if each.ledger_us else ""] if has_ledger else []),
            f"{each.rate:.0f}",
        ]
        if timed:
            told = (*each.latency_ms, each.first_ms) if each.latency_ms else ()
            line += [f"{ms:.2f}" for ms in told] or [""] * len(LATENCIES)
        lines.append(line)
    return lines


def read_columns(readings: Readings) -> list[list[str]]:
    lines = [["", "median", "min-max", "unit"]]
    for name, each in readings.rows.items():
        low, high = min(each.values), max(each.values)
        spread = f"{figure(low)}-{figure(high)}"
        lines.append([name, figure(median(each.values)), spread, each.unit])
    return lines


def figure(value: float) -> str:
    """With three digits or so: 0.0123, 0.12, 12.3, 1234."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if 0 < abs(value) < 0.1:
        return f"{value:.4f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def lines_of(table: Measured | Readings) -> list[list[str]]:
    return columns(table) if isinstance(table, Measured) else read_columns(table)


def text(table: Measured | Readings) -> str:
    return "\n".join([table.title, *([table.note] if table.note else []), padded(lines_of(table))])


def padded(lines: Sequence[Sequence[str]]) -> str:
    """Lines of text, each column as wide as it must be."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    widths[0] = max(widths[0], 30)
    return "\n".join(_line(line, widths) for line in lines)


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    rest = [column.rjust(width) for column, width in zip(line[1:], widths[1:], strict=True)]
    return " ".join([line[0].ljust(widths[0]), *rest]).rstrip()
