"""What each event counts."""

from typing import Final, get_args

import pytest

from gateway.core import events
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.drivers.metric_catalogue import METRICS
from gateway.drivers.prometheus import Metrics

WHO: Final = events.About("r1", "acme", "auto", stream=False)
STREAMED: Final = events.About("r1", "acme", "auto", stream=True)
FIVE: Final = Usage(prompt=70, completion=20, cached=5, cache_write=3, reasoning=2)


def settled(cost: int, usage: Usage, *, counted: bool = False) -> events.Settled:
    return events.Settled(
        WHO, "h", "sim", "small", "cheap", "answer", Nanos(1000), Nanos(cost), usage, counted
    )


def ended(outcome: str, code: str = "", stream: str = "false") -> str:
    labels = f'code="{code}",outcome="{outcome}",route="auto",stream="{stream}",tenant="acme"'
    return f"gateway_requests_total{{{labels}}}"


def one(name: str, seconds: float, labels: str = "") -> dict[str, float]:
    return {f"{name}_sum{labels}": seconds, f"{name}_count{labels}": 1}


CALL = 'model="small",outcome="ok",provider="sim",purpose="answer",tier="cheap"'
COST = 'gateway_cost_usd_total{model="small",purpose="answer",tenant="acme",tier="cheap"}'
FOR = '{route="auto",stream="false"}'
AT = '{model="small",provider="sim"}'


def tokens(kind: str) -> str:
    return f'gateway_tokens_total{{model="small",provider="sim",type="{kind}"}}'


def decided(decision: str, scope: str) -> str:
    labels = f'decision="{decision}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_decisions_total{{{labels}}}"


def budget(name: str) -> str:
    return f'gateway_budget_{name}_usd{{period="day",tenant="acme"}}'


# what happens, and what it changes
COUNTED: Final[dict[str, tuple[events.Event, dict[str, float]]]] = {
    "began": (events.Began(WHO), {"gateway_inflight_requests": 1}),
    "planned": (events.Planned(WHO, 2, 1), {}),
    "reserved": (events.Reserved(WHO, "h", Nanos(5), None), {decided("granted", "none"): 1}),
    "refused": (events.Refused(WHO, "user"), {decided("refused", "user"): 1}),
    "attempted": (
        events.Attempted(WHO, "sim", "small", "cheap", "answer", "ok", 0.5, None),
        {
            f"gateway_upstream_attempts_total{{{CALL}}}": 1,
            **one("gateway_upstream_duration_seconds", 0.5, AT),
        },
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
        {COST: 1e-6, tokens("input"): 70, tokens("output"): 20},
    ),
    "settled_over_its_hold": (
        settled(1500, FIVE),
        {
            COST: 1.5e-6,
            tokens("input"): 70,
            tokens("output"): 20,
            tokens("cached_input"): 5,
            tokens("cache_write"): 3,
            tokens("reasoning"): 2,
            'gateway_budget_overrun_usd_total{tenant="acme"}': 5e-7,
        },
    ),
    "settled_by_our_count": (
        settled(0, Usage(), counted=True),
        {f"gateway_counted_settles_total{AT}": 1},
    ),
    "replied": (
        events.Replied(WHO, "sim", "small", "cheap", "passed", 0.75, 0.5, None),
        {
            "gateway_inflight_requests": -1,
            ended("replied"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR),
            **one("gateway_overhead_seconds", 0.25),
        },
    ),
    "replied_flowing": (
        events.Replied(STREAMED, "sim", "small", "cheap", "passed", 0.75, 1.5, 0.125),
        {
            "gateway_inflight_requests": -1,
            ended("replied", stream="true"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR.replace("false", "true")),
            "gateway_overhead_seconds_count": 1,
            **one("gateway_time_to_first_token_seconds", 0.125, AT),
        },
    ),
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
    "circuit_opened": (
        events.CircuitMoved("small@sim", "open"),
        {'gateway_circuit_state{deployment="small@sim"}': 2},
    ),
    "ledger_failed": (
        events.LedgerTook("settle", 0.25, "timeout"),
        {
            **one("gateway_ledger_duration_seconds", 0.25, '{op="settle"}'),
            'gateway_ledger_errors_total{kind="timeout",op="settle"}': 1,
        },
    ),
    "holds_expired": (
        events.HoldsExpired("acme", 3, Nanos(5)),
        {'gateway_holds_expired_total{tenant="acme"}': 3},
    ),
    "holds_read": (events.HoldsRead("acme", 4), {'gateway_holds_open{tenant="acme"}': 4}),
    "budget_read": (
        events.BudgetRead("acme", "day", Nanos(5 * 10**9), Nanos(2 * 10**9), Nanos(10**9)),
        {budget("limit"): 5, budget("spent"): 2, budget("held"): 1},
    ),
}


def samples(text: bytes) -> dict[str, float]:
    """The values of all lines but of buckets and of our processes."""
    lines = [line.rpartition(" ") for line in text.decode().splitlines() if line[0] != "#"]
    told = {name: float(value) for name, _, value in lines}
    assert len(told) == len(lines), "a series is told twice"
    return {
        name: value
        for name, value in told.items()
        if "_bucket" not in name and not name.startswith("process_")
    }


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}


@pytest.mark.parametrize(("event", "changes"), COUNTED.values(), ids=COUNTED)
def test_what_an_event_counts(event: events.Event, changes: dict[str, float]) -> None:
    metrics = Metrics(["acme"], ["small@sim"])
    before = samples(metrics.render())
    metrics.observe(event)
    once = samples(metrics.render())
    assert difference(before, once) == pytest.approx(changes)
    metrics.observe(event)
    read = isinstance(event, events.CircuitMoved | events.HoldsRead | events.BudgetRead)
    again = {} if read else changes
    assert difference(once, samples(metrics.render())) == pytest.approx(again)


def test_every_event_is_in_the_table() -> None:
    assert {type(event) for event, _ in COUNTED.values()} == set(get_args(events.Event))


def test_every_metric_is_in_the_table() -> None:
    moved = {name.partition("{")[0] for _, changes in COUNTED.values() for name in changes}
    assert {name.removesuffix("_sum").removesuffix("_count") for name in moved} == set(METRICS)


def test_what_may_never_happen_is_told_at_0() -> None:
    assert samples(Metrics(["acme"], ["small@sim"]).render()) == {
        "gateway_inflight_requests": 0,
        "gateway_overhead_seconds_count": 0,
        "gateway_overhead_seconds_sum": 0,
        decided("granted", "none"): 0,
        decided("refused", "tenant"): 0,
        'gateway_budget_overrun_usd_total{tenant="acme"}': 0,
        'gateway_holds_open{tenant="acme"}': 0,
        'gateway_holds_expired_total{tenant="acme"}': 0,
        'gateway_circuit_state{deployment="small@sim"}': 0,
    }
