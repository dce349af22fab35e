"""Who answers, and what climbing saves."""

from typing import Final

from tests.dashboards.panels import ALONE, COST, MIXED, Board, Panel, Row, part, rate

ROUTING: Final = Board(
    "routing",
    "routing",
    "Who answers, how often that is not good enough, and what climbing saves.",
    (
        Row(
            "Climbing",
            (
                Panel(
                    "Answers by tier",
                    "Which tier gave the answers that were judged, as a part of all of them.",
                    "percentunit",
                    (
                        (
                            (
                                "sum by (tier) (rate(gateway_answers_total[$__rate_interval])) / "
                                "ignoring (tier) group_left () "
                                f"({rate('gateway_answers_total')} > 0)"
                            ),
                            "{{tier}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Escalations",
                    "Poor answers that led to a better tier, by the check that failed.",
                    "reqps",
                    (
                        (
                            rate("gateway_escalations_total", by="from_tier, to_tier, reason"),
                            "{{from_tier}} to {{to_tier}}: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Answers by reason",
                    "Why judged answers were given: they passed, they agreed, or nothing better "
                    "came.",
                    "reqps",
                    ((rate("gateway_answers_total", by="reason"), "{{reason}}"),),
                ),
                Panel(
                    "Checks that failed",
                    "Of the answers that met a check: how many did not pass it.",
                    "percentunit",
                    (
                        (
                            part(
                                rate("gateway_check_verdicts_total", 'verdict="failed"', "check"),
                                rate("gateway_check_verdicts_total", by="check"),
                            ),
                            "{{check}}",
                        ),
                    ),
                ),
                Panel(
                    "Cost of climbing",
                    "The part of all spending that went into a better tier after a poor answer.",
                    "percentunit",
                    ((part(rate(COST, 'purpose="escalation"'), rate(COST)), "escalation"),),
                ),
                Panel(
                    "Saved against always smart",
                    "The part of what the last tier would have taken for the same answers. "
                    "Below 0 climbing costs more than it saves.",
                    "percentunit",
                    (
                        (
                            (
                                f"({rate(ALONE, by='route')} - {rate(MIXED, by='route')}) / "
                                f"({rate(ALONE, by='route')} > 0)"
                            ),
                            "{{route}}",
                        ),
                    ),
                    below_0=True,
                ),
            ),
        ),
        Row(
            "Votes and guards",
            (
                Panel(
                    "Votes",
                    "What became of votes: they agreed, one alone was given, or a better model "
                    "was asked to arbitrate.",
                    "reqps",
                    ((rate("gateway_votes_total", by="route, result"), "{{route}} {{result}}"),),
                ),
                Panel(
                    "Audits",
                    "Answers that were followed by a guard's audit or a shadow, and what came of "
                    "it.",
                    "reqps",
                    (
                        (
                            rate("gateway_audits_total", by="route, kind, outcome"),
                            "{{route}} {{kind}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Guards",
                    "0 off (the cheap tier does not answer), 1 learning, 2 on.",
                    "short",
                    (("max by (route, bucket) (gateway_guard_state)", "{{route}} {{bucket}}"),),
                ),
                Panel(
                    "Agreement",
                    "Of the answers that guards compared: how many meant what the smart tier says, "
                    "at least, with 95 % confidence.",
                    "percentunit",
                    (
                        (
                            "max by (route, bucket) (gateway_guard_agreement_lower_bound)",
                            "{{route}} {{bucket}}",
                        ),
                    ),
                ),
                Panel(
                    "Cost of audits",
                    "The part of all spending that went into audits and shadows.",
                    "percentunit",
                    ((part(rate(COST, 'purpose="audit"'), rate(COST)), "audit"),),
                ),
                Panel(
                    "Cache hits",
                    "Of the requests to routes that keep answers: how many were answered from "
                    "those.",
                    "percentunit",
                    (
                        (
                            part(
                                rate("gateway_cache_requests_total", 'outcome="hit"', "route"),
                                rate("gateway_cache_requests_total", by="route"),
                            ),
                            "{{route}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
