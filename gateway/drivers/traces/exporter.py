"""Sends spans by OTLP over HTTP. A collector that is away is told of once, and a stop does not
wait for it batch by batch.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway.core.snapshot import Otel

_SEND_S: Final = 5
_MAX_CHARACTERS: Final = 4_000_000
"""Of texts in one message: the OpenTelemetry Collector refuses one of more than 20 MiB."""
_MAX_FAILURES: Final = 2
"""In a row; then the rest of a batch is lost as well."""
_log: Final = logging.getLogger("gateway")
_sdk_log: Final = logging.getLogger(trace_exporter.__name__)


class Exporter(SpanExporter):
    """Used by OpenTelemetry's own thread."""

    def __init__(self, otel: Otel) -> None:
        self._otlp = trace_exporter.OTLPSpanExporter(
            otel.endpoint, headers=dict(otel.headers), timeout=_SEND_S
        )
        self._lost = 0
        """Spans, since the collector last took some."""
        self.stopping = False
        """From then on nothing more is sent to a collector that did not take the last batch."""
        _sdk_log.addFilter(self._tells)

    @property
    def failing(self) -> bool:
        """Whether the collector did not take what was sent last."""
        return self._lost > 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        failures = 0
        for part in _parts(spans):
            if failures < _MAX_FAILURES and self._send(part):
                failures = 0
            else:
                failures += 1
                self._lost += len(part)
        return SpanExportResult.FAILURE if failures else SpanExportResult.SUCCESS

    def _send(self, spans: Sequence[ReadableSpan]) -> bool:
        if (self.stopping and self._lost) or (self._otlp.export(spans) is SpanExportResult.FAILURE):
            return False
        if self._lost:
            _log.warning("traces are sent again: %d spans were lost", self._lost)
            self._lost = 0
        return True

    def shutdown(self) -> None:
        _sdk_log.removeFilter(self._tells)
        if self._lost:
            _log.warning("traces: %d spans were lost", self._lost)
        self._otlp.shutdown()  # type: ignore[no-untyped-call]

    def _tells(self, record: logging.LogRecord) -> bool:
        """Whether the exporter's own lines are logged: those of the first batch that fails."""
        return not self._lost


def _parts(spans: Sequence[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    """The spans in parts that a collector takes, where they have words."""
    begin = size = 0
    for at, span in enumerate(spans):
        more = sum(len(value) for value in (span.attributes or {}).values() if type(value) is str)
        if size + more > _MAX_CHARACTERS and at > begin:
            yield spans[begin:at]
            begin, size = at, 0
        size += more
    yield spans[begin:]
