"""Votes over tool calls: real prompts, tools and right calls, with answers made to stated figures.

No set with tool calls of real models is handed out. Who is right how often, and what it costs, is
as published for gpt-4o-mini and gemini-1.5-flash against gpt-4o on this set (the reference's table
of agreement cascades); how well the cheap ones do alone is not published, and chosen so that a
vote has the published lift. So the figures show that the arithmetic holds, and no more. What is
tested on real material is that calls are compared by meaning: each is written twice, unlike.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.promises import Reached
from tests.replay.sets import Row, shared, told, write

SUBJECT = "routing"
AGREE = 0.71
RIGHT_WHEN_AGREED = 0.948
SMART_WHEN_AGREED, SMART_ELSE = 0.923, 0.713
ONE_ELSE, TWO_ELSE = 0.45, 0.52
"""Where they disagree at most one of them is right."""
PRICES = {"one": 0.10, "two": 0.05, "smart": 1.0, "smartest": 1.0 / 0.364}
"""A call's price, as a part of the smart one's."""
SMARTEST = 0.8604

Call = dict[str, Any]


@pytest.fixture(scope="module")
def queries() -> list[Row]:
    lines = (shared("bfcl-live-prompts") / "queries.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [query for query in found if query["possible_answer"]]


def right_call(query: Row) -> list[Call]:
    """The first of the accepted answers."""
    return [
        {"name": name, "arguments": {key: each[0] for key, each in arguments.items() if each}}
        for call in query["possible_answer"]
        for name, arguments in call.items()
    ]


def unlike(calls: list[Call]) -> list[Call]:
    """The same in other words: order, 1 and 1.0, case, punctuation, empty optional arguments."""
    return [
        {**call, "arguments": {**reworded(call["arguments"]), "note": ""}}
        for call in reversed(calls)
    ]


def reworded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reworded(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reworded(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value and value[-1].isalpha():
        return f"{value.swapcase()}."
    return value


def wrong(calls: list[Call], how: str) -> list[Call]:
    """One more argument, of a value of its own."""
    return [{**calls[0], "arguments": {**calls[0]["arguments"], "also": how}}, *calls[1:]]


def quota(share: float, size: int, rng: Random) -> Iterator[bool]:
    """As many True as the share is, in a random order."""
    flags = [at < round(share * size) for at in range(size)]
    rng.shuffle(flags)
    return iter(flags)


@pytest.fixture(scope="module")
def folder(queries: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = Random(1)  # noqa: S311 - a set, not a secret
    size = len(queries)
    agreeing = round(AGREE * size)
    rng.shuffle(queries)
    both = quota(RIGHT_WHEN_AGREED, agreeing, rng)
    smart = {True: quota(SMART_WHEN_AGREED, agreeing, rng)}
    smart[False] = quota(SMART_ELSE, size - agreeing, rng)
    smartest, either = quota(SMARTEST, size, rng), quota(0.5, size, rng)
    rows: dict[str, list[Row]] = {name: [] for name in PRICES}
    for at, query in enumerate(queries):
        agree, call = at < agreeing, right_call(query)
        if agree:
            one = two = next(both)
        else:
            place = (at - agreeing) / (size - agreeing)
            one, two = place < ONE_ELSE, ONE_ELSE <= place < ONE_ELSE + TWO_ELSE
        rights = {"one": one, "two": two, "smart": next(smart[agree]), "smartest": next(smartest)}
        said = call if next(either) else unlike(call)
        for name, right in rights.items():
            error = "both" if agree and name in {"one", "two"} else name
            made = said if right else wrong(call, error)
            made = unlike(made) if name == "two" else made
            cost = 0.001 * PRICES[name]
            row = {"id": query["id"], "tool_calls": made, "correct": right, "cost_usd": cost}
            rows[name].append(row)
    asked = [{key: query[key] for key in ("id", "messages", "functions")} for query in queries]
    return write(tmp_path_factory.mktemp("calls") / "calls", asked, rows)


def test_calls_of_one_meaning_agree_and_no_others(folder: Path, queries: list[Row]) -> None:
    found = told(folder, "arbitrate", "one", "two", "smart")
    assert found["verdicts"]["agreed"] == round(AGREE * len(queries))
    assert found["not_comparable"]["without_a_key"] == 0


@pytest.mark.parametrize(
    ("pool", "most", "least"),
    [
        pytest.param(("one", "two", "smart"), 0.48, 3.2, id="two cheap + smart"),
        pytest.param(("one", "two", "smart", "smartest"), 0.20, None, id="three tiers"),
    ],
)
def test_two_cheap_ones_and_one_that_decides(
    folder: Path,
    pool: tuple[str, ...],
    most: float,
    least: float | None,
    reached: Reached,
) -> None:
    policy = told(folder, "arbitrate", *pool, smart=pool[-1])["policy"]
    gap, cost = policy["vs_smart_pp"]["value"], policy["cost_of_smart"]["value"]
    lift = policy["lift_pp"]["value"]
    reached(
        SUBJECT,
        f"tool calls MADE from stated accuracies (no recorded ones), {len(pool)} models",
        f"{gap:+.2f} pp at {cost:.3f} of its cost, lift {lift:+.2f} pp",
        f"not below, <= {most}" + (f", >= +{least} pp" if least else ""),
    )
    assert gap >= 0.0
    assert cost <= most
    assert least is None or lift >= least
