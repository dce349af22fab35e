"""AWS event streams (application/vnd.amazon.eventstream): binary messages, cut anywhere.

    total length    4 bytes, big endian, everything included
    headers length  4 bytes
    CRC-32          4 bytes, of the eight before
    headers         one byte of length, name, one byte of type, value (of strings and bytes: two
                    bytes of length before it)
    payload
    CRC-32          4 bytes, of all before

Source: smithy.io, "Amazon Event Stream Specification". Both checksums are verified.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from msgspec import Struct

from gateway.core.errors import Broken

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes of one message."""

HeaderValue = bool | int | str | bytes

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_SHORT: Final = struct.Struct(">H")
_LONG: Final = struct.Struct(">q")
_OVERHEAD: Final = _PRELUDE.size + _CRC.size
_MAX_HEADERS: Final = 128 * 1024
_BYTES, _STRING = 6, 7
_INTEGER_SIZES: Final[Mapping[int, int]] = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8}
"""Integer header types (8 is a time in milliseconds) to their sizes in bytes."""
_UUID: Final = 9


class Message(Struct, frozen=True):
    """One message. A UUID is 16 bytes, a time is Unix milliseconds."""

    headers: Mapping[str, HeaderValue]
    payload: bytes

    def text(self, name: str) -> str:
        """A header that is a string; "" when there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class EventStreamReader:
    """Incremental parser: chunks in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._failure: Broken | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that this chunk completes.

        Raises Broken for a wrong checksum, an impossible length or unreadable headers, but only
        after the messages before it have been returned.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += chunk
        messages: list[Message] = []
        start = 0
        try:
            while (size := self._message_size(start)) and len(self._buffer) - start >= size:
                messages.append(_parse(bytes(self._buffer[start : start + size])))
                start += size
        except Broken as failure:
            self._failure = failure
            if not messages:
                raise
        del self._buffer[:start]
        return messages

    def raise_pending(self) -> None:
        """At the end of the stream: raises the Broken that `feed` held back, if any."""
        if self._failure is not None:
            raise self._failure

    def _message_size(self, start: int) -> int:
        """Length of the message that begins at `start`; 0 until its prelude has arrived."""
        if len(self._buffer) - start < _PRELUDE.size:
            return 0
        total, headers, checksum = _PRELUDE.unpack_from(self._buffer, start)
        if crc32(self._buffer[start : start + 8]) != checksum:
            raise Broken("the stream is damaged: the sum of a message's lengths is wrong")
        fits = headers <= _MAX_HEADERS and headers + _OVERHEAD <= total <= MAX_MESSAGE
        if not fits:
            raise Broken("the stream is damaged: a message has an impossible length")
        return int(total)


def encode(message: Message) -> bytes:
    """A message as bytes. Header values may be bool, 64-bit int, str or bytes."""
    headers = b"".join(_header(name, value) for name, value in message.headers.items())
    lengths = struct.pack(">II", _OVERHEAD + len(headers) + len(message.payload), len(headers))
    whole = lengths + _CRC.pack(crc32(lengths)) + headers + message.payload
    return whole + _CRC.pack(crc32(whole))


def _header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    head = bytes([len(encoded)]) + encoded
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return head + b"\x05" + _LONG.pack(value)
    kind, raw = (_STRING, value.encode()) if isinstance(value, str) else (_BYTES, value)
    return head + bytes([kind]) + _SHORT.pack(len(raw)) + raw


def _parse(whole: bytes) -> Message:
    if crc32(whole[:-4]) != _CRC.unpack_from(whole, len(whole) - 4)[0]:
        raise Broken("the stream is damaged: the sum of a message is wrong")
    end = _PRELUDE.size + _PRELUDE.unpack_from(whole)[1]
    headers: dict[str, HeaderValue] = {}
    pos = _PRELUDE.size
    try:
        while pos < end:
            size = whole[pos]
            name = whole[pos + 1 : pos + 1 + size].decode()
            pos += 1 + size
            headers[name], pos = _READERS[whole[pos]](whole, pos + 1)
    except (IndexError, KeyError, UnicodeError, struct.error):
        pos = -1
    if pos != end:
        raise Broken("the stream is damaged: a message has unreadable headers")
    return Message(headers, whole[end:-4])


def _number(size: int) -> Callable[[bytes, int], tuple[HeaderValue, int]]:
    def number(whole: bytes, pos: int) -> tuple[HeaderValue, int]:
        return int.from_bytes(whole[pos : pos + size], signed=True), pos + size

    return number


def _length_prefixed(whole: bytes, pos: int) -> tuple[bytes, int]:
    size = _SHORT.unpack_from(whole, pos)[0]
    return whole[pos + 2 : pos + 2 + size], pos + 2 + size


def _text(whole: bytes, pos: int) -> tuple[HeaderValue, int]:
    raw, after = _length_prefixed(whole, pos)
    return raw.decode(), after


_READERS: Final[Mapping[int, Callable[[bytes, int], tuple[HeaderValue, int]]]] = {
    0: lambda whole, place: (True, place),
    1: lambda whole, place: (False, place),
    _BYTES: _length_prefixed,
    _STRING: _text,
    _UUID: lambda whole, place: (whole[place : place + 16], place + 16),
    **{kind: _number(size) for kind, size in _INTEGER_SIZES.items()},
}
"""By type, the function that reads a header's value; returns it and the position after it."""
