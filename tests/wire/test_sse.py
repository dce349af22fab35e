"""Server-sent events: what is one, wherever the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Broken
from gateway.wire.sse import MAX_LINE, SseDecoder

EVENTS = [
    (b"data: a\n\n", [("", b"a")]),
    (b"data:a\n\n", [("", b"a")]),
    (b"data:  a\n\n", [("", b" a")]),
    (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
    (b"data\n\ndata: a\n\n", [("", b"a")]),
    (b"event: ping\ndata: {}\n\ndata: a\n\n", [("ping", b"{}"), ("", b"a")]),
    (b"event: lost\n\ndata: a\n\n", [("", b"a")]),
    (b": comment\n\ndata: a\n\n: data: b\n\n", [("", b"a")]),
    (b"id: 1\nretry: 5\ndata: a\n\n", [("", b"a")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", b"a"), ("", b"b")]),
    (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
    ("\ufeffdata: a\n\n".encode(), [("", b"a")]),
    ("data: a\u2028b\u0085c\n\n".encode(), [("", "a\u2028b\u0085c".encode())]),
    (b"data: a", [("", b"a")]),
    (b"data: a\n", [("", b"a")]),
    (b"data: a\n\ndata: b\nevent: late", [("", b"a"), ("late", b"b")]),
    (b'data: a\n\n{"b": 1}\n\ndata: c\n\n', [("", b"a"), ("", b'{"b": 1}'), ("", b"c")]),
    (b'data: a\n\n{\n "b": 1\n}', [("", b"a"), ("", b'{\n "b": 1\n}')]),
    (b'data: a\n\n{\n "b": 1\n}\n', [("", b"a"), ("", b'{\n "b": 1\n}')]),
    (b"", []),
    (b"\n\n\n", []),
]


def read(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(body) + 1) for place in places})
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]


@pytest.mark.parametrize(("body", "events"), EVENTS)
def test_events(body: bytes, events: list[tuple[str, bytes]]) -> None:
    assert read([body]) == events
    assert read([body[i : i + 1] for i in range(len(body))]) == events


SCRAPS = st.sampled_from(
    [b"data: ", b"data:", b"event: e", b": c", b"\n", b"\n\n", b"\r\n", b"\r", b"{}",
     b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"data: x\n\n", b"\xff"]
)  # fmt: skip


@given(st.lists(SCRAPS).map(b"".join), st.lists(st.integers(0, 10_000)))
def test_a_cut_changes_nothing(body: bytes, places: list[int]) -> None:
    assert read(cut(body, places)) == read([body])


@given(st.lists(st.tuples(st.sampled_from(["", "ping"]), st.text("ab\u2028 é:", min_size=1))))
def test_what_is_written_is_read(written: list[tuple[str, str]]) -> None:
    body = "".join(
        (f"event: {name}\n" if name else "") + f"data: {data}\n\n" for name, data in written
    )
    assert read([body.encode()]) == [(name, data.encode()) for name, data in written]


LONG = b"data: " + b"x" * MAX_LINE


@pytest.mark.parametrize(
    "body",
    [LONG, LONG + b"\n\n", b"data: " + b"x" * (MAX_LINE - 100) + b"\ndata: " + b"x" * 200 + b"\n"],
    ids=["no end", "whole", "many lines"],
)
def test_an_event_beyond_4_mib_is_refused_after_those_ahead_of_it(body: bytes) -> None:
    for pieces in ([b"data: a\n\n" + body], [b"data: a\n\n", body[:9], body[9:]]):
        decoder = SseDecoder()
        events: list[tuple[str, bytes]] = []
        with pytest.raises(Broken, match="4 MiB"):
            events.extend(event for piece in [*pieces, b""] for event in decoder.feed(piece))
        assert events == [("", b"a")]
