"""Sends spans by OTLP over HTTP. A collector that is away is told of once, and a stop does not
wait for it batch by batch.
"""

import logging
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway.core.snapshot import Otel

_SEND_S: Final = 5
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

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.stopping and self._lost:
            result = SpanExportResult.FAILURE
        else:
            result = self._otlp.export(spans)
        if result is SpanExportResult.FAILURE:
            self._lost += len(spans)
        elif self._lost:
            _log.warning("traces are sent again: %d spans were lost", self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        _sdk_log.removeFilter(self._tells)
        if self._lost:
            _log.warning("traces: %d spans were lost", self._lost)
        self._otlp.shutdown()  # type: ignore[no-untyped-call]

    def _tells(self, record: logging.LogRecord) -> bool:
        """Whether the exporter's own lines are logged: those of the first batch that fails."""
        return not self._lost
