"""Opens the configured life log and traces, which observe lives beside metrics."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.core.observers import Handlers
from gateway.core.packages import how_to_install
from gateway.core.ports import Upstream
from gateway.core.redaction import Redactor, secrets_of
from gateway.core.snapshot import Snapshot
from gateway.drivers.life_log import open_life_log
from gateway.drivers.traces.traceparent import HeaderReader, wrap_header_reader
from gateway.drivers.upstream.open import Tap


@dataclass(frozen=True, slots=True)
class LogsAndTraces:
    """Event handlers, and `tap`, which sees providers' answers where content is recorded."""

    handlers: Sequence[Handlers]
    tap: Tap
    reconfigure: Callable[[Snapshot], None]
    tracing: bool

    def wrap_header_reader(self, read: HeaderReader) -> HeaderReader:
        """Wraps a reader of request headers so that, with traces, the traceparent is read first."""
        return wrap_header_reader(read) if self.tracing else read


@asynccontextmanager
async def open_logs_and_traces(
    snapshot: Snapshot, wall: Callable[[], float], redactor: Redactor
) -> AsyncIterator[LogsAndTraces]:
    """All is written and sent at the end. The redactor gets each configuration's secrets.

    Raises OSError for a file that cannot be opened, and where traces are configured and the extra
    `otel` is not installed.
    """
    redactor.reconfigure(secrets_of(snapshot))
    handlers: list[Handlers] = []
    taps: list[Tap] = []
    parts: list[Callable[[Snapshot], None]] = [lambda new: redactor.reconfigure(secrets_of(new))]
    async with AsyncExitStack() as stack:
        if snapshot.log is not None:
            opened = open_life_log(snapshot.log, wall, redactor, snapshot.pepper)
            log = await stack.enter_async_context(opened)
            handlers.append(log.handlers)
            taps.append(log.tap)
        if snapshot.otel is not None:
            # Imported only when configured: it is slow, and an optional extra.
            try:
                from gateway.drivers.traces.otel import open_traces  # noqa: PLC0415
            except ImportError as error:
                raise OSError(
                    f"traces need OpenTelemetry ({error}): {how_to_install('otel')}"
                ) from None

            spans = open_traces(snapshot.otel, snapshot, redactor)
            traces = await stack.enter_async_context(spans)
            handlers.append(traces.handlers)
            taps.append(traces.tap)
            parts.append(traces.reconfigure)

        def reconfigure(new: Snapshot) -> None:
            for part in parts:
                part(new)

        traces_them = snapshot.otel is not None
        yield LogsAndTraces(
            handlers, lambda upstream: _apply_taps(upstream, taps), reconfigure, traces_them
        )


def _apply_taps(upstream: Upstream, taps: Iterable[Tap]) -> Upstream:
    for tap in taps:
        upstream = tap(upstream)
    return upstream
