"""Metrics of guards, and of background audits."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.core.money import PER_USD
from gateway.drivers.metrics.families import Families

_AUDITS: Final = "gateway_audits_total"
_STATES: Final = {"off": 0.0, "learning": 1.0, "on": 2.0}


def guard_writers(families: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""

    def on_ended(event: events.AuditEnded) -> None:
        families.add(_AUDITS, event.about.route, event.kind, event.outcome)

    def on_left(event: events.AuditLeft) -> None:
        families.add(_AUDITS, event.route, event.kind, "crowded")

    def on_read(event: events.GuardRead) -> None:
        labels, guard = (event.route, event.bucket), event.guard
        families.set("gateway_guard_state", *labels, to=_STATES[event.state])
        families.set("gateway_guard_agreement_rate", *labels, to=guard.rate)
        families.set("gateway_guard_agreement_lower_bound", *labels, to=guard.bound)
        families.set("gateway_guard_audits", *labels, to=guard.tried)
        families.set("gateway_guard_spent_usd", *labels, "all", to=guard.spent / PER_USD)
        families.set("gateway_guard_spent_usd", *labels, "audit", to=guard.audit / PER_USD)

    return {events.AuditEnded: on_ended, events.AuditLeft: on_left, events.GuardRead: on_read}
