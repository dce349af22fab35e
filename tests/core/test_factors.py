"""Token factors, learned from bills."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.token_factors import LEAST, Factors
from gateway.core.tokens import count
from tests.promises import Reached
from tests.recordings import need_shared


def test_nothing_is_known_at_first() -> None:
    factors = Factors()
    for _ in range(99):
        factors.learn("m", 1_000, 1_100)
    assert factors.of("m") is None
    factors.learn("m", 1_000, 1_100)
    assert factors.of("m") == pytest.approx(1.14, abs=0.04), "a bin, and 2 % more"
    assert factors.of("another") is None


@pytest.mark.parametrize(("counted", "billed"), [(LEAST - 1, 9_999), (1_000, 0), (1_000, -5)])
def test_what_teaches_nothing(counted: int, billed: int) -> None:
    factors = Factors()
    for _ in range(1_000):
        factors.learn("m", counted, billed)
    assert factors.of("m") is None


def test_a_new_tokenizer_is_learned_anew() -> None:
    factors = Factors()
    for _ in range(10_000):
        factors.learn("m", 1_000, 1_800)
    for _ in range(30_000):
        factors.learn("m", 1_000, 900)
    found = factors.of("m")
    assert found is not None
    assert found < 1.0


def test_noise_makes_no_plan_anew() -> None:
    """Each move does: what scatters about a bin's edge must not move to and fro."""
    factors, rng = Factors(), Random(1)  # noqa: S311 - not a secret
    versions = []
    for _ in range(8):
        for _ in range(20_000):
            factors.learn("m", 500, int(500 * rng.lognormvariate(0.0, 0.1)))
        versions.append(factors.version)
    assert versions[-1] - versions[0] <= 3
    found = factors.of("m")
    assert found is not None
    assert 1.26 < found < 1.42, "99 of 100 stay within 1.26"


@given(st.integers(LEAST, 10**7), st.integers(1, 10**9))
def test_no_bill_breaks_it(counted: int, billed: int) -> None:
    factors = Factors()
    for _ in range(100):
        factors.learn("m", counted, billed)
    found = factors.of("m")
    assert found is not None
    assert 0.25 <= found <= 11.5
    if 0.25 <= billed / counted <= 10:
        assert found >= billed / counted


@pytest.mark.parametrize("model", ["claude-3-haiku-20240307", "gemini-2.0-flash-001"])
def test_recorded_bills(model: str, reached: Reached) -> None:
    """Learned on half of the recorded bills, held to the other half."""
    folder = need_shared("replay") / "routerarena-sub10"
    lines = (folder / "queries.jsonl").read_text().splitlines()
    prompts = {row["id"]: row["prompt"] for row in map(json.loads, lines)}
    bills = [
        (
            count(len(json.dumps([{"role": "user", "content": prompts[row["id"]]}]))),
            row["tokens_in"],
        )
        for row in map(json.loads, (folder / f"answers.{model}.jsonl").read_text().splitlines())
    ]
    Random(1).shuffle(bills)  # noqa: S311 - any order will do
    factors = Factors()
    learned, held = bills[: len(bills) // 2], bills[len(bills) // 2 :]
    for counted, billed in learned:
        factors.learn(model, counted, billed)
    factor = factors.of(model)
    assert factor is not None
    covered = sum(billed <= counted * factor + 100 for counted, billed in held) / len(held)
    told = f"{covered:.1%} of {len(held)} bills within {factor:.2f} x our count"
    reached("money", f"prompt bound, {model}", told, ">= 98.7 %")
    assert covered >= 0.987
