"""Who leaves before a byte of an answer: has it worked on one, and will it bill it?"""

import pytest

from gateway.core.errors import Broken, Reset
from gateway.drivers.upstream.http_failures import closed_early

SOON, BUSY, LATE = 0.999, 9.999, 10.0
ENDED, UNREAD, GONE = None, ConnectionResetError(104, "reset"), BrokenPipeError(32, "broken pipe")
TIMED, GARBAGE = TimeoutError(110, "timed out"), ValueError("no HTTP")


@pytest.mark.parametrize(
    ("asked_s", "why", "kind", "bills", "retry"),
    [
        (SOON, ENDED, Reset, "nothing", "same"),
        (SOON, UNREAD, Reset, "nothing", "same"),
        (SOON, TIMED, Reset, "nothing", "same"),
        (1.0, ENDED, Broken, "counted", "elsewhere"),
        (1.0, TIMED, Broken, "counted", "elsewhere"),
        (1.0, GARBAGE, Broken, "counted", "elsewhere"),
        (1.0, UNREAD, Reset, "nothing", "same"),
        (BUSY, UNREAD, Reset, "nothing", "same"),
        (BUSY, GONE, Reset, "nothing", "same"),
        (BUSY, ENDED, Broken, "counted", "elsewhere"),
        (LATE, UNREAD, Broken, "counted", "elsewhere"),
        (LATE, GONE, Broken, "counted", "elsewhere"),
    ],
)
def test_who_leaves_before_a_byte_of_an_answer(
    asked_s: float, why: Exception | None, kind: type, bills: str, retry: str
) -> None:
    error = closed_early(asked_s, why)
    assert (type(error), error.bills, error.retry) == (kind, bills, retry)
