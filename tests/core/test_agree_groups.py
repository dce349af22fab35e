"""Numbers whose thousands stand apart, or are words."""

import pytest

from gateway.core.agree import Agreement, key_of
from gateway.core.agree.groups import same
from gateway.core.chat import Choice, Completion


def agree(one: str, other: str, mode: str = "number") -> bool:
    keys = [key_of(Completion((Choice(text=text),)), Agreement(mode)) for text in (one, other)]
    assert None not in keys
    return same(*keys)


GROUPED = [
    "1 234",
    "1\u202f234",
    "1\u00a0234",
    "1'234",
    "1\u2019234",
    "1{,}234",
    "1\\,234",
    "1_234",
]


@pytest.mark.parametrize("number", GROUPED)
@pytest.mark.parametrize(
    "text", ["Le total est de {} euros.", "The answer is {}.", "\\boxed{{{}}}"]
)
def test_all_groups_of_a_number_count(text: str, number: str) -> None:
    """The last one alone agreed with another number, and a vote was won by it."""
    assert agree(text.format(number), text.format("1,234"))
    assert not agree(text.format(number), text.format(number.replace("1", "2", 1)))
    assert not agree(text.format(number), text.format(number.replace("234", "567")))


@pytest.mark.parametrize("number", GROUPED[:5])
def test_so_they_do_in_a_short_answer(number: str) -> None:
    assert agree(number, "1,234", "auto")
    assert not agree(number, number.replace("1", "2", 1), "auto")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Es sind 5 Millionen.", "Es sind 5 Milliarden."),
        ("Il y en a 5 millions.", "Il y en a 5 milliards."),
        ("\u7b54\u6848\u662f12\u4e07", "\u7b54\u6848\u662f12\u4ebf"),
        ("In 2023 123 came.", "In 2022 123 came, in 2023 124."),
    ],
)
def test_numbers_that_differ(one: str, other: str) -> None:
    assert not agree(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Es sind 5 Millionen.", "5,000,000"),
        ("Il y en a 1,5 milliards.", "Il y en a 1,5 milliards"),
        ("\u7b54\u6848\u662f12\u4e07", "120 000"),
        ("In 2023 123 came.", "123"),
    ],
)
def test_numbers_that_are_the_same(one: str, other: str) -> None:
    assert agree(one, other)
