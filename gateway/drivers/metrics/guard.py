"""Metrics of guards, and of what goes on behind answers."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.core.money import PER_USD
from gateway.drivers.metrics.families import Families

_AUDITS: Final = "gateway_audits_total"
_STATES: Final = {"off": 0.0, "learning": 1.0, "on": 2.0}


def guard_writers(of: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""

    def ended(event: events.AuditEnded) -> None:
        of.add(_AUDITS, event.about.route, event.kind, event.outcome)

    def left(event: events.AuditLeft) -> None:
        of.add(_AUDITS, event.route, event.kind, "crowded")

    def read(event: events.GuardRead) -> None:
        which, guard = (event.route, event.bucket), event.guard
        of.set("gateway_guard_state", *which, to=_STATES[event.state])
        of.set("gateway_guard_agreement_rate", *which, to=guard.rate)
        of.set("gateway_guard_agreement_lower_bound", *which, to=guard.bound)
        of.set("gateway_guard_audits", *which, to=guard.tried)
        of.set("gateway_guard_spent_usd", *which, "all", to=guard.spent / PER_USD)
        of.set("gateway_guard_spent_usd", *which, "audit", to=guard.audit / PER_USD)

    return {events.AuditEnded: ended, events.AuditLeft: left, events.GuardRead: read}
