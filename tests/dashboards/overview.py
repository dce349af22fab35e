"""Whether requests go well, what they cost, who answers."""

from typing import Final

from tests.dashboards.panels import (
    ALONE,
    COST,
    FAILED,
    MIXED,
    REPLIED,
    REQUESTS,
    TENANT,
    Board,
    Panel,
    Row,
    or_0,
    part,
    quantiles,
    rate,
)

OVERVIEW: Final = Board(
    "overview",
    "overview",
    "Whether requests go well, what they cost, and who answers them.",
    (
        Row(
            "Health",
            (
                Panel(
                    "Requests",
                    "Requests that came to an end: replied, denied (by us, or by every provider) "
                    "or dropped (the client went away).",
                    "reqps",
                    ((rate("gateway_requests_total", TENANT, "outcome"), "{{outcome}}"),),
                    stacked=True,
                ),
                Panel(
                    "Not answered",
                    "The part of requests that was denied, by the code its client got.",
                    "percentunit",
                    (
                        (
                            (
                                "sum by (code) (rate(gateway_requests_total"
                                f'{{{TENANT},outcome="denied"}}[$__rate_interval])) '
                                f"/ ignoring (code) group_left () ({REQUESTS} > 0)"
                            ),
                            "{{code}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "In flight",
                    "Requests being served now.",
                    "short",
                    (("sum(gateway_inflight_requests)", "requests"),),
                ),
                Panel(
                    "Duration",
                    "From admitted to the last byte.",
                    "s",
                    quantiles("gateway_request_duration_seconds", 0.5, 0.95, 0.99),
                ),
                Panel(
                    "Time to first token",
                    "Of streams: how long their clients wait for the first word.",
                    "s",
                    quantiles("gateway_time_to_first_token_seconds", 0.5, 0.95),
                ),
                Panel(
                    "Our own time",
                    "What a request spends in the gateway itself, without waiting for providers.",
                    "s",
                    quantiles("gateway_overhead_seconds", 0.5, 0.95, 0.99),
                ),
            ),
        ),
        Row(
            "Money",
            (
                Panel(
                    "Spending by tenant",
                    "US dollars an hour, at the rate of now.",
                    "currencyUSD",
                    ((f"{rate(COST, TENANT, 'tenant')} * 3600", "{{tenant}}"),),
                    stacked=True,
                ),
                Panel(
                    "Spending by tier",
                    "US dollars an hour, by the tier of the model that was called.",
                    "currencyUSD",
                    ((f"{rate(COST, TENANT, 'tier')} * 3600", "{{tier}}"),),
                    stacked=True,
                ),
                Panel(
                    "Saved against always smart",
                    "US dollars an hour: what the last tier would have taken for the same answers, "
                    "less what was spent on them. Below 0 climbing costs more than it saves.",
                    "currencyUSD",
                    (
                        (
                            (
                                f"({rate(ALONE, TENANT, 'route')} - "
                                f"{rate(MIXED, TENANT, 'route')}) * 3600"
                            ),
                            "{{route}}",
                        ),
                    ),
                    below_0=True,
                ),
            ),
        ),
        Row(
            "Routing",
            (
                Panel(
                    "Calls by tier",
                    "Calls to providers, by tier.",
                    "reqps",
                    ((rate("gateway_upstream_attempts_total", by="tier"), "{{tier}}"),),
                    stacked=True,
                ),
                Panel(
                    "Escalations of an answer",
                    "Of the requests that were answered: how many poor answers led to a better "
                    "tier.",
                    "percentunit",
                    (
                        (
                            part(rate("gateway_escalations_total"), REPLIED),
                            "escalations",
                        ),
                    ),
                ),
                Panel(
                    "Failed calls",
                    "The part of calls that failed by their provider's fault.",
                    "percentunit",
                    (
                        (
                            part(
                                or_0(
                                    rate("gateway_upstream_attempts_total", FAILED, "provider"),
                                    rate("gateway_upstream_attempts_total", by="provider"),
                                ),
                                rate("gateway_upstream_attempts_total", by="provider"),
                            ),
                            "{{provider}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
