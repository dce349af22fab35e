"""Whether what a soak looked at grows. Pure: from samples to lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

WARM_UP = 1 / 3
"""So much of the time is not judged, but no more than the ten minutes below."""
WARM_UP_S = 600.0
LEAST_JUDGED_S = 900.0
"""Memory comes in pages and arenas: over less time an hour's growth is a guess, and only told."""
MOST_MB_H = 1.0


@dataclass(frozen=True)
class Sample:
    at_s: float
    memory_mb: float
    """Of the process that serves (RSS)."""
    files: int
    tasks: int
    ledger_mb: float
    stolen_s: float = 0.0
    """CPU time that the host gave to others, so far."""


@dataclass(frozen=True)
class Grown:
    """`first` and `last` are of the first and the last third of what is judged: of memory the
    median, of files and tasks the least, since what is more depends on who asks just then.
    """

    name: str
    first: float
    last: float
    an_hour: float
    limit: str
    is_flat: bool
    """Or not judged."""


def slope(at_s: Sequence[float], values: Sequence[float]) -> float:
    """By how much they grow in an hour: the line through them with the least squares."""
    mean_at, mean = fmean(at_s), fmean(values)
    spread = sum((at - mean_at) ** 2 for at in at_s)
    both = sum((at - mean_at) * (v - mean) for at, v in zip(at_s, values, strict=True))
    return 3600 * both / spread if spread else 0.0


def after_warm_up(samples: Sequence[Sample]) -> list[Sample]:
    end = samples[-1].at_s
    return [each for each in samples if each.at_s >= min(WARM_UP * end, WARM_UP_S)]


def judged(samples: Sequence[Sample]) -> list[Grown]:
    """Memory, open files and tasks; that of the ledger's server is told: it holds the records."""
    kept = after_warm_up(samples)
    long = kept[-1].at_s - kept[0].at_s >= LEAST_JUDGED_S
    memory = _grown("memory, MB", kept, lambda s: s.memory_mb)
    limit = f"<= {MOST_MB_H:g} MB an hour" if long else "too short to judge"
    is_flat = not long or memory.an_hour <= MOST_MB_H
    return [
        Grown(memory.name, memory.first, memory.last, memory.an_hour, limit, is_flat),
        _flat(_grown("open files", kept, lambda s: s.files, min)),
        _flat(_grown("tasks", kept, lambda s: s.tasks, min)),
        _grown("ledger's server, MB", kept, lambda s: s.ledger_mb),
    ]


def stolen(samples: Sequence[Sample]) -> tuple[float, float]:
    """What part of one CPU the host gave to others, in all and in the worst minute or so."""
    if len(samples) < 2:
        return 0.0, 0.0

    def part(first: Sample, last: Sample) -> float:
        return (last.stolen_s - first.stolen_s) / max(last.at_s - first.at_s, 1e-9)

    minutes = []
    for first in samples:
        later = [each for each in samples if each.at_s - first.at_s >= MINUTE_S]
        if later:
            minutes.append(part(first, later[0]))
    whole = part(samples[0], samples[-1])
    return whole, max(minutes, default=whole)


MINUTE_S: Final = 60.0
MORE: Final = 12
"""Files or tasks, or a tenth of them."""


def _flat(grown: Grown) -> Grown:
    most = grown.first + max(MORE, grown.first / 10)
    flat = grown.last <= most
    return Grown(grown.name, grown.first, grown.last, grown.an_hour, f"<= {most:.0f}", flat)


def _grown(
    name: str,
    kept: Sequence[Sample],
    of: Callable[[Sample], float],
    middle: Callable[[Sequence[float]], float] = median,
) -> Grown:
    values, third = [of(each) for each in kept], max(1, len(kept) // 3)
    first, last = middle(values[:third]), middle(values[-third:])
    an_hour = slope([each.at_s for each in kept], values)
    return Grown(name, first, last, an_hour, "", is_flat=True)


def lines(rows: Sequence[Grown]) -> list[list[str]]:
    """A head and a line for each."""
    found = [["after warm-up", "first third", "last third", "an hour", "limit", ""]]
    for row in rows:
        word = "" if not row.limit or "short" in row.limit else "flat" if row.is_flat else "GROWS"
        numbers = [f"{row.first:.1f}", f"{row.last:.1f}", f"{row.an_hour:+.1f}"]
        found.append([row.name, *numbers, row.limit, word])
    return found
