"""Metrics of the ledger: durations, failures, and whether it can be used."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.drivers.metrics.cells import NOWHERE
from gateway.drivers.metrics.families import Families
from gateway.drivers.metrics.shape import SHORT, edges

_DURATION: Final = "gateway_ledger_duration_seconds"
_THERE, _LOCAL, _AWAY = 0.0, 1.0, 2.0
_SHORT: Final = edges(SHORT)
_SETTLING: Final = frozenset({"settle", "charge"})
_WRITES: Final = _SETTLING | {"reserve", "void"}
_SERVERLESS: Final = frozenset({"local", "give_up"})
"""Operations that do not reach the server."""
_HARMLESS_ERRORS: Final = frozenset({"unknown", "cancelled", "when"})
"""Errors that do not mean that the server is unreachable."""
_REFUSED_WRITES: Final = frozenset({"misconf", "noperm", "noreplicas", "oom", "other", "readonly"})
"""Errors of a server that goes on to answer reads: its disk is full, or its memory."""


def ledger_writers(families: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""
    handlers = _Ledger(families)
    return {events.LedgerTook: handlers.observe, events.HoldsExpired: handlers.expired}


class _Ledger:
    def __init__(self, families: Families) -> None:
        self._families = families
        self._cells = families.cells
        self._ops: dict[str, int] = {}
        self._mode = families["gateway_ledger_mode"][()]
        self._current_mode = _THERE
        self._refuses_writes = False

    def observe(self, event: events.LedgerTook) -> None:
        try:
            at = self._ops[event.op]
        except KeyError:
            at = self._families[_DURATION][event.op,]
            if at != NOWHERE:
                self._ops[event.op] = at
        seconds, values = event.seconds, self._cells.values
        values[at] += seconds
        values[at + bisect_left(_SHORT, seconds)] += 1.0
        if event.error is not None:
            self._failed(event.op, event.error)
        elif self._current_mode:  # it was unreachable, or refused to write
            self._answered(event.op)

    def _answered(self, op: str) -> None:
        if op == "local":
            self._set_mode(_LOCAL)
        elif op in _WRITES or not self._refuses_writes:  # budgets are read before each scrape
            self._refuses_writes = False
            self._set_mode(_THERE)

    def _failed(self, op: str, error: str) -> None:
        self._families.add("gateway_ledger_errors_total", op, error)
        if op in _SETTLING:
            self._families.add("gateway_settle_failures_total", error)
        elif op == "give_up":
            self._families.add("gateway_settle_failures_total", "given_up")
        if op in _WRITES and error in _REFUSED_WRITES:
            self._refuses_writes = True
        # In local mode, failures of other operations change nothing.
        if op not in _SERVERLESS and error not in _HARMLESS_ERRORS and self._current_mode == _THERE:
            self._set_mode(_AWAY)

    def _set_mode(self, mode: float) -> None:
        self._current_mode = mode
        self._cells.values[self._mode] = mode

    def expired(self, event: events.HoldsExpired) -> None:
        self._families.add("gateway_holds_expired_total", event.tenant, by=event.holds)
        self._families.add("gateway_holds_expired_usd_total", event.tenant, by=event.amount)
