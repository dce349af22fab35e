"""The guard: when it decides, what it then allows, and how it comes back."""

from collections.abc import Iterable

import pytest

from gateway.core.features import Features
from gateway.core.guard import Guard, GuardSettings, bucket, lower_bound
from gateway.core.money import Nanos
from gateway.core.tokens import Bound

SETTINGS = GuardSettings(threshold=0.75, share=0.02, probe=0.1, cap=0.05, least=30, memory=100)
RICH = 10**9


def seen(agreed: int, differed: int, *, spent: int = RICH, audit: int = 0) -> Guard:
    return Guard(float(agreed + differed), float(agreed), agreed + differed, spent, audit)


def after(guard: Guard, flags: Iterable[bool], settings: GuardSettings = SETTINGS) -> Guard:
    for flag in flags:
        guard = guard.observe(flag, settings)
    return guard


@pytest.mark.parametrize(
    ("successes", "trials", "bound"),
    [
        (0, 0, 0.0),
        (0, 10, 0.0),
        (10, 10, 0.787),  # by hand: 1 / (1 + 1.645^2 / 10)
        (62, 100, 0.538),
        (90, 100, 0.840),
        (900, 1000, 0.883),
    ],
)
def test_wilsons_lower_bound(successes: int, trials: int, bound: float) -> None:
    assert lower_bound(successes, trials) == pytest.approx(bound, abs=5e-4)


@pytest.mark.parametrize(
    ("guard", "draw", "decision"),
    [
        pytest.param(Guard(), 0.99, "probed", id="nothing is known: trust is earned"),
        pytest.param(seen(8, 1), 0.99, "probed", id="too few to decide"),
        pytest.param(seen(12, 2), 0.99, "probed", id="few, and in doubt"),
        pytest.param(Guard(9.0, 1.0, 90), 0.99, "cheap", id="tried often, and little was seen"),
        pytest.param(Guard(9.0, 1.0, 89), 0.99, "probed", id="not tried often enough"),
        pytest.param(Guard(10.0, 1.0, 90), 0.99, "smart", id="tried often, and enough was seen"),
        pytest.param(seen(12, 0), 0.99, "cheap", id="few, and no doubt: on"),
        pytest.param(seen(3, 9), 0.99, "smart", id="few, and no doubt: off"),
        pytest.param(seen(29, 1), 0.99, "cheap", id="on"),
        pytest.param(seen(29, 1), 0.019, "audited", id="on, and its share is audited"),
        pytest.param(seen(29, 1), 0.02, "cheap", id="on, beyond the share"),
        pytest.param(seen(24, 6), 0.99, "smart", id="off: the rate is above, the bound is not"),
        pytest.param(seen(24, 6), 0.099, "probed", id="off, and a share is probed"),
        pytest.param(seen(24, 6), 0.1, "smart", id="off, beyond the probes"),
        pytest.param(
            seen(29, 1, spent=100, audit=6), 0.0, "cheap", id="on: audits have spent their part"
        ),
        pytest.param(
            seen(24, 6, spent=100, audit=6), 0.0, "smart", id="off: probes have spent their part"
        ),
        pytest.param(
            seen(5, 1, spent=100, audit=90), 0.99, "probed", id="no cap before it is decided"
        ),
    ],
)
def test_who_answers(guard: Guard, draw: float, decision: str) -> None:
    assert guard.decide(draw, SETTINGS) == decision
    assert guard.allows(SETTINGS) == (decision in {"cheap", "audited"})
    assert guard.compares(draw, SETTINGS) == (decision in {"audited", "probed"})


def test_it_comes_back_when_the_bound_does() -> None:
    off = after(Guard(), [True, False] * 20)
    assert not off.allows(SETTINGS)
    probes = 0
    while not off.allows(SETTINGS):
        off = off.observe(agreed=True, settings=SETTINGS)
        probes += 1
        assert probes < 100, "it never comes back"
    assert probes > 20, "a few lucky probes are no proof"
    assert off.bound >= SETTINGS.threshold


def test_it_notices_what_becomes_worse() -> None:
    on = after(Guard(), [True] * 1_000)
    assert on.allows(SETTINGS)
    worse = after(on, [False] * 25)
    assert not worse.allows(SETTINGS), "a thousand old ones must not hide twenty-five new"


def test_old_comparisons_fade() -> None:
    guard = after(Guard(), [True, False] * 500)
    assert guard.seen == pytest.approx(SETTINGS.memory)
    assert guard.rate == pytest.approx(0.5, abs=0.01)


def test_how_often_it_was_tried() -> None:
    assert Guard().missed().observe(agreed=True).missed().tried == 3


def test_what_is_paid() -> None:
    guard = Guard().pay(Nanos(95)).pay(Nanos(5), audit=True)
    assert (guard.spent, guard.audit) == (100, 5)


def test_before_the_first_comparison() -> None:
    assert (Guard().rate, Guard().bound) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("needs", "prompt", "kind"),
    [
        ((), 10, "text"),
        ((), 2_001, "text-long"),
        (("json_schema",), 10, "json"),
        (("json_schema", "tools"), 10, "tools"),
        (("tools", "vision"), 9_999, "tools-long"),
    ],
)
def test_buckets(needs: tuple[str, ...], prompt: int, kind: str) -> None:
    asked = Features(Bound(0, prompt), None, 1, frozenset(needs), caches=False)
    assert bucket(asked) == kind
