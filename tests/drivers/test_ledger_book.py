"""Entries of the book as Redis answers them."""

import pytest

from gateway.core.accounts import Amounts
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.record import UsageRecord, encode
from gateway.drivers.ledger.book import read_entry

RECORD = UsageRecord("h", "r", "t", "auto", "m", "p", "cheap", "answer", "ok", 9, 5, Usage(1, 2))


@pytest.mark.parametrize(
    ("record", "read"),
    [
        (encode(RECORD), RECORD),
        (b"", None),
        (b'{"attempt": "h"}', None),
        (b'{"of": "another version"}', None),
        (b"not json", None),
    ],
)
def test_what_was_charged_is_known_whatever_the_record_says(
    record: bytes, read: UsageRecord | None
) -> None:
    fields = {
        b"charged": b"5 3 1", b"kind": b"settled", b"id": b"h", b"seq": b"7", b"epoch": b"e",
        b"buckets": b"", b"record": record,
    }  # fmt: skip
    entry = read_entry((b"1-0", [each for pair in fields.items() for each in pair]))
    assert (entry.charged, entry.hold, entry.seq) == (Amounts(Nanos(5), 3, 1), "h", 7)
    assert entry.record == read
