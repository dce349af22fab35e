"""What happens in a request's life, and what it changes."""

from typing import Final

from gateway.core import events
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from tests.drivers.metric_series import (
    AT,
    CLIMBING,
    COST,
    FIVE,
    FOR,
    STREAMED,
    TAGGED,
    WHO,
    by_tag,
    climbed,
    decided,
    ended,
    first_token,
    given,
    of_call,
    one,
    settled,
    tokens,
)

LIVES: Final[dict[str, tuple[events.Event, dict[str, float]]]] = {
    "began": (events.Began(WHO), {"gateway_inflight_requests": 1}),
    "planned": (events.Planned(WHO, 2, 1), {}),
    "reserved": (
        events.Reserved(WHO, "h", Nanos(5), None),
        {decided("granted", "none", "none"): 1},
    ),
    "refused": (events.HoldRefused(WHO, "user"), {decided("refused", "user", "usd"): 1}),
    "refused a rate": (
        events.HoldRefused(WHO, "model", "tokens"),
        {decided("refused", "model", "tokens"): 1},
    ),
    "judged": (
        events.Judged(WHO, "small", "cheap", ("complete", "sql"), ("sql",)),
        {
            'gateway_check_verdicts_total{check="complete",verdict="passed"}': 1,
            'gateway_check_verdicts_total{check="sql",verdict="failed"}': 1,
        },
    ),
    "escalated": (
        events.Escalated(WHO, "cheap", "smart", "sql"),
        {'gateway_escalations_total{from_tier="cheap",reason="sql",to_tier="smart"}': 1},
    ),
    "fell_back": (
        events.FellBack(WHO, "small", "other", "reset"),
        {'gateway_fallbacks_total{from_model="small",reason="reset",to_model="other"}': 1},
    ),
    "settled": (
        settled(1000, Usage(prompt=70, completion=20)),
        {COST: 1e-6, tokens("input"): 70, tokens("output"): 20, **of_call(1.0)},
    ),
    "settled_over_its_hold": (
        settled(1500, FIVE),
        {
            COST: 1.5e-6,
            **of_call(1.5),
            tokens("input"): 70,
            tokens("output"): 20,
            tokens("cached_input"): 5,
            tokens("cache_write"): 3,
            tokens("reasoning"): 2,
            'gateway_budget_overrun_usd_total{tenant="acme"}': 5e-7,
            'gateway_budget_overruns_total{tenant="acme"}': 1,
        },
    ),
    "settled_for_a_vote": (
        settled(1000, Usage(prompt=70, completion=20), purpose="vote"),
        {
            COST.replace("answer", "vote"): 1e-6,
            tokens("input"): 70,
            tokens("output"): 20,
            **of_call(1.0, "vote"),
        },
    ),
    "settled_by_our_count": (
        settled(0, Usage(), counted=True),
        {f"gateway_counted_settles_total{AT}": 1, **of_call(0)},
    ),
    "replied": (
        events.Replied(WHO, "sim", "small", "cheap", "passed", 0.75, 0.5, None),
        {
            "gateway_inflight_requests": -1,
            ended("replied"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR),
            **one("gateway_overhead_seconds", 0.25),
            given("passed"): 1,
        },
    ),
    **{
        f"replied_{reason}": (
            events.Replied(WHO, "sim", "small", "cheap", reason, 0.75, 0.75, None),
            {
                "gateway_inflight_requests": -1,
                ended("replied"): 1,
                **one("gateway_request_duration_seconds", 0.75, FOR),
                "gateway_overhead_seconds_count": 1,
                given(reason): 1,
                f'gateway_votes_total{{result="{reason}",route="auto"}}': 1,
            },
        )
        for reason in ("agreed", "lone_vote")
    },
    "arbitrated": (
        settled(0, Usage(), purpose="arbitration", why="incomparable"),
        {
            **of_call(0, "arbitration"),
            'gateway_votes_total{result="arbitrated",route="auto"}': 1,
            'gateway_votes_total{result="incomparable",route="auto"}': 1,
        },
    ),
    "replied_by_a_cheap_tier": (
        events.Replied(
            CLIMBING, "sim", "small", "cheap", "unjudged", 0.75, 0.75, None, Usage(70, 20), Nanos(9)
        ),
        {
            "gateway_inflight_requests": -1,
            ended("replied").replace("auto", "climbing"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR.replace("auto", "climbing")),
            "gateway_overhead_seconds_count": 1,
            climbed("cost"): (70 * 3 + 20 * 15) * 1e-9,
            climbed("actual"): 9e-9,
        },
    ),
    "audited": (
        settled(1000, Usage(70, 20), CLIMBING, purpose="audit"),
        {
            COST.replace("answer", "audit"): 1e-6,
            tokens("input"): 70,
            tokens("output"): 20,
            **of_call(1.0, "audit"),
            climbed("actual"): 1e-6,
        },
    ),
    "streamed_tokens": (
        events.Replied(
            STREAMED, "sim", "small", "cheap", "unjudged", 0.75, 1.5, 0.25, Usage(70, 11)
        ),
        {
            "gateway_inflight_requests": -1,
            ended("replied", stream="true"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR.replace("false", "true")),
            "gateway_overhead_seconds_count": 1,
            **one("gateway_time_to_first_token_seconds", 0.25, first_token("no")),
            **one("gateway_time_per_output_token_seconds", 0.05, AT),
        },
    ),
    "replied_unjudged": (
        events.Replied(WHO, "sim", "small", "cheap", "unjudged", 0.75, 0.5, None),
        {
            "gateway_inflight_requests": -1,
            ended("replied"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR),
            **one("gateway_overhead_seconds", 0.25),
        },
    ),
    **{
        f"streamed_{judged}_{reason}": (
            events.Replied(STREAMED, "sim", "small", "cheap", reason, 0.75, 1.5, first),
            {
                "gateway_inflight_requests": -1,
                ended("replied", stream="true"): 1,
                **one("gateway_request_duration_seconds", 0.75, FOR.replace("false", "true")),
                "gateway_overhead_seconds_count": 1,
                **one("gateway_time_to_first_token_seconds", seconds, first_token(judged)),
                **({} if reason == "unjudged" else {given(reason): 1}),
            },
        )
        for judged, reason, first, seconds in (
            ("no", "unjudged", 0.125, 0.125),
            ("early", "passed", 0.125, 0.125),
            ("whole", "best_effort", None, 0.75),
            ("whole", "unjudged", None, 0.75),  # who was to judge it gave no verdict
            ("cached", "cached", None, 0.75),
        )
    },
    "denied": (
        events.Denied(WHO, "budget_exceeded", 429, 0.25),
        {
            "gateway_inflight_requests": -1,
            ended("denied", "budget_exceeded"): 1,
            **one("gateway_request_duration_seconds", 0.25, FOR),
        },
    ),
    "dropped": (
        events.Dropped(WHO, 0.25),
        {
            "gateway_inflight_requests": -1,
            ended("dropped"): 1,
            **one("gateway_request_duration_seconds", 0.25, FOR),
        },
    ),
    "settled_with_tags": (
        settled(1000, Usage(prompt=70, completion=20), TAGGED),
        {
            COST: 1e-6,
            **of_call(1.0),
            tokens("input"): 70,
            tokens("output"): 20,
            by_tag("cost_usd", "use_case", "rag"): 1e-6,
            by_tag("cost_usd", "team", ""): 1e-6,
            by_tag("tokens", "use_case", "rag", ',type="input"'): 70,
            by_tag("tokens", "team", "", ',type="input"'): 70,
            by_tag("tokens", "use_case", "rag", ',type="output"'): 20,
            by_tag("tokens", "team", "", ',type="output"'): 20,
        },
    ),
}
