"""Metrics, written from events and from nothing else.

Label values come from the configuration, or are an error's code, so that no client can mint a
series. Key, user and request id are never labels. Children are looked up once and kept:
`labels()` costs five times an increment.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import multiprocess as across_workers

from gateway.core import events
from gateway.core.money import PER_USD

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}

# name -> (kind, help, labels, buckets)
METRICS: Final[Mapping[str, tuple[type, str, tuple[str, ...], tuple[float, ...]]]] = {
    "gateway_requests_total": (
        Counter,
        "Requests by how they ended: replied, denied (with the error's code) or dropped.",
        ("route", "tenant", "stream", "outcome", "code"),
        (),
    ),
    "gateway_request_duration_seconds": (
        Histogram,
        "From admitted to the last byte.",
        ("route", "stream"),
        _SECONDS,
    ),
    "gateway_time_to_first_token_seconds": (
        Histogram,
        "From admitted to the first delta of a flowing answer.",
        ("model", "provider"),
        _SECONDS,
    ),
    "gateway_overhead_seconds": (
        Histogram,
        "The gateway's own part of a replied request: everything but waiting for providers.",
        (),
        _SHORT,
    ),
    "gateway_inflight_requests": (Gauge, "Requests being served.", (), ()),
    "gateway_upstream_attempts_total": (
        Counter,
        "Calls to providers by how they ended: ok, dropped, or the error's kind.",
        ("provider", "model", "tier", "purpose", "outcome"),
        (),
    ),
    "gateway_upstream_duration_seconds": (
        Histogram,
        "One call to a provider, from sent to its last byte.",
        ("provider", "model"),
        _SECONDS,
    ),
    "gateway_tokens_total": (
        Counter,
        "Tokens paid for. cached_input and cache_write are parts of input, reasoning of output.",
        ("provider", "model", "type"),
        (),
    ),
    "gateway_cost_usd_total": (
        Counter,
        "What calls cost, by why they were made.",
        ("tenant", "model", "tier", "purpose"),
        (),
    ),
    "gateway_counted_settles_total": (
        Counter,
        "Calls charged by our own count, since the provider told no usage.",
        ("provider", "model"),
        (),
    ),
    "gateway_escalations_total": (
        Counter,
        "Poor answers that led to a better tier, by the check that failed.",
        ("from_tier", "to_tier", "reason"),
        (),
    ),
    "gateway_fallbacks_total": (
        Counter,
        "Failed calls that led to another candidate, by the error's kind.",
        ("from_model", "to_model", "reason"),
        (),
    ),
    "gateway_check_verdicts_total": (
        Counter,
        "Answers that passed or failed each check.",
        ("check", "verdict"),
        (),
    ),
    "gateway_budget_limit_usd": (Gauge, "A tenant's own budget.", ("tenant", "period"), ()),
    "gateway_budget_spent_usd": (Gauge, "Spent in this period.", ("tenant", "period"), ()),
    "gateway_budget_held_usd": (Gauge, "Held for calls in flight.", ("tenant", "period"), ()),
    "gateway_budget_decisions_total": (
        Counter,
        "Holds the ledger granted or refused, by the scope that refused.",
        ("tenant", "decision", "scope"),
        (),
    ),
    "gateway_budget_overrun_usd_total": (
        Counter,
        "What bills exceeded their holds by.",
        ("tenant",),
        (),
    ),
    "gateway_holds_open": (Gauge, "Holds neither settled nor expired.", ("tenant",), ()),
    "gateway_holds_expired_total": (
        Counter,
        "Holds nobody settled in time; they were charged in full.",
        ("tenant",),
        (),
    ),
    "gateway_ledger_duration_seconds": (Histogram, "One ledger operation.", ("op",), _SHORT),
    "gateway_ledger_errors_total": (
        Counter,
        "Ledger operations that failed.",
        ("op", "kind"),
        (),
    ),
    "gateway_circuit_state": (Gauge, "0 closed, 1 half open, 2 open.", ("deployment",), ()),
}


class Metrics:
    """An observer that counts; `render` is what a scrape gets.

    With `workers_dir` (prometheus-client's multiprocess folder) a scrape adds up all workers.
    """

    def __init__(
        self,
        tenants: Iterable[str] = (),
        deployments: Iterable[str] = (),
        workers_dir: str | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
        self.registry = CollectorRegistry()
        self._workers_dir = workers_dir
        self._metrics: dict[str, Any] = {}
        self._kept: dict[tuple[str, ...], Any] = {}
        for name, (kind, told, labels, buckets) in METRICS.items():
            extra: dict[str, Any] = {"buckets": buckets} if buckets else {}
            if kind is Gauge:
                per_worker = name == "gateway_inflight_requests"
                extra["multiprocess_mode"] = "livesum" if per_worker else "livemostrecent"
            self._metrics[name] = kind(name, told, labels, registry=self.registry, **extra)
        for tenant in tenants:
            self._of("gateway_holds_open", tenant)
            self._of("gateway_holds_expired_total", tenant)
            self._of("gateway_budget_overrun_usd_total", tenant)
            self._of("gateway_budget_decisions_total", tenant, "granted", "none")
            self._of("gateway_budget_decisions_total", tenant, "refused", "tenant")
        for deployment in deployments:
            self._of("gateway_circuit_state", deployment).set(0)
        self._in_flight = self._of("gateway_inflight_requests")
        self._overhead = self._of("gateway_overhead_seconds")
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
        if self._workers_dir is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        across_workers.MultiProcessCollector(registry, self._workers_dir)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _of(self, *key: str) -> Any:
        """A metric's child by its name and label values, looked up once."""
        child = self._kept.get(key)
        if child is None:
            name, *labels = key
            metric = self._metrics[name]
            child = self._kept[key] = metric.labels(*labels) if labels else metric
        return child

    def _began(self, event: events.Began) -> None:
        self._in_flight.inc()

    def _reserved(self, event: events.Reserved) -> None:
        self._of("gateway_budget_decisions_total", event.about.tenant, "granted", "none").inc()

    def _refused(self, event: events.Refused) -> None:
        tenant = event.about.tenant
        self._of("gateway_budget_decisions_total", tenant, "refused", event.scope).inc()

    def _attempted(self, event: events.Attempted) -> None:
        where = (event.provider, event.model, event.tier, event.purpose, event.outcome)
        self._of("gateway_upstream_attempts_total", *where).inc()
        took = self._of("gateway_upstream_duration_seconds", event.provider, event.model)
        took.observe(event.seconds)

    def _judged(self, event: events.Judged) -> None:
        for check in event.checks:
            verdict = "failed" if check in event.failed else "passed"
            self._of("gateway_check_verdicts_total", check, verdict).inc()

    def _escalated(self, event: events.Escalated) -> None:
        why = (event.from_tier, event.to_tier, event.reason)
        self._of("gateway_escalations_total", *why).inc()

    def _fell_back(self, event: events.FellBack) -> None:
        why = (event.from_model, event.to_model, event.reason)
        self._of("gateway_fallbacks_total", *why).inc()

    def _settled(self, event: events.Settled) -> None:
        provider, model, usage = event.provider, event.model, event.usage
        who = (event.about.tenant, model, event.tier, event.purpose)
        self._of("gateway_cost_usd_total", *who).inc(event.cost / PER_USD)
        for kind, tokens in (
            ("input", usage.prompt),
            ("output", usage.completion),
            ("cached_input", usage.cached),
            ("cache_write", usage.cache_write),
            ("reasoning", usage.reasoning),
        ):
            if tokens:
                self._of("gateway_tokens_total", provider, model, kind).inc(tokens)
        if event.counted:
            self._of("gateway_counted_settles_total", provider, model).inc()
        if event.cost > event.held:
            over = self._of("gateway_budget_overrun_usd_total", event.about.tenant)
            over.inc((event.cost - event.held) / PER_USD)

    def _replied(self, event: events.Replied) -> None:
        self._ended(event.about, "replied", "", event.seconds)
        self._overhead.observe(max(event.seconds - event.upstream_s, 0.0))
        if event.first_token_s is not None:
            first = self._of("gateway_time_to_first_token_seconds", event.model, event.provider)
            first.observe(event.first_token_s)

    def _denied(self, event: events.Denied) -> None:
        self._ended(event.about, "denied", event.code, event.seconds)

    def _dropped(self, event: events.Dropped) -> None:
        self._ended(event.about, "dropped", "", event.seconds)

    def _ended(self, about: events.About, outcome: str, code: str, seconds: float) -> None:
        self._in_flight.dec()
        stream = "true" if about.stream else "false"
        who = (about.route, about.tenant, stream, outcome, code)
        self._of("gateway_requests_total", *who).inc()
        self._of("gateway_request_duration_seconds", about.route, stream).observe(seconds)

    def _circuit_moved(self, event: events.CircuitMoved) -> None:
        self._of("gateway_circuit_state", event.deployment).set(_STATES[event.state])

    def _ledger_took(self, event: events.LedgerTook) -> None:
        self._of("gateway_ledger_duration_seconds", event.op).observe(event.seconds)
        if event.error is not None:
            self._of("gateway_ledger_errors_total", event.op, event.error).inc()

    def _holds_expired(self, event: events.HoldsExpired) -> None:
        self._of("gateway_holds_expired_total", event.tenant).inc(event.holds)

    def _holds_read(self, event: events.HoldsRead) -> None:
        self._of("gateway_holds_open", event.tenant).set(event.holds)

    def _budget_read(self, event: events.BudgetRead) -> None:
        which = (event.tenant, event.per)
        self._of("gateway_budget_limit_usd", *which).set(event.limit / PER_USD)
        self._of("gateway_budget_spent_usd", *which).set(event.spent / PER_USD)
        self._of("gateway_budget_held_usd", *which).set(event.held / PER_USD)
