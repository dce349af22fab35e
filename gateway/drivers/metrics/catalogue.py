"""Every metric: its name, its kind, and what it says.

Label values come from the configuration, or are an error's code, so that no client can mint a
series. Key, user and request id are never labels.
"""

from collections.abc import Mapping
from typing import Final

from gateway.drivers.metrics.cells import Series
from gateway.drivers.metrics.money import BUDGETS_AND_LEDGER
from gateway.drivers.metrics.shape import A_TOKEN, SECONDS, SHORT, Metric


def series_of_record(record: Series, cells: int) -> list[tuple[Series, Metric]]:
    """The series that a record's cells count in: its name is one series, or several concatenated,
    where all but the first are counters. Empty if it was written by another version.
    """
    result: list[tuple[Series, Metric]] = []
    while record:
        metric = METRICS.get(record[0])
        size = 1 + len(metric.labels) if metric else 0
        if metric is None or size > len(record):
            return []
        if metric.cells != cells and not (result and metric.kind == "counter"):
            return []
        result.append((record[:size], metric))
        record = record[size:]
    return result


_GUARDED: Final = ("route", "bucket")

_REQUESTS: Final[Mapping[str, Metric]] = {
    "gateway_requests_total": Metric(
        "counter",
        "Requests by how they ended: replied, denied (with the error's code) or dropped.",
        ("route", "tenant", "stream", "outcome", "code"),
    ),
    "gateway_request_duration_seconds": Metric(
        "histogram", "From admission to the last byte.", ("route", "stream"), SECONDS
    ),
    "gateway_time_to_first_token_seconds": Metric(
        "histogram",
        (
            "From admission to the first token that a stream's client gets. judged: no, early (it "
            "flows once its checks are decided), whole (it was held until the end) or cached."
        ),
        ("model", "provider", "route", "judged"),
        SECONDS,
    ),
    "gateway_time_per_output_token_seconds": Metric(
        "histogram",
        (
            "For streams without checks: from the first token to the last, per token after the "
            "first."
        ),
        ("model", "provider"),
        A_TOKEN,
    ),
    "gateway_answers_total": Metric(
        "counter",
        (
            "Answers that were judged or compared, by the reason they were given: passed, agreed, "
            "lone_vote, best_effort (none passed), cached, or what prevented a call to a better "
            "tier."
        ),
        ("route", "tier", "reason"),
    ),
    "gateway_overhead_seconds": Metric(
        "histogram",
        "Time of a replied request in the gateway itself, without the wait for providers.",
        (),
        SHORT,
    ),
    "gateway_inflight_requests": Metric("gauge", "Requests in flight.", across="live_sum"),
    "gateway_upstream_attempts_total": Metric(
        "counter",
        (
            "Calls to providers by outcome: ok, cut (it failed a check), outrun (another was "
            "faster), dropped (the client disconnected), shutting_down (cut off by a shutdown), or "
            "the error's kind."
        ),
        ("provider", "model", "tier", "purpose", "outcome"),
    ),
    "gateway_upstream_duration_seconds": Metric(
        "histogram",
        "One call to a provider, from sending it to its last byte.",
        ("provider", "model"),
        SECONDS,
    ),
    "gateway_circuit_state": Metric(
        "gauge", "0 closed, 1 half open, 2 open.", ("deployment",), across="live_worst"
    ),
    "gateway_retry_budget_retries": Metric(
        "gauge",
        "Retries that the retry budget allows now. Updated every two seconds.",
        across="live_sum",
    ),
    "gateway_fallbacks_total": Metric(
        "counter",
        (
            "Failed calls and refusals by a model that led to another candidate of the tier, by "
            "the error's kind or the check."
        ),
        ("from_model", "to_model", "reason"),
    ),
    "gateway_tokens_total": Metric(
        "counter",
        (
            "Billed tokens. cached_input and cache_write are parts of input, reasoning is a part "
            "of output."
        ),
        ("provider", "model", "type"),
    ),
    "gateway_cost_usd_total": Metric(
        "counter",
        "Cost of calls, by purpose.",
        ("tenant", "model", "tier", "purpose"),
    ),
    "gateway_tag_cost_usd_total": Metric(
        "counter",
        "Cost of calls, by each configured tag that lists its values.",
        ("tenant", "tag", "value"),
    ),
    "gateway_tag_tokens_total": Metric(
        "counter",
        "Billed tokens, input or output, by each of these tags.",
        ("tenant", "tag", "value", "type"),
    ),
    "gateway_counted_settles_total": Metric(
        "counter",
        "Calls charged by the gateway's own count, since the provider reported no usage.",
        ("provider", "model"),
    ),
    "gateway_always_smart_cost_usd_total": Metric(
        "counter",
        (
            "For routes with several tiers: what their answers would have cost from the first "
            "model of the last tier, with the same tokens. Without cached answers."
        ),
        ("tenant", "route"),
    ),
    "gateway_always_smart_actual_usd_total": Metric(
        "counter",
        (
            "What the same answers did cost, with all their calls and audits. The difference is "
            "what escalation saved or, below 0, lost."
        ),
        ("tenant", "route"),
    ),
    "gateway_escalations_total": Metric(
        "counter",
        "Poor answers that led to a better tier, by the check that failed.",
        ("from_tier", "to_tier", "reason"),
    ),
    "gateway_check_verdicts_total": Metric(
        "counter", "Answers that passed or failed each check.", ("check", "verdict")
    ),
    "gateway_votes_total": Metric(
        "counter",
        (
            "Results of votes: agreed, lone_vote (only one came, and was given), arbitrated (a "
            "further call decided), incomparable (a further call was made, since they could not be "
            "compared)."
        ),
        ("route", "result"),
    ),
    "gateway_audits_total": Metric(
        "counter",
        "Audits of a guard and shadows, by outcome. crowded: too many were running already.",
        ("route", "kind", "outcome"),
    ),
    "gateway_guard_state": Metric(
        "gauge",
        "Whether the cheap tier may answer: 0 off, 1 learning, 2 on. Shared by all replicas.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_agreement_rate": Metric(
        "gauge",
        "The share of compared answers that agreed with the smart tier.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_agreement_lower_bound": Metric(
        "gauge",
        "Lower bound of that rate, with 95 % confidence: it is compared with the threshold.",
        _GUARDED,
        across="latest",
    ),
    "gateway_guard_audits": Metric("gauge", "Comparisons so far.", _GUARDED, across="latest"),
    "gateway_guard_spent_usd": Metric(
        "gauge",
        "Spending so far: on requests and their audits (all), on audits alone (audit).",
        (*_GUARDED, "part"),
        across="latest",
    ),
}
_BESIDE: Final[Mapping[str, Metric]] = {
    "gateway_usage_records_total": Metric(
        "counter",
        "Usage records that were written to the sink, or lost before.",
        ("tenant", "outcome"),
    ),
    "gateway_usage_sink_errors_total": Metric(
        "counter", "Failed writes to the usage sink. They are retried.", ("kind",)
    ),
    "gateway_cache_requests_total": Metric(
        "counter",
        "Requests to routes with a cache: hit, miss, bypass (no lookup), error.",
        ("route", "tenant", "outcome"),
    ),
    "gateway_cache_saved_usd_total": Metric(
        "counter",
        "Original cost of cached answers, once for each hit.",
        ("route", "tenant", "tier"),
    ),
    "gateway_config_reloads_total": Metric(
        "counter",
        "Reloads of the configuration: changed, unchanged or refused.",
        ("result",),
    ),
    "gateway_config_reload_failed": Metric(
        "gauge",
        "1 while the files have faults and an older configuration is in use.",
        across="live_worst",
    ),
    "gateway_config_hash": Metric(
        "gauge",
        "The configuration in use: the first 48 bits of its files' SHA-256, as a number.",
        across="latest",
    ),
    "gateway_config_loaded_timestamp_seconds": Metric(
        "gauge", "When it was loaded, in seconds since 1970.", across="latest"
    ),
    "gateway_build_info": Metric(
        "gauge",
        "1, with the running version as labels.",
        ("version", "python"),
        across="live_worst",
    ),
}
METRICS: Final[Mapping[str, Metric]] = {**_REQUESTS, **BUDGETS_AND_LEDGER, **_BESIDE}

PROCESS_METRICS: Final[Mapping[str, Metric]] = {
    "process_cpu_seconds_total": Metric("counter", "CPU time of all processes of this gateway."),
    "process_resident_memory_bytes": Metric("gauge", "Memory of all processes of this gateway."),
    "process_start_time_seconds": Metric(
        "gauge", "When the gateway started, in seconds since 1970."
    ),
    "process_open_fds": Metric("gauge", "Open files and sockets of the process with the most."),
    "process_max_fds": Metric("gauge", "How many each process may have open."),
}
"""Read when asked for, from /proc."""
