"""How providers do."""

from typing import Final

from tests.dashboards.panels import FAILED, Board, Panel, Row, part, quantiles, rate

UPSTREAMS: Final = Board(
    "upstreams",
    "upstreams",
    "How providers do: their failures, their speed, and what is done about them.",
    (
        Row(
            "Failures",
            (
                Panel(
                    "Calls by outcome",
                    "Calls to providers by how they ended: ok, or the kind of failure.",
                    "reqps",
                    (
                        (
                            rate("gateway_upstream_attempts_total", by="provider, outcome"),
                            "{{provider}} {{outcome}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Failed calls",
                    "The part of calls that failed by their provider's fault, by kind.",
                    "percentunit",
                    (
                        (
                            (
                                "sum by (provider, outcome) (rate(gateway_upstream_attempts_total"
                                f"{{{FAILED}}}[$__rate_interval])) / on (provider) group_left () "
                                f"({rate('gateway_upstream_attempts_total', by='provider')} > 0)"
                            ),
                            "{{provider}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Circuits",
                    "Whether a deployment is asked: open circuits are not.",
                    "short",
                    (("max by (deployment) (gateway_circuit_state)", "{{deployment}}"),),
                    kind="state-timeline",
                ),
                Panel(
                    "Fallbacks",
                    "Calls to another candidate of the tier after one that failed, and why.",
                    "reqps",
                    (
                        (
                            rate("gateway_fallbacks_total", by="from_model, to_model, reason"),
                            "{{from_model}} to {{to_model}}: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Retries that can be afforded",
                    "So many more calls may be made now in place of failed ones: a fifth of recent "
                    "requests, and a few.",
                    "short",
                    (("sum by (instance) (gateway_retry_budget_retries)", "{{instance}}"),),
                ),
                Panel(
                    "Counted by us",
                    "The part of calls whose provider told no usage, so that we had to count.",
                    "percentunit",
                    (
                        (
                            part(
                                rate("gateway_counted_settles_total", by="provider"),
                                rate("gateway_upstream_attempts_total", by="provider"),
                            ),
                            "{{provider}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Speed",
            (
                Panel(
                    "Duration of calls",
                    "From sent to the last byte.",
                    "s",
                    quantiles("gateway_upstream_duration_seconds", 0.95, by="provider"),
                ),
                Panel(
                    "Time to first token",
                    "Of streams, by the model that answered.",
                    "s",
                    quantiles("gateway_time_to_first_token_seconds", 0.95, by="model"),
                ),
                Panel(
                    "Time per output token",
                    "Of streams that flow as they come: from one token to the next.",
                    "s",
                    quantiles("gateway_time_per_output_token_seconds", 0.5, by="model"),
                ),
                Panel(
                    "Tokens paid for",
                    "Tokens a second. cached_input and cache_write are parts of input, reasoning "
                    "of output.",
                    "short",
                    ((rate("gateway_tokens_total", by="type"), "{{type}}"),),
                    width=12,
                ),
                Panel(
                    "Calls by provider",
                    "Calls to each provider.",
                    "reqps",
                    ((rate("gateway_upstream_attempts_total", by="provider"), "{{provider}}"),),
                    stacked=True,
                    width=12,
                ),
            ),
        ),
    ),
)
