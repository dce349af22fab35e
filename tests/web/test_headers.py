"""The headers that come in, and those that go out."""

import re
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import (
    Busy,
    GatewayError,
    HeadersTooLarge,
    InvalidRequest,
    LedgerDown,
    NoAnswer,
    Rejected,
    Unauthenticated,
)
from gateway.core.money import PER_USD, usd
from gateway.core.snapshot import Limits
from gateway.web.client import lines_of, pairs_of
from gateway.web.headers import MAX_HEADERS, error_headers, read_headers, reply_headers
from tests.lives import Turn, faulty, hear, poor, says, stage, well

LIMITS = Limits(body_bytes=100)


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"99", 99),
        (b"99 \t", 99),
        (b"9 9", 101),
        (b"-1", 101),
        (b"ten", 101),
        (b"", 101),
        (b"9" * 5_000, 101),
    ],
)
def test_a_length_that_is_none_is_too_large(value: bytes, length: int) -> None:
    assert read_headers([(b"content-length", value)], LIMITS).content_length == length


def test_what_is_read() -> None:
    pairs = [
        (b"host", b"x"),
        (b"authorization", b"Bearer k"),
        (b"x-gateway-region", b"eu"),
        (b"x-gateway-tags", "größe=1".encode()),
        (b"x-gateway-checks", b"\xff"),
        (b"x-other", b"1"),
    ]
    headers = read_headers(pairs, LIMITS)
    assert headers.authorization == b"Bearer k"
    assert headers.extras == {
        "region": "eu",
        "tags": "größe=1",
        "checks": "\N{REPLACEMENT CHARACTER}",
    }


def test_a_header_in_two_lines_is_one_list() -> None:
    pairs = [
        (b"x-gateway-checks", b"not_refused"),
        (b"x-gateway-region", b"eu"),
        (b"x-gateway-checks", b"complete"),
    ]
    assert read_headers(pairs, LIMITS).extras == {
        "checks": "not_refused, complete",
        "region": "eu",
    }


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(b"gzip", True), (b"Identity", False), (b"identity ", False), (b"x", True)],
)
def test_a_content_encoding(value: bytes, encoded: bool) -> None:
    assert read_headers([(b"content-encoding", value)], LIMITS).encoded is encoded


def test_headers_have_a_size() -> None:
    assert read_headers([(b"a", b"x" * (MAX_HEADERS - 1))], LIMITS).authorization == b""
    with pytest.raises(HeadersTooLarge):
        read_headers([(b"a", b"x" * MAX_HEADERS)], LIMITS)
    with pytest.raises(HeadersTooLarge):
        read_headers([(b"a", b"")] * (MAX_HEADERS + 1), LIMITS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidRequest("no"), {"x-should-retry": "false"}),
        (NoAnswer("no"), {"x-should-retry": "false"}),
        (Rejected("no"), {"x-should-retry": "false"}),
        (Unauthenticated("no"), {"x-should-retry": "false", "www-authenticate": "Bearer"}),
        (Busy("no"), {"retry-after": "1"}),
        (LedgerDown("no"), {"retry-after": "1"}),
        (GatewayError("no"), {"x-should-retry": "false"}),
    ],
)
def test_whether_to_try_again(error: GatewayError, expected: dict[str, str]) -> None:
    found = {name.decode(): value.decode() for name, value in error_headers(error, "r1", None)}
    assert found == {"x-request-id": "r1"} | expected


@pytest.mark.parametrize(
    ("asked", "turns", "stream", "expected"),
    [
        (
            "judged",
            {"a": [faulty], "b": [poor], "c": [well]},
            False,
            {
                "x-gateway-model": "c",
                "x-gateway-provider": "p",
                "x-gateway-tier": "mid",
                "x-gateway-attempts": "3",
                "x-gateway-escalations": "1",
                "x-gateway-reason": "passed; a faulty; b regex",
                "x-gateway-cost-usd": "0.000000165",
                "x-gateway-budget-remaining-usd": "0.000999835",
            },
        ),
        (
            "open",
            {"a": [faulty], "b": [says("x")]},
            True,
            {
                "x-gateway-model": "b",
                "x-gateway-provider": "p",
                "x-gateway-tier": "cheap",
                "x-gateway-attempts": "2",
                "x-gateway-escalations": "0",
                "x-gateway-reason": "unjudged; a faulty",
            },
        ),
    ],
    ids=["whole", "flowing"],
)
async def test_what_a_reply_says(
    asked: str, turns: dict[str, list[Turn]], stream: bool, expected: dict[str, str]
) -> None:
    scene = stage(asked, turns, stream=stream)
    reply = await scene.life.answer()
    spent = None if reply.completion is None else usd(scene.life.tab.spent)
    pairs = pairs_of(reply_headers(scene.life, reply, spent))
    found = {name.decode(): value.decode() for name, value in pairs}
    if stream:
        remaining = Decimal(found.pop("x-gateway-budget-remaining-usd"))
        ceiling = Decimal(reply.candidate.ceiling) / PER_USD
        assert remaining == Decimal("0.001") - ceiling, "what is held for the flow is not left"
        assert reply.deltas is not None
        await reply.deltas.aclose()
    assert found == {"x-request-id": "r"} | expected
    assert all(re.fullmatch(rb"[ -~]*", name + value) for name, value in pairs)


async def test_an_error_says_what_was_spent_on_the_way() -> None:
    scene = stage("judged", {"a": [faulty], "b": [faulty], "c": [faulty], "d": [faulty]})
    with pytest.raises(NoAnswer) as caught:
        await hear(scene.life)
    found = dict(error_headers(caught.value, "r", scene.life))
    assert (found[b"x-gateway-attempts"], found[b"x-gateway-cost-usd"]) == (b"4", b"0")


def test_lines_and_pairs_are_the_same_headers() -> None:
    pairs = [(b"a", b"b: c"), (b"x-gateway-reason", "é; ok".encode()), (b"empty", b"")]
    assert pairs_of(lines_of(pairs)) == pairs
    assert pairs_of(lines_of([])) == []


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\r", b"\r\n"])
def test_a_line_break_is_no_header(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        lines_of([(b"a", value)])


async def test_the_ways_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: dict[Any, str] = {}
    monkeypatch.setattr("gateway.web.headers._ways", ways)
    scene = stage("judged", {"a": [faulty], "b": [poor], "c": [well]})
    reply = await scene.life.answer()
    told = [reply_headers(scene.life, reply, "0") for _ in range(2)]
    assert told[0] == told[1], "remembered, it says the same"
    assert len(ways) == 1
    for number in range(3_000):
        other = structs.replace(reply, reason=f"passed; {number}")
        assert f"passed; {number}\r\n".encode() in reply_headers(scene.life, other, "0")
        assert len(ways) <= 1_000
    long = structs.replace(reply, reason="x" * 1_000)
    for _ in range(2):
        assert long.reason.encode() in reply_headers(scene.life, long, "0")
    assert max(map(len, ways.values())) <= 1_000
    broken = structs.replace(reply, reason="a\r\nx: y")
    with pytest.raises(ValueError, match="line break"):
        reply_headers(scene.life, broken, "0")
