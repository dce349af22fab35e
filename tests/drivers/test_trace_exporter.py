"""A collector of traces that takes nothing for a while, or to the end."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from gateway.core.catalog import Catalog
from gateway.core.events import About, Began, Dropped
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Otel, Snapshot
from gateway.drivers.traces.exporter import Exporter
from gateway.drivers.traces.otel import Traces, open_traces
from gateway.web.parse import read_request
from tests.service.collector import collecting

SENT, LOST = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def spans(count: int, words: str = "") -> Sequence[ReadableSpan]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    ended = []
    for _ in range(count):
        span = tracer.start_span("one", attributes={"words": words})
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


async def test_spans_with_many_words_are_sent_in_parts() -> None:
    """The OpenTelemetry Collector takes no more than 20 MiB, its SDK sends no more than 64 MB."""
    async with collecting() as collector:
        exporter = Exporter(Otel(collector.url))
        batch = [*spans(1), *spans(3, "x" * 1_500_000), *spans(1, "x" * 5_000_000), *spans(2)]
        assert await asyncio.to_thread(exporter.export, batch) is SENT
        assert len(collector.spans) == 7
        assert len(collector.heads) == 4
        collector.status = 413
        assert await asyncio.to_thread(exporter.export, batch) is LOST
        assert len(collector.heads) == 6, "after two that are refused the others are not sent"
        await asyncio.to_thread(exporter.shutdown)


async def test_while_a_collector_takes_nothing_no_words_wait_for_it() -> None:
    """A full queue of them would be gigabytes."""
    request = read_request(
        b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}', {}, 64
    )
    provider = TracerProvider(shutdown_on_exit=False)
    async with collecting() as collector:
        exporter = Exporter(Otel(collector.url))
        snapshot = Snapshot(Catalog({}, {}, {}), {}, {})
        otel = Otel(collector.url, content=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        traces = Traces(provider.get_tracer("test"), exporter, otel, snapshot, Redactor())

        def live() -> None:
            about = About("r1", "acme", "auto", stream=False)
            traces.handlers[Began](Began(about, request))
            traces.handlers[Dropped](Dropped(about, 0.1))

        for status in (200, 413, 200, 200):
            collector.status = status
            await asyncio.to_thread(live)
    words = ["gen_ai.input.messages" in span.attributes for span in collector.spans]
    assert words == [True, False, True]
