"""Values in bins."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from gateway.core import histogram

EDGES = (0.5, 1.0, 2.0)
VALUES = st.lists(st.sampled_from(EDGES) | st.floats(allow_nan=False))


def test_an_edge_is_in_its_bin() -> None:
    counted = [0.0, 1.0, 0.0, 0.0]
    histogram.count(counted, EDGES, [2.0, 0.5, 1.5, 0.1, 2.1, 0.5000001, 99.0])
    assert counted == [2.0, 2.0, 2.0, 2.0]


@given(VALUES)
def test_many_at_once_are_in_the_bins_that_each_is_in(values: list[float]) -> None:
    counted, one_by_one = [0.0] * 4, [0.0] * 4
    histogram.count(counted, EDGES, values)
    for value in values:
        one_by_one[bisect_left(EDGES, value)] += 1.0
    assert counted == one_by_one
