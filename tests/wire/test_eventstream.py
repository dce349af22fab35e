"""AWS event streams: what is written is read, and what is damaged is told, wherever it is cut."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Broken
from gateway.wire.eventstream import MAX_MESSAGE, EventStreamReader, HeaderValue, Message, encode
from tests.wire.chats import cut

# The message that the specification gives as an example: a header of a string, and a payload.
EXAMPLE = bytes.fromhex(
    "0000003d00000020 07fd8396 0c636f6e74656e742d74797065 07 0010 6170706c69636174696f6e2f6a736f6e"
    "7b27666f6f273a27626172277d 8d9c08b1"
)
NAMES = st.text(min_size=1, max_size=20)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=50) | st.binary()
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=200))


def read(pieces: list[bytes]) -> list[Message]:
    reader = EventStreamReader()
    messages = [message for piece in pieces for message in reader.feed(piece)]
    reader.raise_pending()
    return messages


def framed(headers: bytes, payload: bytes = b"") -> bytes:
    """A message with these header bytes, with sums that are right."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


def lengths(total: int, headers: int) -> bytes:
    """The beginning of a message that says it is so long."""
    said = struct.pack(">II", total, headers)
    return said + struct.pack(">I", crc32(said))


def test_the_example_of_the_specification() -> None:
    message = Message({"content-type": "application/json"}, b"{'foo':'bar'}")
    assert read([EXAMPLE]) == [message]
    assert encode(message) == EXAMPLE


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_is_written_is_read_however_it_is_cut(
    messages: list[Message], places: list[int]
) -> None:
    assert read(cut(b"".join(map(encode, messages)), places)) == messages


READABLE: list[tuple[str, bytes, HeaderValue]] = [
    ("true", b"\x00", True),
    ("false", b"\x01", False),
    ("byte", b"\x02\xff", -1),
    ("short", b"\x03\x01\x00", 256),
    ("integer", b"\x04\xff\xff\xff\xfe", -2),
    ("long", b"\x05\x00\x00\x00\x00\x00\x00\x01\x00", 256),
    ("bytes", b"\x06\x00\x02ab", b"ab"),
    ("string", b"\x07\x00\x02\xc3\xa9", "é"),
    ("time", b"\x08\x00\x00\x01\x00\x00\x00\x00\x00", 2**40),
    ("uuid", b"\x09" + bytes(range(16)), bytes(range(16))),
]


@pytest.mark.parametrize(
    ("raw", "value"), [case[1:] for case in READABLE], ids=[c[0] for c in READABLE]
)
def test_every_type_of_header_is_read(raw: bytes, value: HeaderValue) -> None:
    [message] = read([framed(b"\x01h" + raw + b"\x01z\x00", b"p")])
    assert message == Message({"h": value, "z": True}, b"p")


UNREADABLE = {
    "type": b"\x01h\x0a",
    "cut name": b"\x09h",
    "cut value": b"\x01h\x07\x00\x09ab",
    "cut length": b"\x01h\x07\x00",
    "cut number": b"\x01h\x05\x00",
    "not UTF-8": b"\x01h\x07\x00\x01\xff",
}
DAMAGED = {
    "lengths' sum": (EXAMPLE[:8] + b"\0\0\0\0" + EXAMPLE[12:], "lengths is wrong"),
    "payload": (EXAMPLE.replace(b"foo", b"fox"), "sum of a message is wrong"),
    "header": (EXAMPLE.replace(b"json", b"xson"), "sum of a message is wrong"),
    "last sum": (EXAMPLE[:-1] + b"\0", "sum of a message is wrong"),
    "too short": (lengths(15, 0), "impossible length"),
    "headers beyond it": (lengths(100, 85), "impossible length"),
    "too long": (lengths(MAX_MESSAGE + 1, 0), "impossible length"),
    "headers too long": (lengths(MAX_MESSAGE, 2**17 + 1), "impossible length"),
    **{name: (framed(raw), "unreadable headers") for name, raw in UNREADABLE.items()},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_after_what_came_before_it(name: str) -> None:
    damaged, why = DAMAGED[name]
    reader = EventStreamReader()
    assert [message.payload for message in reader.feed(EXAMPLE + damaged)] == [b"{'foo':'bar'}"]
    with pytest.raises(Broken, match=why):
        reader.feed(b"")
    with pytest.raises(Broken, match=why):
        reader.raise_pending()
    alone = EventStreamReader()
    with pytest.raises(Broken, match=why):
        alone.feed(damaged)


def test_the_longest_message_is_read() -> None:
    longest = Message({}, bytes(MAX_MESSAGE - 16))
    assert len(encode(longest)) == MAX_MESSAGE
    assert read([encode(longest)]) == [longest]


@given(st.binary(), st.lists(st.integers(0, 1_000), max_size=5))
def test_any_bytes_are_messages_or_broken(body: bytes, places: list[int]) -> None:
    outcomes: list[object] = []
    for pieces in ([body], cut(body, places)):
        try:
            outcomes.append(read(pieces))
        except Broken as failure:
            outcomes.append(str(failure))
    assert outcomes[0] == outcomes[1]
