"""A collector of traces that takes nothing for a while, or to the end."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from gateway.core.catalog import Catalog
from gateway.core.events import About, Began, Dropped
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Otel, Snapshot
from gateway.drivers.traces.exporter import Exporter
from gateway.drivers.traces.otel import open_traces
from tests.service.collector import collecting

SENT, LOST = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def spans(count: int) -> Sequence[ReadableSpan]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    ended = []
    for _ in range(count):
        span = tracer.start_span("one")
        span.end()
        assert isinstance(span, ReadableSpan)
        ended.append(span)
    return ended


async def test_a_collector_that_refuses_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A batch is sent every few seconds, for as long as it does."""
    async with collecting() as collector:
        exporter = Exporter(Otel(collector.url))

        async def export(count: int, status: int) -> SpanExportResult:
            collector.status = status
            return await asyncio.to_thread(exporter.export, spans(count))

        assert [await export(2, status) for status in (200, 400, 400, 400)] == [SENT, *[LOST] * 3]
        (line,) = caplog.messages
        assert line.startswith("Failed to export spans batch code: 400")
        assert await export(2, 200) is SENT
        assert caplog.messages[1:] == ["traces are sent again: 6 spans were lost"]
        assert await export(1, 400) is LOST
        assert len(caplog.messages) == 3
        await asyncio.to_thread(exporter.shutdown)
    assert caplog.messages[3:] == ["traces: 1 spans were lost"]
    assert len(collector.spans) == 4


@pytest.mark.parametrize(("status", "taken"), [(200, 2_000), (400, 0)])
async def test_a_stop_waits_but_once_for_a_collector_that_takes_nothing(
    status: int, taken: int
) -> None:
    """With one that does not answer, each batch takes five seconds."""
    async with collecting() as collector:
        collector.status = status
        snapshot = Snapshot(Catalog({}, {}, {}), {}, {})
        async with open_traces(Otel(collector.url), snapshot, Redactor()) as traces:
            for number in range(2_000):  # four batches; none is answered before the stop
                about = About(f"r{number}", "acme", "auto", stream=False)
                traces.handlers[Began](Began(about, None))
                traces.handlers[Dropped](Dropped(about, 0.1))
    assert len(collector.spans) == taken
    assert taken or len(collector.heads) == 1
