"""What a call is charged, by its price and by what its provider says that it costs."""

import pytest
from msgspec import structs

from gateway.core.billing import Tally, billed, charge
from gateway.core.catalog import Deployment
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, Usage
from gateway.core.money import Nanos
from tests.core.asked import request, user

WRITTEN = Deployment("p/m", "p", "m")
LISTED = structs.replace(WRITTEN, listed_price=True)


@pytest.mark.parametrize(
    ("computed", "reported", "there", "counted", "charged"),
    [
        # A written price is charged at least, and a bill above it is, too.
        (500, 0, WRITTEN, False, 500),
        (500, 400, WRITTEN, False, 500),
        (500, 600, WRITTEN, False, 600),
        (0, 600, WRITTEN, False, 600),
        (500, 600, WRITTEN, True, 600),
        # A listed one gives way to what was charged.
        (500, 0, LISTED, False, 500),
        (500, 400, LISTED, False, 400),
        (500, 600, LISTED, False, 600),
        # What came after the provider had told may have cost more.
        (500, 400, LISTED, True, 500),
        (500, 600, LISTED, True, 600),
    ],
)
def test_what_a_call_is_charged(
    computed: int, reported: int, there: Deployment, counted: bool, charged: int
) -> None:
    usage = Usage(3, 5, reported_cost=reported)
    assert charge(Nanos(computed), usage, there, counted=counted) == charged


@pytest.mark.parametrize("told", [Usage(99, 30, reported_cost=7), Usage(0, 0, reported_cost=7)])
def test_what_was_reported_is_not_lost_where_tokens_are_counted_here(told: Usage) -> None:
    asked, said = request(user("x" * 40)), Delta((ChoiceDelta(text="abcd" * 40),))
    tally = Tally()
    for delta in (said, Delta(usage=told), said):
        tally.add((delta,))
    assert tally.counted(asked).reported_cost == tally.billed(asked)[0].reported_cost == 7
    answer = Completion(choices=(Choice(text="abcd"),), usage=told)
    assert billed(answer, asked)[0].reported_cost == 7
