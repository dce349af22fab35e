"""What the calls of one life may cost together."""

import pytest

from gateway.core.tab import Tab


@pytest.mark.parametrize(
    ("most", "spent", "asked", "there_is"),
    [
        (None, 10**9, [10**9], [True]),
        (100, 0, [100, 1], [True, False]),
        (100, 0, [101, 100], [False, True]),
        (100, 60, [41, 30, 10, 1], [False, True, True, False]),
    ],
)
def test_what_is_set_aside_leaves_less_room(
    most: int | None, spent: int, asked: list[int], there_is: list[bool]
) -> None:
    tab = Tab(max_cost=most, spent=spent)
    assert [tab.hold(each) for each in asked] == there_is
    held = [each for each, room in zip(asked, there_is, strict=True) if room]
    for each in held:
        tab.release(each)
    assert tab.held == 0, "all that was held is given back, and no more"


def test_lives_share_nothing() -> None:
    first, second = Tab(), Tab()
    assert first.attempts is not second.attempts
