"""A provider that refuses has billed nothing, however little of its reasons can be read."""

import gzip
from typing import Final

import pytest

from gateway.core.errors import Faulty, Misconfigured, Overloaded, Throttled, UpstreamError
from tests.contracts.provided import Provided, Then, chunk, close, reset
from tests.contracts.test_upstream import Meet, both, meet, trusted, unsaid

__all__ = ["meet", "trusted"]

REASON: Final = b'{"error": {"message": "slow down"}}'


def refuses(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "retry-after: 7", *lines, "", ""]).encode()


GZIP: Final = "content-encoding: gzip"
CHUNKED: Final = "transfer-encoding: chunked"
CASES: Final[dict[str, tuple[bytes, Then, type[UpstreamError]]]] = {
    "cut by its length": (
        refuses("429 Too Many", "content-length: 99") + REASON[:9], close, Throttled
    ),
    "nothing of it": (refuses("503 Busy", "content-length: 99"), close, Overloaded),
    "reset": (refuses("500 Oh", "content-length: 99") + REASON, reset, Faulty),
    "cut within a chunk": (refuses("401 Who", CHUNKED) + chunk(REASON)[:9], close, Misconfigured),
    "cut within its gzip": (
        refuses("429 Too Many", GZIP) + gzip.compress(REASON)[:-9], close, Throttled
    ),
    "no gzip": (refuses("503 Busy", GZIP) + REASON, close, Overloaded),
}  # fmt: skip


@both
@pytest.mark.parametrize("case", CASES)
async def test_the_status_is_enough(meet: Meet, case: str, way: str) -> None:
    sends, then, kind = CASES[case]
    bench = await meet(Provided(sends, then))
    with pytest.raises(kind) as caught:
        await bench.get(way)
    assert (caught.value.bills, caught.value.retry_after) == ("nothing", 7.0)
    unsaid(caught.value)
