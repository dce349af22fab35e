"""Heads of one connection: what is remembered of the last says the same as reading it anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.hot_head import HeadParser

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name not in {"content-length", "transfer-encoding", "connection", "upgrade"}
)
VALUES = st.from_regex(r"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)
LENGTHS = st.integers(0, 10**15 - 1)


def head(lines: list[tuple[str, str]], at: int, length: bytes) -> bytes:
    said = [f"{name}: {value}".encode() for name, value in lines]
    said.insert(min(at, len(said)), b"Content-Length: " + length)
    return b"\r\n".join([b"POST /v1/chat/completions HTTP/1.1", *said]) + b"\r\n\r\n"


def remembering(whole: bytes) -> HeadParser:
    heads = HeadParser()
    assert heads.parse(whole)
    return heads


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.integers(0, 5), LENGTHS, LENGTHS)
def test_what_is_known_again_is_what_would_be_read(
    lines: list[tuple[str, str]], at: int, first: int, second: int
) -> None:
    heads, body = remembering(head(lines, at, b"%d" % first)), b"{}\r\n\r\n1\r\n\r\n"
    data = head(lines, at, b"%d" % second)
    begins = heads.match(data + body)
    if begins:
        anew = remembering(data)
        assert (begins, heads.length, heads.keep_alive) == (len(data), second, anew.keep_alive)
    else:
        assert {"expect", "traceparent"} & {name for name, _ in lines}, "it is not remembered"


LINES = [("host", "here"), ("authorization", "Bearer k"), ("accept", "*/*")]
KNOWN = head(LINES, 1, b"12")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        KNOWN[:-1],
        KNOWN[:-4],
        KNOWN[: KNOWN.index(b"12") + 2],
        KNOWN[: KNOWN.index(b"12") + 3],
        head(LINES, 1, b""),
        head(LINES, 1, b"-1"),
        head(LINES, 1, b"+1"),
        head(LINES, 1, b"1_0"),
        head(LINES, 1, b" 1"),
        head(LINES, 1, b"1\r\ncontent-length: 1"),
        head(LINES, 1, b"1\r\nexpect: 100-continue"),
        head(LINES, 1, "\N{SUPERSCRIPT TWO}".encode()),
        head(LINES, 1, b"1" * 16),
        head(LINES, 0, b"12"),
        head(LINES[:2], 1, b"12"),
        head([*LINES, ("x", "y")], 1, b"12"),
        KNOWN.replace(b"Bearer k", b"Bearer l"),
        KNOWN.replace(b"here", b"Here"),
    ],
)
def test_what_is_not_known_again(data: bytes) -> None:
    heads = remembering(KNOWN)
    assert heads.match(data) == 0
    assert heads.match(KNOWN) == len(KNOWN), "the last is still known"


@pytest.mark.parametrize(
    "lines",
    [
        [*LINES, ("traceparent", "00-1-1-00")],
        [*LINES, ("connection", "close")],
        [*LINES, ("x", "y\r\ncontent-length: 12")],
    ],
    ids=["traced", "closing", "two lengths"],
)
def test_what_is_not_remembered(lines: list[tuple[str, str]]) -> None:
    heads = HeadParser()
    heads.parse(head(lines, 1, b"12"))
    assert heads.match(head(lines, 1, b"12")) == 0


def test_another_head_takes_its_place() -> None:
    heads, other = remembering(KNOWN), head([("host", "there")], 1, b"7")
    assert heads.parse(other)
    assert heads.match(KNOWN) == 0
    assert (heads.match(other), heads.length) == (len(other), 7)
