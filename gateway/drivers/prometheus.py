"""Metrics, written from events and from nothing else.

Eight events of each request come here: which cells they count in is found once, and remembered.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from gateway import __version__
from gateway.core import events
from gateway.core.catalog import Catalog, Tenant
from gateway.core.chat import Usage
from gateway.core.money import PER_USD, Nanos
from gateway.core.ports import Clock, Observer
from gateway.core.snapshot import Snapshot
from gateway.core.tags import Known, labelled
from gateway.core.usage_record import UsageRecord
from gateway.drivers.metric_beside import beside_writers
from gateway.drivers.metric_budgets import budget_writers
from gateway.drivers.metric_cells import NOWHERE, Cells, OwnCells, SharedCells
from gateway.drivers.metric_families import Families, Found, Labels, took
from gateway.drivers.metric_foreseen import foresee, forget
from gateway.drivers.metric_foreseen_routes import foresee_routes
from gateway.drivers.metric_guard import guard_writers
from gateway.drivers.metric_ledger import ledger_writers
from gateway.drivers.metric_saved import EMPTY, Saved
from gateway.drivers.metric_shape import A_TOKEN, PARTS, SECONDS, SHORT
from gateway.drivers.metric_text import Page
from gateway.drivers.process_metrics import ProcessMetrics

_DECISIONS: Final = "gateway_budget_decisions_total"
_WARNINGS: Final = "gateway_budget_warnings_total"
_SHADOW: Final = "gateway_budget_shadow_refusals_total"
_TOKENS: Final = "gateway_tokens_total"
_VOTES: Final = "gateway_votes_total"
_VOTED: Final = ("agreed", "lone_vote")
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
        catalog: Catalog = EMPTY,
        wall: Clock = time.time,  # noqa: TID251 - as the default only
    ) -> None:
        """Raises OSError when the folder cannot be written to."""
        self._cells: Cells = SharedCells(Path(workers_dir)) if workers_dir else OwnCells()
        self._page = Page()
        self._processes = ProcessMetrics(os.getppid() if workers_dir else None)
        self._of = Families(self._cells, clock)
        self._saved = Saved(self._of, wall)
        self._go_by(tenants, deployments, tags, catalog)
        self._find()
        self.observe: Observer = _dispatch(
            {
                events.Began: self._began,
                events.Reserved: self._reserved,
                events.Refused: self._refused,
                events.Judged: self._judged,
                events.Escalated: self._escalated,
                events.FellBack: self._fell_back,
                events.Settled: self._settled,
                events.Replied: self._replied,
                events.Denied: self._denied,
                events.Dropped: self._dropped,
                events.BudgetWarned: self._budget_warned,
                **budget_writers(self._of, wall),
                **ledger_writers(self._of),
                **beside_writers(self._of),
                **guard_writers(self._of),
            }
        )

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        shelves = self._cells.shelves()
        processes = self._processes.text([shelf.pid for shelf in shelves])
        return (self._page.text(shelves) + processes).encode()

    def close(self) -> None:
        self._cells.close()

    def turn(self, new: Snapshot) -> None:
        """Go by this configuration: what is new is there at 0."""
        models = new.catalog.models.values()
        deployments = [each.name for model in models for each in model.deployments]
        self._go_by(new.tenants.values(), deployments, new.tags, new.catalog)

    def _go_by(
        self,
        tenants: Iterable[Tenant],
        deployments: Iterable[str],
        tags: Known,
        catalog: Catalog,
    ) -> None:
        there = [*tenants]
        self._tags = {name: values for name, values in tags.items() if values}
        self._saved.turn(catalog)
        self._tops = self._saved.tops
        foresee(self._of, there, deployments)
        foresee_routes(self._of, there, catalog, self._tops)
        forget(self._of, there)

    def _find(self) -> None:
        """What each event of most requests counts in, by what it says."""
        of = self._of
        ends, lasted = of["gateway_requests_total"], of["gateway_request_duration_seconds"]
        calls, spans = (
            of["gateway_upstream_attempts_total"],
            of["gateway_upstream_duration_seconds"],
        )
        costs, tokens = of["gateway_cost_usd_total"], of[_TOKENS]
        decided, judged = of[_DECISIONS], of["gateway_check_verdicts_total"]
        ratios, paces = (
            of["gateway_settle_ratio"],
            of["gateway_time_per_output_token_seconds"],
        )
        self._in_flight = of["gateway_inflight_requests"][()]
        running = of["gateway_build_info"][__version__, platform.python_version()]
        self._cells.values[running] = 1.0
        self._overhead = of["gateway_overhead_seconds"][()]
        self._granted = Found[str, int](lambda tenant: decided[tenant, "granted", "none", "none"])
        self._judged_in = Found[tuple[Labels, Labels], tuple[int, ...]](
            lambda told: tuple(
                [judged[each, "failed" if each in told[1] else "passed"] for each in told[0]]
            )
        )
        waits = of["gateway_time_to_first_token_seconds"]
        self._waits = Found[Labels, tuple[int, int]](
            lambda to: (waits[to], paces[to[:2]] if to[3] == "no" else NOWHERE)
        )
        given, votes = of["gateway_answers_total"], of[_VOTES]
        self._given = Found[Labels, tuple[int, ...]](
            lambda to: (given[to], *([votes[to[0], to[2]]] if to[2] in _VOTED else ()))
        )
        self._ends = Found[Labels, tuple[int, int]](lambda to: (ends[to], lasted[to[0], to[2]]))
        self._calls = Found[Labels, tuple[int, int, int, int, int, int]](
            lambda to: (
                calls[to[0], *to[2:]],
                spans[to[0], to[2]],
                ratios[to[2],],
                costs[to[1:5]],
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
        call, about = event.record, event.about
        usage, cost, purpose = call.usage, call.cost, call.purpose
        provider, model, tenant = call.provider, call.model, about.tenant
        to = (provider, tenant, model, call.tier, purpose, call.outcome)
        at, span, part, spent, prompt, completion = self._calls[to]
        values = self._cells.values
        values[at] += 1.0
        took(values, span, SECONDS, call.seconds)
        if call.held:
            took(values, part, PARTS, cost / call.held)
        values[spent] += cost / PER_USD
        values[prompt] += usage.prompt
        values[completion] += usage.completion
        if usage.cached or usage.cache_write or usage.reasoning:
            self._more_tokens(provider, model, usage)
        if call.counted:
            self._of.add("gateway_counted_settles_total", provider, model)
        if cost > call.held:
            over = (cost - call.held) / PER_USD
            self._of.add("gateway_budget_overrun_usd_total", tenant, by=over)
            self._of.add("gateway_budget_overruns_total", tenant)
        if self._tags:
            self._charge_back(about, call)
        if purpose == "audit" and about.route in self._tops:
            self._saved.audited(tenant, about.route, Nanos(cost))
        elif purpose == "arbitration":
            self._of.add(_VOTES, about.route, "arbitrated")
        if event.why == "incomparable":
            self._of.add(_VOTES, about.route, event.why)

    def _more_tokens(self, provider: str, model: str, usage: Usage) -> None:
        beside = (usage.cached, usage.cache_write, usage.reasoning)
        for kind, many in zip(("cached_input", "cache_write", "reasoning"), beside, strict=True):
            if many:
                self._of.add(_TOKENS, provider, model, kind, by=many)

    def _charge_back(self, about: events.About, call: UsageRecord) -> None:
        usage = call.usage
        for tag, value in labelled(about.tags, self._tags).items():
            whose = (about.tenant, tag, value)
            self._of.add("gateway_tag_cost_usd_total", *whose, by=call.cost / PER_USD)
            self._of.add("gateway_tag_tokens_total", *whose, "input", by=usage.prompt)
            self._of.add("gateway_tag_tokens_total", *whose, "output", by=usage.completion)

    def _replied(self, event: events.Replied) -> None:
        about, seconds, reason = event.about, event.seconds, event.reason
        self._ended(about, "replied", "", seconds)
        ours = seconds - event.upstream_s
        took(self._cells.values, self._overhead, SHORT, max(ours, 0.0))
        if about.stream:
            self._streamed(event)
        if reason != "unjudged":
            places = self._given[about.route, event.tier, reason]
            values = self._cells.values
            for at in places:
                values[at] += 1.0
        if about.route in self._tops and reason != "cached":
            self._saved.answered(about.tenant, about.route, event.usage, event.spent)

    def _streamed(self, event: events.Replied) -> None:
        """What was held came to its client when it was whole."""
        first, reason = event.first_token_s, event.reason
        judged = "no" if reason == "unjudged" else "cached" if reason == "cached" else "early"
        if first is None and judged == "early":
            judged = "whole"
        at, pace = self._waits[event.model, event.provider, event.about.route, judged]
        values = self._cells.values
        took(values, at, SECONDS, event.seconds if first is None else first)
        more = event.usage.completion - 1
        if more > 0 and judged == "no" and first is not None:
            took(values, pace, A_TOKEN, (event.seconds - first) / more)

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

    def _budget_warned(self, event: events.BudgetWarned) -> None:
        """Whose request it was is told, not whose account: that may be a user's."""
        tenant, scope, budget = event.about.tenant, event.account.scope, event.budget
        if budget.mode == "shadow":
            self._of.add(_SHADOW, tenant, scope, budget.meter)
        else:
            percent = str(event.percent)
            self._of.add(_WARNINGS, tenant, scope, budget.meter, budget.mode, percent)


def _dispatch(writers: Mapping[type, Callable[[Any], None]]) -> Observer:
    write = {**dict.fromkeys(get_args(events.Event), _nothing), **writers}

    def observe(event: events.Event) -> None:
        write[type(event)](event)

    return observe


def _nothing(_: events.Event) -> None:
    pass
