"""The headers of an answer, parsed lazily."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_SUCCESS: Final = b"HTTP/1.1 2"
_HEAD_END: Final = b"\r\n\r\n"
_USUAL_HEAD_BYTES: Final = 4096
"""Bytes that hold nearly every head."""


class Headers(Mapping[str, str]):
    """Looked up by lower-case name; of a repeated name, the last value.

    `raw` is what came until the head was whole: it may contain more, before and after the head.
    Providers send some twenty headers, and of a successful answer none is read: parser callbacks
    for all of them would cost 4 us.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes = b"") -> None:
        self.raw = raw

    def find(self, name: bytes) -> bytes | None:
        """The value of a name in lower case."""
        head, ended, _ = self.raw[:_USUAL_HEAD_BYTES].partition(_HEAD_END)
        # The first head ends with the first empty line. Not `name in head`: for bytes that tries
        # the name as a number first, and costs 0.8 us more.
        if ended and head[:10] == _SUCCESS and not head.lower().count(name):
            return None
        found = None
        for field, value in self._parsed().items():
            if field.lower() == name:
                found = value
        return found

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(len(name) + len(value) for name, value in self._parsed().items())

    @property
    def ends_with_the_connection(self) -> bool:
        """RFC 9112, 6.3: the body has no length, so it lasts until the connection is closed."""
        coding = self.get("transfer-encoding", "").lower()
        return "content-length" not in self and not coding.endswith("chunked")

    def __getitem__(self, name: str) -> str:
        found = self.find(name.encode("latin-1", "replace"))
        if found is None:
            raise KeyError(name)
        return found.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1").lower() for name in self._parsed()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _parsed(self) -> dict[bytes, bytes]:
        """As they came."""
        return _Head(self.raw).fields


class _Head:
    """Parses as the connection did, up to the end of the first head that is not 1xx."""

    def __init__(self, raw: bytes) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.on_header = self.fields.__setitem__
        self.on_message_begin = self.fields.clear
        self._parser = HttpResponseParser(self)
        with suppress(HttpParserError, HttpParserUpgrade):
            self._parser.feed_data(raw)
        del self._parser  # it refers to us

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            raise HttpParserError("enough")
