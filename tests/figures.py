"""What the recordings came to, provider by provider: printed at the end of a test session."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest


@dataclass
class Figures:
    """Of one provider: every file is compared, a failure, without an oracle, or not spoken yet."""

    provider: str
    files: int = 0
    compared: int = 0
    failures: int = 0
    unasked: int = 0
    unspoken: int = 0
    cuts: int = 0
    different: int = 0
    unexplained: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @classmethod
    def made(cls, values: Mapping[str, Any]) -> "Figures":
        """From `asdict`, sent by another process."""
        return cls(**{**values, "reasons": Counter(values["reasons"])})

    def add(self, other: "Figures") -> None:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)

    def differ(self, found: Iterable[str], known: Mapping[str, str]) -> None:
        """Count the fields of one file that differ from what the SDK read in it."""
        fields = set(found)
        self.different += bool(fields)
        self.unexplained += bool(fields - known.keys())
        self.reasons.update(known[name] for name in fields & known.keys())


_COUNTS: Final = (
    "files", "compared", "failures", "unasked", "unspoken", "cuts", "different", "unexplained",
)  # fmt: skip
FIGURES: Final = pytest.StashKey[dict[str, Figures]]()

_HEADS: Final = (
    "provider", "files", "compared", "failures", "no oracle", "no dialect", "cut", "differences",
    "explained",
)  # fmt: skip


def table(figures: Iterable[Figures]) -> Iterator[str]:
    """One line a provider, their sum, and one line for each reason."""
    rows = [row(each) for each in figures]
    rows.append(("all", *(sum(int(row[at]) for row in rows) for at in range(1, len(_HEADS)))))
    widths = [max(len(str(cell)) for cell in column) for column in zip(_HEADS, *rows, strict=True)]
    for cells in (_HEADS, *rows):
        first, *others = (str(cell) for cell in cells)
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *numbers])


def row(of: Figures) -> tuple[str | int, ...]:
    return (
        of.provider, of.files, of.compared, of.failures, of.unasked, of.unspoken, of.cuts,
        of.different, of.different - of.unexplained,
    )  # fmt: skip


def reasons(figures: Iterable[Figures]) -> Iterator[str]:
    """Why fields differ, and in how many files of which provider."""
    for each in figures:
        for why, files in each.reasons.most_common():
            yield f"{each.provider}: {why} ({files})"
