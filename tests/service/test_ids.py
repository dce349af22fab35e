"""The ids of requests and holds."""

from gateway.stores import new_ids


def test_no_two_ids_are_the_same() -> None:
    """Of one process each is another; of two, which each have their own, as well."""
    ones, others = new_ids(), new_ids()
    ids = [give() for give in (ones, others) for _ in range(1_000)]
    assert len({*ids}) == 2_000
    prefixes = {each[:24] for each in ids}
    assert len(prefixes) == 2, "96 random bits each"
    assert all(each[24:].isdecimal() for each in ids)
