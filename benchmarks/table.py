"""From what was measured in each round to the table that is printed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Cell:
    """One system in one round. `per` is what the price is told for: requests, or events."""

    requests: int
    per: int
    cpu_s: float
    ledger_s: float
    """Of the embedded ledger's server, which is a process of its own."""
    seconds: float

    @property
    def us(self) -> float:
        return self.cpu_s / self.per * 1e6


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


def row(name: str, cells: Sequence[Cell], reference: Sequence[Cell] | None) -> Row:
    prices = [cell.us for cell in cells]
    ratio = None
    if reference is not None:
        pairs = zip(cells, reference, strict=True)
        ratio = median(cell.us / other.us for cell, other in pairs)
    return Row(
        name,
        median(prices),
        min(prices),
        max(prices),
        ratio,
        median(cell.ledger_s / cell.per * 1e6 for cell in cells),
        median(cell.requests / cell.seconds for cell in cells),
    )


def rows(rounds: Mapping[str, Sequence[Cell]], reference: str) -> list[Row]:
    """`reference` is the name that ratios are taken to; it may be missing."""
    other = rounds.get(reference)
    return [row(name, cells, other) for name, cells in rounds.items()]


def table(title: str, unit: str, found: Sequence[Row]) -> str:
    """Lines of text. Columns: median, least and most, ratio, ledger server, requests a second."""
    width = max(30, *(len(each.name) for each in found))
    head = f"{'':{width}} {unit:>9} {'min-max':>15} {'x nginx':>8} {'ledger':>7} {'req/s':>7}"
    lines = [title, head]
    for each in found:
        ratio = "" if each.ratio is None else f"{each.ratio:.1f}"
        ledger = f"{each.ledger_us:.1f}" if each.ledger_us else ""
        spread = f"{each.low:.1f}-{each.high:.1f}"
        columns = f"{each.us:9.1f} {spread:>15} {ratio:>8} {ledger:>7} {each.rate:7.0f}"
        lines.append(f"{each.name:{width}} {columns}")
    return "\n".join(lines)
