import pytest

from gateway.simulator.bill import (
    Bill,
    BilledCall,
    Price,
    Total,
    cost_of,
    price_of,
    tokens_in,
    tokens_of,
)


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        ((), 0),
        (("",), 0),
        (("a",), 1),
        (("abcd",), 1),
        (("abcde",), 2),
        (("ab", "cd"), 1),
        (("ab", "cde"), 2),
        (("\u00e9\u00e9",), 1),
        (("\u20ac\u20ac",), 2),
        (("\U0001f600x",), 2),
    ],
)
def test_a_token_is_four_bytes_of_all_texts_together(texts: tuple[str, ...], tokens: int) -> None:
    assert tokens_of(texts) == tokens
    assert tokens_in(sum(len(text.encode()) for text in texts)) == tokens


@pytest.mark.parametrize(
    ("model", "input_price", "output_price"),
    [
        ("cheap-right", 100_000_000, 400_000_000),
        ("mid-refuse-2", 1_000_000_000, 4_000_000_000),
        ("smart-slow", 5_000_000_000, 20_000_000_000),
        ("cheaper-right", 1_000_000_000, 2_000_000_000),
        ("gpt-cheap", 1_000_000_000, 2_000_000_000),
    ],
)
def test_the_first_word_of_the_name_sets_the_price(
    model: str, input_price: int, output_price: int
) -> None:
    assert (price_of(model).input, price_of(model).output) == (input_price, output_price)


@pytest.mark.parametrize(
    ("model", "prompt", "completion", "nanos"),
    [
        ("cheap-right", 0, 0, 0),
        ("cheap-right", 1, 0, 100),
        ("cheap-right", 4, 3, 1_600),
        ("mid-right", 1_000_000, 1_000_000, 5_000_000_000),
        ("smart-right", 7, 1, 55_000),
        ("other", 1, 1, 3_000),
    ],
)
def test_cost(model: str, prompt: int, completion: int, nanos: int) -> None:
    assert cost_of(model, prompt, completion) == nanos


def test_a_part_of_a_nano_dollar_is_rounded_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.simulator.bill.PRICES", {"odd": Price(400_000, 400_000)})
    assert [cost_of("odd", 1, 1), cost_of("odd", 5, 0), cost_of("odd", 0, 6)] == [1, 2, 3]


def test_totals_are_by_model() -> None:
    bill = Bill()
    for number, (model, cost) in enumerate((("a", 3), ("b", 5), ("a", 4))):
        bill.record(BilledCall(str(number), "openai", model, "right", 2, 1, cost, 200, whole=True))
    assert bill.cost == 12
    assert bill.totals() == {"a": Total(2, 4, 2, 7), "b": Total(1, 2, 1, 5)}
    bill.clear()
    assert (bill.calls, bill.cost, bill.totals()) == ([], 0, {})
