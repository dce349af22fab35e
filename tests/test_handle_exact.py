"""Near a cap the tokens are counted exactly, where that can be done."""

from dataclasses import replace

import msgspec
import pytest
from msgspec import Raw, structs

from gateway.core.chat import Extras, Usage
from gateway.core.errors import BudgetExceeded, GatewayError, NothingFits
from tests.lives import Turn, hear, stage, well, whole

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


@pytest.mark.parametrize(("field", "learned"), [("verbosity", True), ("web_search_options", False)])
async def test_what_a_provider_adds_to_a_prompt_says_nothing_of_how_a_model_counts(
    field: str, learned: bool
) -> None:
    """Nine in ten tokens of such a prompt are pages. Learned from, each other call would be held at
    ten times its bill, or refused for want of context.
    """
    world = None
    for _ in range(100):
        scene = stage("a", {"a": [Turn(("GOOD one",), Usage(4_000, 5))]})
        life = scene.life
        world = life.world if world is None else replace(life.world, factors=world.factors)
        life.world = world
        messages = Raw(msgspec.json.encode([{"role": "user", "content": "x" * 1_600}]))
        fields = {"messages": messages, field: Raw(b"{}")}
        life.request = structs.replace(life.request, fields=fields)
        await hear(life)
        await whole(scene)
    assert world is not None
    factor = world.factors.of("a")
    assert (factor is not None and factor > 9) if learned else factor is None
