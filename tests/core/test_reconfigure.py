"""What is learned of deployments and models, when the configuration becomes another one."""

from gateway.core.health import Health
from gateway.core.pace import LatencyTracker
from gateway.core.prompt_caches import Warmth
from gateway.core.token_factors import LEAST, Factors


def test_a_circuit_stays_with_its_deployment_and_goes_with_it() -> None:
    moved: list[tuple[str, str]] = []
    health = Health(["a", "b", "c"], lambda *told: moved.append(told))
    for name in ("a", "b", "c"):
        health.failed(name, 0.0, 60.0)
    health.reconfigure(["a", "b", "d"], {"b"})
    assert health.down(1.0) == {"a"}
    assert sorted(moved[3:]) == [("b", "closed"), ("c", "closed")], "their gauges say so"
    health.failed("c", 1.0, 60.0)  # a request of before
    health.succeeded("c", 1.0, 1.0)
    health.call_started("c", 1.0)
    assert health.down(2.0) == {"a"}
    health.reconfigure(["a", "b", "c"])
    assert health.down(2.0) == {"a"}, "it begins anew"


def test_pace_is_kept_and_calls_that_are_out_are_still_counted() -> None:
    pace = LatencyTracker()
    for name in ("a", "b", "c"):
        for _ in range(20):
            pace.call_started(name)
            pace.call_ended(name, 0.1)
        pace.call_started(name)
    pace.reconfigure(["a", "b"], {"b"})
    assert [pace.quantile(name, 0.5) is None for name in ("a", "b", "c")] == [False, True, True]
    assert [pace.in_flight(name) for name in ("a", "b", "c")] == [1, 1, 1]
    for name in ("a", "b", "c"):
        pace.call_ended(name, 0.1)
    pace.reconfigure(["a", "b"])
    assert list(pace._seen) == ["a", "b"], "of the last nothing is remembered"


def test_factors_are_kept_for_models_that_stay() -> None:
    factors = Factors()
    for _ in range(200):
        factors.learn("a", LEAST, LEAST)
        factors.learn("b", LEAST, LEAST)
    factors.reconfigure(["a", "new"])
    assert factors.of("a") is not None
    assert factors.of("b") is None
    factors.learn("b", LEAST, LEAST)  # a request of before


def test_warmth_of_what_is_gone_is_forgotten() -> None:
    warmth = Warmth()
    warmth.warmed(b"k", "a", 0.0)
    warmth.warmed(b"k", "b", 0.0)
    warmth.forget({"b", "c"})
    assert warmth.warm(b"k", 1.0) == {"a"}
