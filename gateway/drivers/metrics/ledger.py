"""Metrics of the ledger: how long it takes, what fails, and whether it is there at all."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core import events
from gateway.drivers.metrics.families import Families
from gateway.drivers.metrics.shape import SHORT, edges

_LASTED: Final = "gateway_ledger_duration_seconds"
_THERE, _LOCAL, _AWAY = 0.0, 1.0, 2.0
_SHORT: Final = edges(SHORT)
_SETTLING: Final = frozenset({"settle", "charge"})
_WITHOUT: Final = frozenset({"local", "give_up"})
"""Operations that say nothing of the server."""
_ANSWERED: Final = frozenset({"unknown", "cancelled", "when"})
"""Errors of a server that is there, or of nobody."""


def ledger_writers(of: Families) -> Mapping[type, Callable[[Any], None]]:
    """What each event counts in."""
    writes = _Ledger(of)
    return {events.LedgerTook: writes.observe, events.HoldsExpired: writes.expired}


class _Ledger:
    def __init__(self, of: Families) -> None:
        self._of = of
        self._cells = of.cells
        self._ops: dict[str, int] = {}
        self._mode = of["gateway_ledger_mode"][()]
        self._now = _THERE

    def observe(self, event: events.LedgerTook) -> None:
        try:
            at = self._ops[event.op]
        except KeyError:
            at = self._ops[event.op] = self._of[_LASTED][event.op,]
        seconds, values = event.seconds, self._cells.values
        values[at] += seconds
        values[at + bisect_left(_SHORT, seconds)] += 1.0
        if event.error is not None:
            self._failed(event.op, event.error)
        elif self._now:  # it was not there
            self._stands(_LOCAL if event.op == "local" else _THERE)

    def _failed(self, op: str, error: str) -> None:
        self._of.add("gateway_ledger_errors_total", op, error)
        if op in _SETTLING:
            self._of.add("gateway_settle_failures_total", error)
        elif op == "give_up":
            self._of.add("gateway_settle_failures_total", "given_up")
        # Once calls go by local shares, that the others still fail is nothing new.
        if op not in _WITHOUT and error not in _ANSWERED and self._now == _THERE:
            self._stands(_AWAY)

    def _stands(self, mode: float) -> None:
        self._now = mode
        self._cells.values[self._mode] = mode

    def expired(self, event: events.HoldsExpired) -> None:
        self._of.add("gateway_holds_expired_total", event.tenant, by=event.holds)
        self._of.add("gateway_holds_expired_usd_total", event.tenant, by=event.amount)
