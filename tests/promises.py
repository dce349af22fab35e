"""What was promised and what was reached: a table for each subject at the end of a session.

A test that measures says so through the fixture `reached`; the test itself holds the bound.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import pytest

Reached = Callable[[str, str, str, str], None]
"""(subject, what, what was reached, what was promised)"""

REACHED: Final = pytest.StashKey[dict[str, dict[str, tuple[str, str]]]]()

_HEADS: Final = ("", "reached", "promised")


@pytest.fixture
def reached(pytestconfig: pytest.Config) -> Reached:
    """Note a figure. The last one of a name stands."""
    stash = pytestconfig.stash.setdefault(REACHED, {})

    def note(subject: str, what: str, value: str, promise: str) -> None:
        stash.setdefault(subject, {})[what] = (value, promise)

    return note


def lines(rows: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    table: list[Iterable[str]] = [_HEADS, *((what, *rest) for what, rest in rows.items())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()
