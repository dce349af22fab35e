"""Signs, units, marks and letters that make another meaning; those that need not be there."""

import time
from collections.abc import Hashable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.agree import Agreement, key_of
from gateway.core.agree.groups import largest_group, same
from gateway.core.chat import Choice, Completion, ToolCall


def key(mode: str, text: str) -> Hashable | None:
    if mode == "tools":
        return key_of(Completion((Choice(tool_calls=(ToolCall("", "f", text),)),)), Agreement(mode))
    return key_of(Completion((Choice(text=text),)), Agreement(mode))


@pytest.mark.parametrize(
    ("mode", "one", "other"),
    [
        ("auto", "$5", "5%"),
        ("auto", "The tip is large. The answer is $15.", '{"answer": "15%"}'),
        ("auto", "$5", "\u20ac5"),
        ("label", "5\u00a3", "$5"),
        ("json", '{"price": "$5"}', '{"price": "\u20ac5"}'),
        ("json", '{"price": "$5"}', '{"price": "5"}'),
        ("tools", '{"discount": "5%"}', '{"discount": 5}'),
        ("auto", '{"answer": 5, "unit": "kg"}', '{"answer": 5, "unit": "g"}'),
        ("auto", '{"answer": "5", "Currency": "USD"}', '{"answer": "5", "Currency": "EUR"}'),
        ("auto", "[1 2 3]", "[12 3]"),
        ("auto", "(1 -2)", "(1-2)"),
        ("number", "The answer is 3:30 PM.", "The answer is 3:45 PM."),
        ("number", "The answer is 1,200-1,500.", "The answer is 1,200-1,600."),
        ("number", "It leaves at 3:30.", "It leaves at 4:30."),
        ("number", "The ratio is 3:4", "The ratio is 1:4"),
        ("number", "Answer: 2024-05-01", "Answer: 2024-06-01"),
        ("number", "Answer: 12/05/2024", "Answer: 12/05/2025"),
        ("number", "The answer is 3-5.", "The answer is 3\u20137."),
        ("label", "\u0926\u093f\u0928", "\u0926\u0940\u0928"),
        ("json", '{"c": "\u092e\u0947\u0932"}', '{"c": "\u092e\u094b\u0932"}'),
        ("tools", '{"c": "\u0e44\u0e21\u0e48"}', '{"c": "\u0e44\u0e21\u0e49"}'),
        ("label", "\u2713 done", "\u2717 done"),
        ("label", "\u2605\u2605 good", "\u2605 good"),
        ("label", "\U0001f44d yes", "\U0001f44e yes"),
    ],
)
def test_what_means_another_thing(mode: str, one: str, other: str) -> None:
    keys = key(mode, one), key(mode, other)
    assert None not in keys
    assert not same(*keys)


@pytest.mark.parametrize(
    ("mode", "one", "other"),
    [
        ("auto", "$5", "5"),
        ("auto", '{"answer": 25}', '{"answer": "25%"}'),
        ("auto", "$42$", "42%"),
        ("label", "\u20ac5.", "5"),
        ("json", '{"price": "$5"}', '{"price": "$ 5.00"}'),
        ("auto", '{"answer": 5, "unit": "kg"}', '{"answer": "5", "unit": "KG", "why": "it is"}'),
        ("auto", '{"answer": 5, "unit": ""}', '{"answer": "5"}'),
        ("auto", "{ 'a' : 1 , 'b':[ 2, 3 ] }", "{'a': 1, 'b': [2, 3]}"),
        ("auto", "**42**", "42"),
        ("auto", "<think>\nIs the answer 41? No.\n</think>\n\n42", "42"),
        ("label", "<think>\nWell.\n</think>\n\nSpam", "spam"),
        ("auto", "**Paris**", "Paris."),
        ("number", "The answer is 03:30.", "3:30"),
        ("number", "The answer is 3-5.", "3\u20135"),
        ("number", "The answer is 1,200-1,500.", "1200\u20131500"),
        ("number", "So 62-48=14.", "14"),
        ("label", "\u662f\u3002", "\u662f"),
        ("label", "caf\u00e9", "Cafe\u0301."),
        ("json", '{"c": "\u0926\u093f\u0928!"}', '{"c": "\u0926\u093f\u0928"}'),
    ],
)
def test_what_means_the_same(mode: str, one: str, other: str) -> None:
    keys = key(mode, one), key(mode, other)
    assert None not in keys
    assert same(*keys)


@pytest.mark.parametrize(
    ("texts", "group"),
    [
        (["$5", "5", "5%"], [0, 1]),
        (["5", "$5", "5%"], [0, 1]),
        (["5", "5", "5%", "$5"], [0, 1, 2]),
        (["5", "6", "$5"], [0, 2]),
        (["$5", "5%", "6", "6"], [2, 3]),
        (["a long text " * 9] * 2, []),
        ([], []),
    ],
)
def test_the_largest_group_is_of_those_that_agree_with_each_other(
    texts: list[str], group: list[int]
) -> None:
    assert largest_group([key("auto", text) for text in texts]) == group


NUMBERS = st.sampled_from(["5", "$5", "5%", "\u20ac5", "6", "$6", "a long text " * 9])


@given(st.lists(NUMBERS, max_size=7))
def test_each_two_of_a_group_agree_and_no_other_would(texts: list[str]) -> None:
    keys = [key("auto", text) for text in texts]
    group = largest_group(keys)
    assert all(same(keys[one], keys[other]) for one, other in combinations(group, 2))
    for at in {at for at in range(len(keys)) if keys[at] is not None} - set(group):
        assert not all(same(keys[at], keys[each]) for each in group)


def test_options_that_are_gone_through_are_no_choice() -> None:
    """Both begin with A, and mean B and C."""
    one = "A) 5 ist falsch.\nB) 7 ist richtig.\nAlso B."
    other = "**A)** 5 ist falsch.\n**C)** 9 ist richtig."
    assert key("choice", one) is None
    assert key("choice", other) is None
    assert key("choice", "B) 7, denn 3 + 4 = 7.") == ("choice", "B")


def test_options_are_looked_for_behind_many_lines_in_little_time() -> None:
    started = time.process_time()
    assert key("choice", "B because" + "\n" * 200_000 + "x") == ("choice", "B")
    assert time.process_time() - started < 1
