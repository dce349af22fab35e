from pathlib import Path

import pytest

from gateway.simulator.behaviours import BEHAVIOURS, behaviour_of
from gateway.simulator.bill import OTHER_PRICE, PRICES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"


@pytest.mark.parametrize(
    ("model", "behaviour"),
    [
        ("cheap-right", "right"),
        ("smart-slow", "slow"),
        ("mid-refuse-2", "refuse"),
        ("slow", "slow"),
        ("cheap-stallmid-slow", "stallmid"),
        ("cheap", "right"),
        ("cheap-slowly", "right"),
        ("gpt-5-mini", "right"),
    ],
)
def test_the_first_known_word_chooses(model: str, behaviour: str) -> None:
    assert behaviour_of(model) == behaviour


def test_every_behaviour_is_found_by_its_name() -> None:
    assert [behaviour_of(f"cheap-{one.name}") for one in BEHAVIOURS] == [
        one.name for one in BEHAVIOURS
    ]


def test_the_documentation_has_the_table_of_the_code() -> None:
    head = "| word | what it does | without `stream` |\n|---|---|---|\n"
    rows = [f"| `{b.name}` | {b.does} | {b.json or 'the same'} |" for b in BEHAVIOURS]
    assert head + "\n".join(rows) in DOCS.read_text("utf-8")


def test_the_documentation_has_the_prices_of_the_code() -> None:
    text = DOCS.read_text("utf-8")
    for name, price in (*PRICES.items(), ("any other", OTHER_PRICE)):
        row = f"| {name} | {price.input / 1e9:.2f} | {price.output / 1e9:.2f} |"
        assert row in text, f"docs/simulator.md lacks the row {row}"
