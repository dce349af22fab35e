"""Circuits and the retry budget, by a clock moved by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.health import (
    FEWEST,
    LONGEST_OPEN_S,
    OPEN_S,
    PROBE_S,
    WINDOW,
    Circuit,
    Health,
    RetryBudget,
    State,
)


def failing(times: int, now: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(times):
        circuit.failed(now, None)
    return circuit


def test_a_few_failures_open_nothing() -> None:
    assert failing(FEWEST - 1).state(0) == "closed"
    assert failing(FEWEST).state(0) == "open"


def test_half_of_the_recent_calls_must_fail() -> None:
    circuit = Circuit()
    for _ in range(WINDOW):
        circuit.succeeded(0)
    for _ in range(WINDOW // 2 - 1):
        circuit.failed(0, None)
    assert circuit.state(0) == "closed"
    circuit.failed(0, None)
    assert circuit.state(0) == "open"


def test_one_probe_at_a_time_and_a_good_one_closes_it() -> None:
    circuit = failing(FEWEST)
    assert not circuit.admits(OPEN_S - 0.01)
    assert circuit.state(OPEN_S) == "half_open"
    assert circuit.admits(OPEN_S)
    circuit.probe(OPEN_S)
    assert not circuit.admits(OPEN_S + 1)
    circuit.succeeded(OPEN_S)
    assert circuit.state(OPEN_S + 1) == "closed"
    assert circuit.admits(OPEN_S + 1)
    circuit.failed(OPEN_S + 1, None)
    assert circuit.state(OPEN_S + 1) == "closed", "what was before is forgotten"


def test_a_probe_that_is_lost_does_not_keep_it_open_for_ever() -> None:
    circuit = failing(FEWEST)
    circuit.probe(OPEN_S)
    assert not circuit.admits(OPEN_S + PROBE_S - 0.01)
    assert circuit.admits(OPEN_S + PROBE_S)


def test_each_failed_probe_doubles_the_pause_up_to_a_bound() -> None:
    circuit, now, pauses = failing(FEWEST), 0.0, [OPEN_S]
    for _ in range(7):
        now += pauses[-1]
        assert circuit.state(now) == "half_open"
        circuit.probe(now)
        circuit.failed(now, None)
        pauses.append(circuit._until - now)
    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300]
    assert pauses[-1] == LONGEST_OPEN_S


def test_calls_that_fail_together_open_it_once() -> None:
    circuit = failing(50)
    assert circuit.state(OPEN_S) == "half_open"


def test_a_provider_that_says_when_to_come_back_is_believed() -> None:
    circuit = Circuit()
    circuit.failed(0, 2.0)
    assert circuit.state(1.99) == "open"
    assert circuit.state(2.0) == "half_open"
    circuit.failed(3.0, 86_400)
    assert circuit.state(3 + LONGEST_OPEN_S - 0.01) == "open"
    assert circuit.state(3 + LONGEST_OPEN_S) == "half_open"


@pytest.mark.parametrize("says", [None, 1.0])
def test_who_was_asked_as_a_last_resort_keeps_no_place_of_a_probe(says: float | None) -> None:
    health = Health(["a"])
    for _ in range(FEWEST):
        health.failed("a", 100.0, says)
    health.call_started("a", 100.5)  # nobody else was left
    health.failed("a", 100.6, says)
    health.succeeded("a", 100.7, 100.5)  # asked with it, before the last failure
    assert not health.down(100.6 + (says or OPEN_S))


@pytest.mark.parametrize("retry_after", [None, 60.0])
def test_a_call_from_before_closes_nothing(retry_after: float | None) -> None:
    """An answer that was coming when others began to fail."""
    health = Health(["a"])
    for _ in range(FEWEST):
        health.failed("a", 100.0, retry_after)
    until = 100.0 + (retry_after or OPEN_S)
    health.succeeded("a", 101.0, 99.0)
    assert health.down(101.0) == {"a"}
    health.succeeded("a", until + 1, 99.0)
    assert health.troubled == {"a"}, "it is half open still"
    health.call_started("a", until + 1)
    health.succeeded("a", until + 2, until + 1)
    assert not health.troubled


@given(st.lists(st.tuples(st.sampled_from("sfpr"), st.floats(0, 400)), max_size=60))
def test_a_circuit_always_closes_again(steps: list[tuple[str, float]]) -> None:
    circuit, now = Circuit(), 0.0
    for step, wait_s in steps:
        now += wait_s
        match step:
            case "s":
                circuit.succeeded(now)
            case "f":
                circuit.failed(now, None)
            case "r":
                circuit.failed(now, wait_s)
            case _:
                circuit.probe(now)
    assert circuit.admits(now + LONGEST_OPEN_S + PROBE_S), "no probe is let through any more"
    circuit.succeeded(now)
    assert circuit.state(now) == "closed"


def test_health_tells_each_move_once() -> None:
    moves: list[tuple[str, State]] = []
    health = Health(["a", "b"], lambda name, state: moves.append((name, state)))
    for _ in range(FEWEST + 3):
        health.failed("a", 0)
    assert health.down(1) == {"a"}
    assert health.down(OPEN_S) == set()
    health.call_started("a", OPEN_S)
    assert health.down(OPEN_S) == {"a"}, "somebody is probing"
    health.succeeded("a", OPEN_S + 1, OPEN_S + 1)
    assert health.down(OPEN_S + 1) == frozenset()
    assert moves == [("a", "open"), ("a", "half_open"), ("a", "closed")]


def test_a_failure_of_one_is_not_anothers() -> None:
    health = Health(["a", "b"])
    for _ in range(WINDOW):
        health.failed("a", 0)
        health.succeeded("b", 0, 0)
    assert health.down(0) == {"a"}


@given(st.lists(st.tuples(st.integers(0, 2 * WINDOW), st.integers(0, WINDOW)), max_size=6))
def test_what_health_does_not_look_at_changes_nothing(runs: list[tuple[int, int]]) -> None:
    """After many calls that succeeded, those that follow count as they always do."""
    health, alone = Health(["a"]), Circuit()
    for good, bad in runs:
        for _ in range(good):
            if "a" not in health.steady:
                health.succeeded("a", 0, 0)
            alone.succeeded(0)
        for _ in range(bad):
            health.failed("a", 0)
            alone.failed(0, None)
            assert bool(health.down(1)) is (alone.state(1) == "open")


def test_calls_to_a_deployment_that_is_another_count_from_the_first() -> None:
    health = Health(["a"])
    for _ in range(WINDOW):
        health.succeeded("a", 0, 0)
    health.reconfigure(["a"], {"a"})
    for _ in range(FEWEST + 1):
        health.succeeded("a", 0, 0)
    for _ in range(FEWEST):
        health.failed("a", 0)
    assert not health.down(1), "less than half have failed"


# Retries -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_retries_are_a_fifth_of_the_calls_and_ten(steps: list[tuple[bool, float]]) -> None:
    budget, now = RetryBudget(), 1_000.0
    calls: list[float] = []
    retries: list[float] = []
    for retry, wait_s in steps:
        now += wait_s
        if not retry:
            budget.called(now)
            calls.append(now)
        elif budget.take(now):
            retries.append(now)
            # What counts as recent is between one period and two.
            recent = [at for at in calls if now - at < 2 * RetryBudget.PERIOD_S]
            within = [at for at in retries if now - at < RetryBudget.PERIOD_S]
            assert len(within) <= 0.2 * len(recent) + 10 + 1


def test_a_storm_of_retries_is_bounded() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.called(5)
    assert sum(budget.take(5) for _ in range(1_000)) == 30
    assert sum(budget.take(14) for _ in range(1_000)) == 0, "still the same period"
    assert sum(budget.take(100) for _ in range(1_000)) == 10


def test_a_probe_whose_client_left_frees_the_place() -> None:
    health = Health(["d"])
    for _ in range(FEWEST):
        health.failed("d", 0.0)
    health.call_started("d", OPEN_S)
    assert health.down(OPEN_S) == {"d"}, "one probe is under way"
    health.call_abandoned("d")
    assert not health.down(OPEN_S)


def test_what_is_left_of_a_retry_budget() -> None:
    """Ten, and a fifth of the calls of this and the last ten seconds."""
    budget, now = RetryBudget(), 1_000.0
    assert budget.left(now) == 10
    for _ in range(11):
        budget.called(now)
    assert budget.left(now) == 13, "12.2: as long as there are fewer, one more is taken"
    taken = 0
    while budget.take(now):
        taken += 1
        assert budget.left(now) == 13 - taken
    assert (taken, budget.left(now)) == (13, 0)
    assert budget.left(now + 3 * RetryBudget.PERIOD_S) == 10
