"""Metrics of what is no request: circuits, records, alerts, the configuration, the cache."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.drivers.metrics.families import Families

_STATES: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


def process_event_writers(of: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""
    writes = _Beside(of)
    return {
        events.CircuitMoved: writes.circuit_moved,
        events.RetriesRead: writes.retries_read,
        events.UsageSunk: writes.usage_sunk,
        events.UsageLost: writes.usage_lost,
        events.SinkFailed: writes.sink_failed,
        events.AlertEnded: writes.alert_ended,
        events.ConfigRead: writes.config_read,
        events.CacheAsked: writes.cache_asked,
    }


class _Beside:
    def __init__(self, of: Families) -> None:
        self._of = of
        self._cells = of.cells

    def circuit_moved(self, event: events.CircuitMoved) -> None:
        at = self._of["gateway_circuit_state"][event.deployment,]
        self._cells.values[at] = _STATES[event.state]

    def retries_read(self, event: events.RetriesRead) -> None:
        at = self._of["gateway_retry_budget_retries"][()]
        self._cells.values[at] = event.left

    def usage_sunk(self, event: events.UsageSunk) -> None:
        self._of.add("gateway_usage_records_total", event.tenant, "kept", by=event.records)

    def usage_lost(self, event: events.UsageLost) -> None:
        self._of.add("gateway_usage_records_total", event.tenant, "lost", by=event.records)

    def sink_failed(self, event: events.SinkFailed) -> None:
        self._of.add("gateway_usage_sink_errors_total", event.kind)

    def alert_ended(self, event: events.AlertEnded) -> None:
        self._of.add("gateway_alerts_total", event.outcome)

    def config_read(self, event: events.ConfigRead) -> None:
        if event.result != "start":
            self._of.add("gateway_config_reloads_total", event.result)
        refused = event.result == "refused"
        at = self._of["gateway_config_reload_failed"][()]
        self._cells.values[at] = float(refused)
        if not refused:
            self._of.set("gateway_config_hash", to=int(event.hash or "0", 16))
            self._of.set("gateway_config_loaded_timestamp_seconds", to=event.at)

    def cache_asked(self, event: events.CacheAsked) -> None:
        whose = (event.about.route, event.about.tenant)
        self._of.add("gateway_cache_requests_total", *whose, event.outcome)
        if event.to is not None:
            made = (*whose, event.to[2])
            self._of.add("gateway_cache_saved_usd_total", *made, by=event.saved)
