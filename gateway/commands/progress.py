"""Progress of long work: on stderr, only if that is a terminal, and removed in the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def steps(items: Sequence[T], what: str, console: Console | None = None) -> Iterator[T]:
    """Each of them, with a progress bar."""
    where = console or Console(stderr=True)
    yield from track(
        items, what, console=where, transient=True, disable=not where.is_terminal or len(items) < 2
    )


@contextmanager
def busy(what: str, console: Console | None = None) -> Iterator[None]:
    """A spinner, for work whose steps cannot be counted."""
    where = console or Console(stderr=True)
    if not where.is_terminal:
        yield
        return
    with where.status(what):
        yield
