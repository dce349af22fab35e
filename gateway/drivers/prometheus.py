"""Metrics, written from events and from nothing else.

Ten events of each request come here: which cells they count in is found once, and remembered.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.core import events
from gateway.core.catalog import Tenant
from gateway.core.money import PER_USD
from gateway.core.ports import Clock, Observer
from gateway.core.tags import Known, labelled
from gateway.drivers.metric_budgets import budget_writers
from gateway.drivers.metric_catalogue import SECONDS, SHORT
from gateway.drivers.metric_cells import Cells, OwnCells, SharedCells
from gateway.drivers.metric_families import Families, Found, Labels, took
from gateway.drivers.metric_foreseen import foresee, forget
from gateway.drivers.metric_guard import guard_writers
from gateway.drivers.metric_text import Page
from gateway.drivers.process_metrics import ProcessMetrics

_STATES: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
_DECISIONS: Final = "gateway_budget_decisions_total"
_WARNINGS: Final = "gateway_budget_warnings_total"
_SHADOW: Final = "gateway_budget_shadow_refusals_total"
_TOKENS: Final = "gateway_tokens_total"
_NO_TAGS: Final[Known] = {}


class Metrics:
    """`observe` is an observer that counts; `render` is what a scrape gets.

    Workers that are given the same folder answer for each other. All agree on the clock.
    """

    def __init__(
        self,
        tenants: Iterable[Tenant] = (),
        deployments: Iterable[str] = (),
        workers_dir: str | None = None,
        clock: Clock = time.monotonic,
        tags: Known = _NO_TAGS,
    ) -> None:
        """Raises OSError when the folder cannot be written to."""
        self._cells: Cells = SharedCells(Path(workers_dir)) if workers_dir else OwnCells()
        self._page = Page()
        self._processes = ProcessMetrics(os.getppid() if workers_dir else None)
        self._of = Families(self._cells, clock)
        self.turn(tenants, deployments, tags)
        self._find()
        self.observe: Observer = _dispatch(
            {
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
                events.UsageSunk: self._usage_sunk,
                events.UsageLost: self._usage_lost,
                events.SinkFailed: self._sink_failed,
                events.BudgetWarned: self._budget_warned,
                events.AlertEnded: self._alert_ended,
                events.ConfigRead: self._config_read,
                **budget_writers(self._of),
                **guard_writers(self._of),
                events.CacheAsked: self._cache_asked,
            }
        )

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        shelves = self._cells.shelves()
        processes = self._processes.text([shelf.pid for shelf in shelves])
        return (self._page.text(shelves) + processes).encode()

    def close(self) -> None:
        self._cells.close()

    def turn(self, tenants: Iterable[Tenant], deployments: Iterable[str], tags: Known) -> None:
        """Go by this configuration: what is new is there at 0."""
        there = [*tenants]
        self._tags = {name: values for name, values in tags.items() if values}
        foresee(self._of, there, deployments)
        forget(self._of, there)

    def _find(self) -> None:
        """What each event of most requests counts in, by what it says."""
        of = self._of
        ends, lasted = of["gateway_requests_total"], of["gateway_request_duration_seconds"]
        calls, waits = (
            of["gateway_upstream_attempts_total"],
            of["gateway_upstream_duration_seconds"],
        )
        costs, tokens = of["gateway_cost_usd_total"], of[_TOKENS]
        decided, judged = of[_DECISIONS], of["gateway_check_verdicts_total"]
        ledger = of["gateway_ledger_duration_seconds"]
        self._in_flight = of["gateway_inflight_requests"][()]
        self._overhead = of["gateway_overhead_seconds"][()]
        self._granted = Found[str, int](lambda tenant: decided[tenant, "granted", "none", "none"])
        self._judged_in = Found[tuple[Labels, Labels], tuple[int, ...]](
            lambda told: tuple(
                [judged[each, "failed" if each in told[1] else "passed"] for each in told[0]]
            )
        )
        self._ledger = Found[str, int](lambda op: ledger[op,])
        self._ends = Found[Labels, tuple[int, int]](lambda to: (ends[to], lasted[to[0], to[2]]))
        self._calls = Found[Labels, tuple[int, int]](lambda to: (calls[to], waits[to[:2]]))
        self._bills = Found[Labels, tuple[int, int, int]](
            lambda to: (
                costs[to[1:]],
                tokens[to[0], to[2], "input"],
                tokens[to[0], to[2], "output"],
            )
        )

    def _began(self, event: events.Began) -> None:
        self._cells.values[self._in_flight] += 1.0

    def _reserved(self, event: events.Reserved) -> None:
        at = self._granted[event.about.tenant]
        self._cells.values[at] += 1.0

    def _refused(self, event: events.Refused) -> None:
        self._of.add(_DECISIONS, event.about.tenant, "refused", event.scope, event.meter)

    def _attempted(self, event: events.Attempted) -> None:
        to = (event.provider, event.model, event.tier, event.purpose, event.outcome)
        at, wait = self._calls[to]
        values = self._cells.values
        values[at] += 1.0
        took(values, wait, SECONDS, event.seconds)

    def _judged(self, event: events.Judged) -> None:
        cells = self._judged_in[event.checks, event.failed]
        values = self._cells.values
        for at in cells:
            values[at] += 1.0

    def _escalated(self, event: events.Escalated) -> None:
        why = (event.from_tier, event.to_tier, event.reason)
        self._of.add("gateway_escalations_total", *why)

    def _fell_back(self, event: events.FellBack) -> None:
        why = (event.from_model, event.to_model, event.reason)
        self._of.add("gateway_fallbacks_total", *why)

    def _settled(self, event: events.Settled) -> None:
        provider, model, usage, cost = event.provider, event.model, event.usage, event.cost
        tenant = event.about.tenant
        bill = self._bills[provider, tenant, model, event.tier, event.purpose]
        spent, prompt, completion = bill
        values = self._cells.values
        values[spent] += cost / PER_USD
        values[prompt] += usage.prompt
        values[completion] += usage.completion
        if usage.cached:
            self._of.add(_TOKENS, provider, model, "cached_input", by=usage.cached)
        if usage.cache_write:
            self._of.add(_TOKENS, provider, model, "cache_write", by=usage.cache_write)
        if usage.reasoning:
            self._of.add(_TOKENS, provider, model, "reasoning", by=usage.reasoning)
        if event.counted:
            self._of.add("gateway_counted_settles_total", provider, model)
        if cost > event.held:
            over = (cost - event.held) / PER_USD
            self._of.add("gateway_budget_overrun_usd_total", tenant, by=over)
            self._of.add("gateway_budget_overruns_total", tenant)
        if self._tags:
            self._charge_back(event)

    def _charge_back(self, event: events.Settled) -> None:
        tenant, usage = event.about.tenant, event.usage
        for tag, value in labelled(event.about.tags, self._tags).items():
            whose = (tenant, tag, value)
            self._of.add("gateway_tag_cost_usd_total", *whose, by=event.cost / PER_USD)
            self._of.add("gateway_tag_tokens_total", *whose, "input", by=usage.prompt)
            self._of.add("gateway_tag_tokens_total", *whose, "output", by=usage.completion)

    def _replied(self, event: events.Replied) -> None:
        seconds = event.seconds
        self._ended(event.about, "replied", "", seconds)
        ours = seconds - event.upstream_s
        took(self._cells.values, self._overhead, SHORT, max(ours, 0.0))
        if event.about.stream:
            self._streamed(event)
        if event.reason != "unjudged":
            self._of.add("gateway_answers_total", event.about.route, event.tier, event.reason)

    def _streamed(self, event: events.Replied) -> None:
        """What was held came to its client when it was whole."""
        first, reason = event.first_token_s, event.reason
        flowed = "whole" if first is None else "early"
        judged = {"unjudged": "no", "cached": "cached"}.get(reason, flowed)
        family = self._of["gateway_time_to_first_token_seconds"]
        at = family[event.model, event.provider, event.about.route, judged]
        took(self._cells.values, at, SECONDS, event.seconds if first is None else first)

    def _denied(self, event: events.Denied) -> None:
        self._ended(event.about, "denied", event.code, event.seconds)

    def _dropped(self, event: events.Dropped) -> None:
        self._ended(event.about, "dropped", "", event.seconds)

    def _ended(self, about: events.About, outcome: str, code: str, seconds: float) -> None:
        stream = "true" if about.stream else "false"
        at, lasted = self._ends[about.route, about.tenant, stream, outcome, code]
        values = self._cells.values
        values[self._in_flight] -= 1.0
        values[at] += 1.0
        took(values, lasted, SECONDS, seconds)

    def _circuit_moved(self, event: events.CircuitMoved) -> None:
        at = self._of["gateway_circuit_state"][event.deployment,]
        self._cells.values[at] = _STATES[event.state]

    def _ledger_took(self, event: events.LedgerTook) -> None:
        at = self._ledger[event.op]
        took(self._cells.values, at, SHORT, event.seconds)
        if event.error is not None:
            self._of.add("gateway_ledger_errors_total", event.op, event.error)

    def _holds_expired(self, event: events.HoldsExpired) -> None:
        self._of.add("gateway_holds_expired_total", event.tenant, by=event.holds)
        charged = event.amount / PER_USD
        self._of.add("gateway_holds_expired_usd_total", event.tenant, by=charged)

    def _usage_sunk(self, event: events.UsageSunk) -> None:
        self._of.add("gateway_usage_records_total", event.tenant, "kept", by=event.records)

    def _usage_lost(self, event: events.UsageLost) -> None:
        self._of.add("gateway_usage_records_total", event.tenant, "lost", by=event.records)

    def _sink_failed(self, event: events.SinkFailed) -> None:
        self._of.add("gateway_usage_sink_errors_total", event.kind)

    def _budget_warned(self, event: events.BudgetWarned) -> None:
        """Whose request it was is told, not whose account: that may be a user's."""
        tenant, scope, budget = event.about.tenant, event.account.scope, event.budget
        if budget.mode == "shadow":
            self._of.add(_SHADOW, tenant, scope, budget.meter)
        else:
            percent = str(event.percent)
            self._of.add(_WARNINGS, tenant, scope, budget.meter, budget.mode, percent)

    def _config_read(self, event: events.ConfigRead) -> None:
        if event.result != "start":
            self._of.add("gateway_config_reloads_total", event.result)
        refused = event.result == "refused"
        at = self._of["gateway_config_reload_failed"][()]
        self._cells.values[at] = float(refused)
        if not refused:
            self._of.set("gateway_config_hash", to=int(event.hash or "0", 16))
            self._of.set("gateway_config_loaded_timestamp_seconds", to=event.at)

    def _alert_ended(self, event: events.AlertEnded) -> None:
        self._of.add("gateway_alerts_total", event.outcome)

    def _cache_asked(self, event: events.CacheAsked) -> None:
        whose = (event.about.route, event.about.tenant)
        self._of.add("gateway_cache_requests_total", *whose, event.outcome)
        if event.to is not None:
            by = event.saved / PER_USD
            self._of.add("gateway_cache_saved_usd_total", *whose, event.to[2], by=by)


def _dispatch(writers: Mapping[type, Callable[[Any], None]]) -> Observer:
    writer_of = writers.get

    def observe(event: events.Event) -> None:
        write = writer_of(type(event))
        if write is not None:
            write(event)

    return observe
