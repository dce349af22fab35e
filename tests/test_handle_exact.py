"""Near a cap the tokens are counted exactly, where that can be done."""

import pytest

from gateway.core.chat import Extras
from gateway.core.errors import BudgetExceeded, GatewayError, NothingFits
from tests.lives import hear, stage, well, whole

ESTIMATED = 100 + 13 + 20  # around, the prompt, the answer; in nano-dollars, too
EXACT = 100 + 5 + 20


@pytest.mark.parametrize(
    ("asked", "exact", "budget", "answered"),
    [
        ("gpt-5", None, ESTIMATED + 20, True),
        ("gpt-5", None, EXACT, False),
        ("gpt-5", 5, EXACT, True),
        ("gpt-5", 5, EXACT - 1, False),
        ("gpt-5", 500, EXACT, False),
        ("a", 5, EXACT, False),
    ],
)
@pytest.mark.parametrize("cap", ["budget", "max_cost_usd"])
@pytest.mark.parametrize("stream", [False, True])
async def test_near_a_cap(
    asked: str, exact: int | None, budget: int, answered: bool, cap: str, stream: bool
) -> None:
    extras = Extras(max_cost_usd=f"{budget / 10**9:.12f}") if cap == "max_cost_usd" else None
    money = budget if cap == "budget" else 10**6
    turns = {"gpt-5": [well], "a": [well]}
    scene = stage(asked, turns, budget=money, extras=extras, exact=exact, stream=stream)
    if answered:
        _, text = await hear(scene.life)
        assert text == "GOOD one"
    else:
        expected: type[GatewayError] = BudgetExceeded if cap == "budget" else NothingFits
        with pytest.raises(expected):
            await scene.life.answer()
    await whole(scene)
