"""Metrics, written from events and from nothing else."""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from gateway.core import events
from gateway.core.money import PER_USD
from gateway.drivers.metric_catalogue import METRICS, same_here
from gateway.drivers.metric_cells import NOWHERE, Cells, OwnCells, SharedCells
from gateway.drivers.metric_text import Page
from gateway.drivers.process_metrics import ProcessMetrics

_TOKENS: Final = ("input", "output", "cached_input", "cache_write", "reasoning")
_STATES: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class _Family(dict[tuple[str, ...], int]):
    """A metric's label values, and where the cells of that series begin.

    To look a new one up is to make it, which may replace `cells.values`: look first, then count.
    """

    def __init__(self, name: str, cells: Cells) -> None:
        super().__init__()
        self.bounds = METRICS[name].buckets
        self._name = name
        self._cells = cells

    def __missing__(self, labels: tuple[str, ...]) -> int:
        try:
            at = self._cells.add((self._name, *labels), METRICS[self._name].cells)
        except OSError:
            return NOWHERE
        self[labels] = at
        return at


class Metrics:
    """An observer that counts; `render` is what a scrape gets.

    Workers that are given the same folder answer for each other. `clock` gives seconds that all
    of them agree on.
    """

    def __init__(
        self,
        tenants: Iterable[str] = (),
        deployments: Iterable[str] = (),
        workers_dir: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OSError when the folder cannot be written to."""
        shared = workers_dir is not None
        self._cells: Cells = SharedCells(Path(workers_dir)) if workers_dir else OwnCells()
        self._clock = clock
        self._page = Page()
        self._processes = ProcessMetrics(os.getppid() if shared else None)
        self._families = {name: _Family(name, self._cells) for name in METRICS}
        self._take_over()
        self._know(tenants, deployments)
        of = self._families
        self._in_flight = of["gateway_inflight_requests"][()]
        self._overhead = of["gateway_overhead_seconds"]
        self._requests = of["gateway_requests_total"]
        self._durations = of["gateway_request_duration_seconds"]
        self._first_tokens = of["gateway_time_to_first_token_seconds"]
        self._attempts = of["gateway_upstream_attempts_total"]
        self._upstream = of["gateway_upstream_duration_seconds"]
        self._tokens = of["gateway_tokens_total"]
        self._costs = of["gateway_cost_usd_total"]
        self._verdicts = of["gateway_check_verdicts_total"]
        self._decisions = of["gateway_budget_decisions_total"]
        self._ledger = of["gateway_ledger_duration_seconds"]
        self._writers: dict[type, Callable[[Any], None]] = {
            events.Began: self._began,
            events.Reserved: self._reserved,
            events.Refused: self._refused,
            events.Attempted: self._attempted,
            events.Judged: self._judged,
            events.Escalated: self._escalated,
            events.FellBack: self._fell_back,
            events.Settled: self._settled,
            events.Replied: self._replied,
            events.Denied: self._denied,
            events.Dropped: self._dropped,
            events.CircuitMoved: self._circuit_moved,
            events.LedgerTook: self._ledger_took,
            events.HoldsExpired: self._holds_expired,
            events.HoldsRead: self._holds_read,
            events.BudgetRead: self._budget_read,
        }

    def observe(self, event: events.Event) -> None:
        write = self._writers.get(type(event))
        if write is not None:
            write(event)

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        shelves = self._cells.shelves()
        processes = self._processes.text([shelf.pid for shelf in shelves])
        return (self._page.text(shelves) + processes).encode()

    def close(self) -> None:
        self._cells.close()

    def _take_over(self) -> None:
        """Count on where another worker ended; what it had in flight is over."""
        for series, at, count in self._cells.series:
            metric = same_here(series, count)
            if metric is not None:
                self._families[series[0]][series[1:]] = at
                if metric.across.startswith("live"):
                    self._cells.values[at] = 0.0

    def _know(self, tenants: Iterable[str], deployments: Iterable[str]) -> None:
        """Show at 0 what may well never happen."""
        for tenant in tenants:
            for name, *more in (
                ("gateway_holds_open",),
                ("gateway_holds_expired_total",),
                ("gateway_budget_overrun_usd_total",),
                ("gateway_budget_decisions_total", "granted", "none"),
                ("gateway_budget_decisions_total", "refused", "tenant"),
            ):
                self._count(name, tenant, *more, by=0.0)
        for deployment in deployments:
            self._count("gateway_circuit_state", deployment, by=0.0)
        self._count("gateway_inflight_requests", by=0.0)
        self._count("gateway_overhead_seconds", by=0.0)

    def _count(self, name: str, *labels: str, by: float = 1.0) -> None:
        at = self._families[name][labels]
        self._cells.values[at] += by

    def _read(self, name: str, *labels: str, value: float) -> None:
        at = self._families[name][labels]
        values = self._cells.values
        values[at] = value
        values[at + 1] = self._clock()

    def _took(self, family: _Family, labels: tuple[str, ...], seconds: float) -> None:
        at = family[labels]
        values = self._cells.values
        values[at] += seconds
        values[at + 1 + bisect_left(family.bounds, seconds)] += 1.0

    def _began(self, event: events.Began) -> None:
        self._cells.values[self._in_flight] += 1.0

    def _reserved(self, event: events.Reserved) -> None:
        at = self._decisions[event.about.tenant, "granted", "none"]
        self._cells.values[at] += 1.0

    def _refused(self, event: events.Refused) -> None:
        at = self._decisions[event.about.tenant, "refused", event.scope]
        self._cells.values[at] += 1.0

    def _attempted(self, event: events.Attempted) -> None:
        provider, model = event.provider, event.model
        at = self._attempts[provider, model, event.tier, event.purpose, event.outcome]
        self._cells.values[at] += 1.0
        self._took(self._upstream, (provider, model), event.seconds)

    def _judged(self, event: events.Judged) -> None:
        failed = event.failed
        for check in event.checks:
            at = self._verdicts[check, "failed" if check in failed else "passed"]
            self._cells.values[at] += 1.0

    def _escalated(self, event: events.Escalated) -> None:
        self._count("gateway_escalations_total", event.from_tier, event.to_tier, event.reason)

    def _fell_back(self, event: events.FellBack) -> None:
        self._count("gateway_fallbacks_total", event.from_model, event.to_model, event.reason)

    def _settled(self, event: events.Settled) -> None:
        provider, model, usage, cost = event.provider, event.model, event.usage, event.cost
        at = self._costs[event.about.tenant, model, event.tier, event.purpose]
        self._cells.values[at] += cost / PER_USD
        counts = usage.prompt, usage.completion, usage.cached, usage.cache_write, usage.reasoning
        for kind, tokens in zip(_TOKENS, counts, strict=True):
            if tokens:
                at = self._tokens[provider, model, kind]
                self._cells.values[at] += tokens
        if event.counted:
            self._count("gateway_counted_settles_total", provider, model)
        if cost > event.held:
            over = (cost - event.held) / PER_USD
            self._count("gateway_budget_overrun_usd_total", event.about.tenant, by=over)

    def _replied(self, event: events.Replied) -> None:
        seconds, first = event.seconds, event.first_token_s
        self._ended(event.about, "replied", "", seconds)
        self._took(self._overhead, (), max(seconds - event.upstream_s, 0.0))
        if first is not None:
            self._took(self._first_tokens, (event.model, event.provider), first)

    def _denied(self, event: events.Denied) -> None:
        self._ended(event.about, "denied", event.code, event.seconds)

    def _dropped(self, event: events.Dropped) -> None:
        self._ended(event.about, "dropped", "", event.seconds)

    def _ended(self, about: events.About, outcome: str, code: str, seconds: float) -> None:
        route, stream = about.route, "true" if about.stream else "false"
        at = self._requests[route, about.tenant, stream, outcome, code]
        values = self._cells.values
        values[at] += 1.0
        values[self._in_flight] -= 1.0
        self._took(self._durations, (route, stream), seconds)

    def _circuit_moved(self, event: events.CircuitMoved) -> None:
        at = self._families["gateway_circuit_state"][event.deployment,]
        self._cells.values[at] = _STATES[event.state]

    def _ledger_took(self, event: events.LedgerTook) -> None:
        self._took(self._ledger, (event.op,), event.seconds)
        if event.error is not None:
            self._count("gateway_ledger_errors_total", event.op, event.error)

    def _holds_expired(self, event: events.HoldsExpired) -> None:
        self._count("gateway_holds_expired_total", event.tenant, by=event.holds)

    def _holds_read(self, event: events.HoldsRead) -> None:
        self._read("gateway_holds_open", event.tenant, value=event.holds)

    def _budget_read(self, event: events.BudgetRead) -> None:
        which = (event.tenant, event.per)
        self._read("gateway_budget_limit_usd", *which, value=event.limit / PER_USD)
        self._read("gateway_budget_spent_usd", *which, value=event.spent / PER_USD)
        self._read("gateway_budget_held_usd", *which, value=event.held / PER_USD)
