"""What is told of lives beside metrics: lines of a log, and traces; nothing unless asked for."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.core.observers import Hears
from gateway.core.ports import Upstream
from gateway.core.redaction import Redactor, secrets_of
from gateway.core.snapshot import Snapshot
from gateway.drivers.life_log import open_life_log
from gateway.drivers.traces.traceparent import Read, reading_parent
from gateway.drivers.upstream.open import Tap

_INSTALL: Final = "pip install 'tollgate[otel]'"


@dataclass(frozen=True, slots=True)
class LogsAndTraces:
    """Who hears of which events; `tap` hears what providers answer, where words are kept."""

    hears: Sequence[Hears]
    tap: Tap
    reconfigure: Callable[[Snapshot], None]
    traces: bool

    def reading(self, read: Read) -> Read:
        """What reads the headers of a request; where requests are traced it is seen in them whose
        trace it belongs to.
        """
        return reading_parent(read) if self.traces else read


@asynccontextmanager
async def open_logs_and_traces(
    snapshot: Snapshot, wall: Callable[[], float], redactor: Redactor
) -> AsyncIterator[LogsAndTraces]:
    """All that was told is out at the end. The redactor is told each configuration's secrets.

    Raises OSError for a file that cannot be opened, and where traces are configured and the extra
    `otel` is not installed.
    """
    redactor.reconfigure(secrets_of(snapshot))
    hears: list[Hears] = []
    taps: list[Tap] = []
    parts: list[Callable[[Snapshot], None]] = [lambda new: redactor.reconfigure(secrets_of(new))]
    async with AsyncExitStack() as stack:
        if snapshot.log is not None:
            opened = open_life_log(snapshot.log, wall, redactor, snapshot.pepper)
            log = await stack.enter_async_context(opened)
            hears.append(log.hears)
            taps.append(log.tap)
        if snapshot.otel is not None:
            # Who does not trace need not wait for its import, nor have it.
            try:
                from gateway.drivers.traces.otel import open_traces  # noqa: PLC0415
            except ImportError as error:
                raise OSError(f"traces need OpenTelemetry ({error}): {_INSTALL}") from None

            spans = open_traces(snapshot.otel, snapshot, redactor)
            traces = await stack.enter_async_context(spans)
            hears.append(traces.hears)
            taps.append(traces.tap)
            parts.append(traces.reconfigure)

        def reconfigure(new: Snapshot) -> None:
            for each in parts:
                each(new)

        traces_them = snapshot.otel is not None
        yield LogsAndTraces(
            hears, lambda upstream: _tapped(upstream, taps), reconfigure, traces_them
        )


def _tapped(upstream: Upstream, taps: Iterable[Tap]) -> Upstream:
    for tap in taps:
        upstream = tap(upstream)
    return upstream
