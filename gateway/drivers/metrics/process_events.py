"""Metrics beside requests: circuits, usage records, alerts, the configuration, the cache."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.drivers.metrics.families import Families

_STATES: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


def process_event_writers(families: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""
    handlers = _ProcessEvents(families)
    return {
        events.CircuitMoved: handlers.circuit_moved,
        events.RetriesRead: handlers.retries_read,
        events.UsageSunk: handlers.usage_sunk,
        events.UsageLost: handlers.usage_lost,
        events.SinkFailed: handlers.sink_failed,
        events.AlertEnded: handlers.alert_ended,
        events.ConfigRead: handlers.config_read,
        events.CacheLookup: handlers.cache_asked,
    }


class _ProcessEvents:
    def __init__(self, families: Families) -> None:
        self._families = families
        self._cells = families.cells

    def circuit_moved(self, event: events.CircuitMoved) -> None:
        at = self._families["gateway_circuit_state"][event.deployment,]
        self._cells.values[at] = _STATES[event.state]

    def retries_read(self, event: events.RetriesRead) -> None:
        at = self._families["gateway_retry_budget_retries"][()]
        self._cells.values[at] = event.left

    def usage_sunk(self, event: events.UsageSunk) -> None:
        self._families.add("gateway_usage_records_total", event.tenant, "kept", by=event.records)

    def usage_lost(self, event: events.UsageLost) -> None:
        self._families.add("gateway_usage_records_total", event.tenant, "lost", by=event.records)

    def sink_failed(self, event: events.SinkFailed) -> None:
        self._families.add("gateway_usage_sink_errors_total", event.kind)

    def alert_ended(self, event: events.AlertEnded) -> None:
        self._families.add("gateway_alerts_total", event.outcome)

    def config_read(self, event: events.ConfigRead) -> None:
        if event.result != "start":
            self._families.add("gateway_config_reloads_total", event.result)
        refused = event.result == "refused"
        at = self._families["gateway_config_reload_failed"][()]
        self._cells.values[at] = float(refused)
        if not refused:
            self._families.set("gateway_config_hash", to=int(event.hash or "0", 16))
            self._families.set("gateway_config_loaded_timestamp_seconds", to=event.at)

    def cache_asked(self, event: events.CacheLookup) -> None:
        labels = (event.about.route, event.about.tenant)
        self._families.add("gateway_cache_requests_total", *labels, event.outcome)
        if event.to is not None:
            saved_labels = (*labels, event.to[2])
            self._families.add("gateway_cache_saved_usd_total", *saved_labels, by=event.saved)
