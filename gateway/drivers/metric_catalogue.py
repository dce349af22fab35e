"""Every metric: its name, its kind, and what it says.

Label values come from the configuration, or are an error's code, so that no client can mint a
series. Key, user and request id are never labels.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

Across = Literal["sum", "live_sum", "live_worst", "latest"]
"""What several workers' cells are together: of all there were, or of those that live."""


class Metric(Struct, frozen=True):
    """`buckets` are a histogram's upper bounds, without the infinite one."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = "sum"

    @property
    def cells(self) -> int:
        """How many cells a series has: a histogram's sum and its buckets, a gauge's age."""
        if self.kind == "histogram":
            return len(self.buckets) + 2
        return 2 if self.across == "latest" else 1


def same_here(series: Sequence[str], cells: int) -> Metric | None:
    """The metric of a series, its name and label values; None of another version of this list."""
    metric = METRICS.get(series[0])
    if metric is None or (len(metric.labels) + 1, metric.cells) != (len(series), cells):
        return None
    return metric


SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
_BUDGET: Final = ("scope", "tenant", "meter", "per", "mode")
_GUARDED: Final = ("route", "bucket")
SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)

METRICS: Final[Mapping[str, Metric]] = {
    "gateway_requests_total": Metric(
        "counter",
        "Requests by how they ended: replied, denied (with the error's code) or dropped.",
        ("route", "tenant", "stream", "outcome", "code"),
    ),
    "gateway_request_duration_seconds": Metric(
        "histogram", "From admitted to the last byte.", ("route", "stream"), SECONDS
    ),
    "gateway_time_to_first_token_seconds": Metric(
        "histogram",
        "From admitted to the first token that a stream's client gets. judged is no, early (it "
        "flows since its checks are decided), whole (it was held until then) or cached.",
        ("model", "provider", "route", "judged"),
        SECONDS,
    ),
    "gateway_answers_total": Metric(
        "counter",
        "Answers that were judged or compared, by why they were given: passed, agreed, lone_vote, "
        "best_effort (none passed), cached, or what kept a better one from being asked for.",
        ("route", "tier", "reason"),
    ),
    "gateway_overhead_seconds": Metric(
        "histogram",
        "The gateway's own part of a replied request: everything but waiting for providers.",
        (),
        SHORT,
    ),
    "gateway_inflight_requests": Metric("gauge", "Requests being served.", across="live_sum"),
    "gateway_upstream_attempts_total": Metric(
        "counter",
        "Calls to providers by how they ended: ok, cut (it failed a check), outrun (another was "
        "faster), dropped (its client left), or the error's kind.",
        ("provider", "model", "tier", "purpose", "outcome"),
    ),
    "gateway_upstream_duration_seconds": Metric(
        "histogram",
        "One call to a provider, from sent to its last byte.",
        ("provider", "model"),
        SECONDS,
    ),
    "gateway_tokens_total": Metric(
        "counter",
        "Tokens paid for. cached_input and cache_write are parts of input, reasoning of output.",
        ("provider", "model", "type"),
    ),
    "gateway_cost_usd_total": Metric(
        "counter",
        "What calls cost, by why they were made.",
        ("tenant", "model", "tier", "purpose"),
    ),
    "gateway_counted_settles_total": Metric(
        "counter",
        "Calls charged by our own count, since the provider told no usage.",
        ("provider", "model"),
    ),
    "gateway_escalations_total": Metric(
        "counter",
        "Poor answers that led to a better tier, by the check that failed.",
        ("from_tier", "to_tier", "reason"),
    ),
    "gateway_fallbacks_total": Metric(
        "counter",
        "Failed calls, and refusals of a model, that led to another candidate of the tier, by the "
        "error's kind or the check.",
        ("from_model", "to_model", "reason"),
    ),
    "gateway_check_verdicts_total": Metric(
        "counter", "Answers that passed or failed each check.", ("check", "verdict")
    ),
    "gateway_tag_cost_usd_total": Metric(
        "counter",
        "What calls cost, by each configured tag that lists its values.",
        ("tenant", "tag", "value"),
    ),
    "gateway_tag_tokens_total": Metric(
        "counter",
        "Tokens paid for, input or output, by each of these tags.",
        ("tenant", "tag", "value", "type"),
    ),
    "gateway_budget_limit": Metric(
        "gauge",
        "The cap of a tenant's or an organisation's own budget, in its unit: usd is US dollars.",
        _BUDGET,
        across="latest",
    ),
    "gateway_budget_spent": Metric(
        "gauge", "Spent of it in this period.", _BUDGET, across="latest"
    ),
    "gateway_budget_held": Metric(
        "gauge", "Held of it for calls in flight.", _BUDGET, across="latest"
    ),
    "gateway_budget_decisions_total": Metric(
        "counter",
        "Holds the ledger granted or refused, by the scope and unit of what refused.",
        ("tenant", "decision", "scope", "meter"),
    ),
    "gateway_budget_warnings_total": Metric(
        "counter",
        "Budgets that came to 80 or 100 percent of their cap, once in a period.",
        ("tenant", "scope", "meter", "mode", "percent"),
    ),
    "gateway_budget_shadow_refusals_total": Metric(
        "counter",
        "Holds that a budget in shadow mode would have refused.",
        ("tenant", "scope", "meter"),
    ),
    "gateway_budget_overrun_usd_total": Metric(
        "counter", "What bills exceeded their holds by.", ("tenant",)
    ),
    "gateway_budget_overruns_total": Metric(
        "counter", "Calls whose bill exceeded their hold.", ("tenant",)
    ),
    "gateway_alerts_total": Metric(
        "counter", "Warnings to the webhook: sent, failed, or dropped.", ("outcome",)
    ),
    "gateway_holds_open": Metric(
        "gauge", "Holds neither settled nor expired.", ("tenant",), across="latest"
    ),
    "gateway_holds_expired_total": Metric(
        "counter", "Holds nobody settled in time; they were charged in full.", ("tenant",)
    ),
    "gateway_holds_expired_usd_total": Metric("counter", "What was charged for them.", ("tenant",)),
    "gateway_ledger_duration_seconds": Metric("histogram", "One ledger operation.", ("op",), SHORT),
    "gateway_ledger_errors_total": Metric(
        "counter", "Ledger operations that failed.", ("op", "kind")
    ),
    "gateway_usage_records_total": Metric(
        "counter",
        "Records of calls that were written on to where usage is kept, or dropped before.",
        ("tenant", "outcome"),
    ),
    "gateway_usage_sink_errors_total": Metric(
        "counter", "Times that where usage is kept took nothing; it is tried again.", ("kind",)
    ),
    "gateway_cache_requests_total": Metric(
        "counter",
        "Requests to routes that keep answers: hit, miss, bypass (it was not looked), error.",
        ("route", "tenant", "outcome"),
    ),
    "gateway_cache_saved_usd_total": Metric(
        "counter",
        "What kept answers cost when they were made, once for each time they were given again.",
        ("route", "tenant", "tier"),
    ),
    "gateway_audits_total": Metric(
        "counter",
        "Answers that were followed by a guard's audit or a shadow, and what came of it; crowded: "
        "too many went on already.",
        ("route", "kind", "outcome"),
    ),
    "gateway_guard_state": Metric(
        "gauge",
        "Whether the cheap tier may answer: 0 off, 1 learning, 2 on. Of all replicas.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_agreement_rate": Metric(
        "gauge",
        "Of the answers that were compared, how many meant what the smart tier says.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_agreement_lower_bound": Metric(
        "gauge",
        "What that rate is at least, with 95 % confidence: what is held against the threshold.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_audits": Metric(
        "gauge", "How often both were asked so far.", _GUARDED, across="latest"
    ),
    "gateway_guard_spent_usd": Metric(
        "gauge",
        "What was spent so far: by requests and their audits (all), by audits alone (audit).",
        (*_GUARDED, "part"),
        across="latest",
    ),
    "gateway_config_reloads_total": Metric(
        "counter",
        "Times the files were read again: changed, unchanged or refused.",
        ("result",),
    ),
    "gateway_config_reload_failed": Metric(
        "gauge", "1 while the files have faults and an older one is served.", across="live_worst"
    ),
    "gateway_config_hash": Metric(
        "gauge",
        "Which configuration is served: the first 48 bits of its files' SHA-256, as a number.",
        across="latest",
    ),
    "gateway_config_loaded_timestamp_seconds": Metric(
        "gauge", "When it was read, in seconds since 1970.", across="latest"
    ),
    "gateway_circuit_state": Metric(
        "gauge", "0 closed, 1 half open, 2 open.", ("deployment",), across="live_worst"
    ),
}

PROCESS_METRICS: Final[Mapping[str, Metric]] = {
    "process_cpu_seconds_total": Metric("counter", "CPU time of all our processes."),
    "process_resident_memory_bytes": Metric("gauge", "Memory of all our processes."),
    "process_start_time_seconds": Metric("gauge", "When we started, in seconds since 1970."),
    "process_open_fds": Metric("gauge", "Open files and sockets of the process with the most."),
    "process_max_fds": Metric("gauge", "How many each process may have open."),
}
"""Read when asked for, from /proc."""
