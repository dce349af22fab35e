"""What a reply says of its cost."""

import json
from typing import Any

import pytest
from msgspec import structs

from gateway.core.chat import Usage
from gateway.core.money import usd
from gateway.core.records.record import UsageRecord
from gateway.core.tab import Tab
from gateway.web.bill import extension

POOR = UsageRecord(
    "h1", "r", "acme", "auto", "small", "fast", "cheap", "answer", "ok", 900, 700, Usage(5, 3)
)
GOOD = structs.replace(POOR, attempt="h2", model='lar"ge', tier="smart", cost=1_000_000_000)


def told(*attempts: UsageRecord) -> Any:
    tab = Tab([*attempts], spent=sum(each.cost for each in attempts))
    return json.loads(extension(tab, usd(tab.spent)), parse_float=str, parse_int=str)


def test_each_attempt_is_told_in_its_turn() -> None:
    one = {
        "model": "small", "provider": "fast", "tier": "cheap", "purpose": "answer",
        "outcome": "ok", "cost_usd": "0.0000007",
    }  # fmt: skip
    other = {**one, "model": 'lar"ge', "tier": "smart", "cost_usd": "1"}
    assert told() == {"cost_usd": "0", "attempts": []}
    assert told(POOR) == {"cost_usd": "0.0000007", "attempts": [one]}
    assert told(POOR, GOOD) == {"cost_usd": "1.0000007", "attempts": [one, other]}


def test_the_beginnings_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[tuple[str, ...], str] = {}
    monkeypatch.setattr("gateway.web.bill._known", known)
    for number in range(2_500):
        model = f"m{number}"
        found = told(structs.replace(POOR, model=model))
        assert found["attempts"][0]["model"] == model
        assert len(known) <= 1_000
    assert told(POOR) == told(POOR), "remembered, it says the same"
