"""What each tenant spends, and of which budget."""

from typing import Final

from tests.dashboards.panels import BUDGET, COST, TENANT, USED, Board, Panel, Row, part, rate

TENANTS: Final = Board(
    "tenants",
    "tenants",
    "What each tenant spends, on what, of which budget, and how long that lasts.",
    (
        Row(
            "Spending",
            (
                Panel(
                    "By tenant",
                    "US dollars an hour, at the rate of now.",
                    "currencyUSD",
                    ((f"{rate(COST, TENANT, 'tenant')} * 3600", "{{tenant}}"),),
                    stacked=True,
                ),
                Panel(
                    "By purpose",
                    "US dollars an hour, by why calls were made: the answer, climbing, votes, "
                    "audits, retries, answers nobody waited for.",
                    "currencyUSD",
                    ((f"{rate(COST, TENANT, 'purpose')} * 3600", "{{purpose}}"),),
                    stacked=True,
                ),
                Panel(
                    "By model",
                    "US dollars an hour, by the model that was called.",
                    "currencyUSD",
                    ((f"{rate(COST, TENANT, 'model')} * 3600", "{{model}}"),),
                    stacked=True,
                ),
                Panel(
                    "Cost of a request",
                    "US dollars for one request that ended, all its calls together.",
                    "currencyUSD",
                    (
                        (
                            part(
                                rate(COST, TENANT, "tenant"),
                                rate("gateway_requests_total", TENANT, "tenant"),
                            ),
                            "{{tenant}}",
                        ),
                    ),
                ),
                Panel(
                    "By tag",
                    "US dollars an hour, by the configured tags that list their values.",
                    "currencyUSD",
                    (
                        (
                            f"{rate('gateway_tag_cost_usd_total', TENANT, 'tag, value')} * 3600",
                            "{{tag}}={{value}}",
                        ),
                    ),
                ),
                Panel(
                    "Cached answers",
                    "US dollars an hour that answers cost when they were made which were given "
                    "again for nothing.",
                    "currencyUSD",
                    (
                        (
                            f"{rate('gateway_cache_saved_usd_total', TENANT, 'tenant')} * 3600",
                            "{{tenant}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Budgets",
            (
                Panel(
                    "Used",
                    "What is spent, and held for calls under way, of each cap.",
                    "percentunit",
                    ((USED, BUDGET),),
                ),
                Panel(
                    "Left in dollars",
                    "What is left of each cap in US dollars.",
                    "currencyUSD",
                    (
                        (
                            (
                                f'gateway_budget_limit{{meter="usd",{TENANT}}} - '
                                "gateway_budget_spent - gateway_budget_held"
                            ),
                            "{{tenant}} per {{per}} ({{mode}})",
                        ),
                    ),
                    below_0=True,
                ),
                Panel(
                    "Runs out in",
                    "When budgets will be spent if their period goes on as it did so far. Those "
                    "that last to its end are not shown.",
                    "s",
                    (
                        (
                            (
                                "(gateway_budget_projected_exhaustion_timestamp_seconds"
                                f"{{{TENANT}}} < +Inf) - time()"
                            ),
                            BUDGET,
                        ),
                    ),
                    below_0=True,
                ),
                Panel(
                    "Decisions",
                    "Holds that the ledger granted, or refused and for whose budget.",
                    "ops",
                    (
                        (
                            rate("gateway_budget_decisions_total", TENANT, "decision, scope"),
                            "{{decision}} {{scope}}",
                        ),
                    ),
                ),
                Panel(
                    "Warnings",
                    "Budgets that came to 80 or 100 percent of their cap in the last hour.",
                    "short",
                    (
                        (
                            (
                                "sum by (tenant, scope, percent) "
                                f"(increase(gateway_budget_warnings_total{{{TENANT}}}[1h]))"
                            ),
                            "{{tenant}} {{scope}} {{percent}} %",
                        ),
                    ),
                ),
                Panel(
                    "Requests",
                    "Requests that came to an end.",
                    "reqps",
                    ((rate("gateway_requests_total", TENANT, "tenant"), "{{tenant}}"),),
                    stacked=True,
                ),
            ),
        ),
    ),
)
