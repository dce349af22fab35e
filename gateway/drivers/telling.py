"""What is told of lives beside metrics: lines of a log, and traces; nothing unless asked for."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.core.ports import Observer
from gateway.core.redaction import Redactor, secrets_of
from gateway.core.snapshot import Snapshot
from gateway.drivers.life_log import open_life_log
from gateway.drivers.upstream_open import Tap, no_tap


@dataclass(frozen=True, slots=True)
class Telling:
    """`tap` hears what providers answer, where words are kept."""

    observers: Sequence[Observer]
    tap: Tap
    turn: Callable[[Snapshot], None]


@asynccontextmanager
async def open_telling(snapshot: Snapshot, wall: Callable[[], float]) -> AsyncIterator[Telling]:
    """All that was told is out at the end. Raises OSError for a file that cannot be opened."""
    redactor = Redactor(secrets_of(snapshot))
    observers: list[Observer] = []
    tap = no_tap
    async with AsyncExitStack() as stack:
        if snapshot.log is not None:
            opened = open_life_log(snapshot.log, wall, redactor, snapshot.pepper)
            log = await stack.enter_async_context(opened)
            observers.append(log.observe)
            tap = log.tap
        yield Telling(observers, tap, lambda new: redactor.turn(secrets_of(new)))
