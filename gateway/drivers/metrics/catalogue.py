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
        "histogram", "From admitted to the last byte.", ("route", "stream"), SECONDS
    ),
    "gateway_time_to_first_token_seconds": Metric(
        "histogram",
        "From admitted to the first token that a stream's client gets. judged is no, early (it "
        "flows since its checks are decided), whole (it was held until then) or cached.",
        ("model", "provider", "route", "judged"),
        SECONDS,
    ),
    "gateway_time_per_output_token_seconds": Metric(
        "histogram",
        "Of streams that flow as they come: from the first token to the last, for each but the "
        "first.",
        ("model", "provider"),
        A_TOKEN,
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
        "faster), dropped (its client left), shutting_down (we ended it), or the error's kind.",
        ("provider", "model", "tier", "purpose", "outcome"),
    ),
    "gateway_upstream_duration_seconds": Metric(
        "histogram",
        "One call to a provider, from sent to its last byte.",
        ("provider", "model"),
        SECONDS,
    ),
    "gateway_circuit_state": Metric(
        "gauge", "0 closed, 1 half open, 2 open.", ("deployment",), across="live_worst"
    ),
    "gateway_retry_budget_retries": Metric(
        "gauge",
        "How many more calls may be made now in place of failed ones. Read every two seconds.",
        across="live_sum",
    ),
    "gateway_fallbacks_total": Metric(
        "counter",
        "Failed calls, and refusals of a model, that led to another candidate of the tier, by the "
        "error's kind or the check.",
        ("from_model", "to_model", "reason"),
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
    "gateway_counted_settles_total": Metric(
        "counter",
        "Calls charged by our own count, since the provider told no usage.",
        ("provider", "model"),
    ),
    "gateway_always_smart_cost_usd_total": Metric(
        "counter",
        "Of routes with several tiers: what their answers would have cost, had the first model of "
        "the last tier given them with the same tokens. Cached answers are left out.",
        ("tenant", "route"),
    ),
    "gateway_always_smart_actual_usd_total": Metric(
        "counter",
        "What the same answers did cost, with every call made for them and every audit: the "
        "difference is what climbing saved, or, below 0, lost.",
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
        "What became of votes: agreed, lone_vote (one came, and was given), a call to arbitrate "
        "between them was made (arbitrated), or one was made as they could not be compared.",
        ("route", "result"),
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
}
_BESIDE: Final[Mapping[str, Metric]] = {
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
    "gateway_build_info": Metric(
        "gauge", "1, with what is running as labels.", ("version", "python"), across="live_worst"
    ),
}
METRICS: Final[Mapping[str, Metric]] = {**_REQUESTS, **BUDGETS_AND_LEDGER, **_BESIDE}

PROCESS_METRICS: Final[Mapping[str, Metric]] = {
    "process_cpu_seconds_total": Metric("counter", "CPU time of all our processes."),
    "process_resident_memory_bytes": Metric("gauge", "Memory of all our processes."),
    "process_start_time_seconds": Metric("gauge", "When we started, in seconds since 1970."),
    "process_open_fds": Metric("gauge", "Open files and sockets of the process with the most."),
    "process_max_fds": Metric("gauge", "How many each process may have open."),
}
"""Read when asked for, from /proc."""
