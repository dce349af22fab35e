"""The headers of an answer, read only where somebody asks for one."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_GOOD: Final = b"HTTP/1.1 2"
_ITS_END: Final = b"\r\n\r\n"
_USUAL: Final = 4096
"""Bytes that hold nearly every head."""


class Headers(Mapping[str, str]):
    """Names are looked up in lower case; of a name that came twice, the last.

    `raw` is what came until the head was whole: more may have come with it, before and behind.
    Providers send some twenty headers, and of a good answer none is read: to be told them all by
    the parser costs 4 us.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes = b"") -> None:
        self.raw = raw

    def find(self, name: bytes) -> bytes | None:
        """The value of a name in lower case."""
        head, ended, _ = self.raw[:_USUAL].partition(_ITS_END)
        # A head that is the first to come ends with the first empty line. Not by `name in head`:
        # that takes the name for a number first, and costs 0.8 us more.
        if ended and head[:10] == _GOOD and not head.lower().count(name):
            return None
        found = None
        for said, value in self._parsed().items():
            if said.lower() == name:
                found = value
        return found

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(len(name) + len(value) for name, value in self._parsed().items())

    @property
    def ends_with_the_connection(self) -> bool:
        """RFC 9112, 6.3: an answer with these does not say how long it is."""
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
        return _Head(self.raw).said


class _Head:
    """Reads as the connection's own parser did, up to the end of a head that is none of 1xx."""

    def __init__(self, raw: bytes) -> None:
        self.said: dict[bytes, bytes] = {}
        self.on_header = self.said.__setitem__
        self.on_message_begin = self.said.clear
        self._parser = HttpResponseParser(self)
        with suppress(HttpParserError, HttpParserUpgrade):
            self._parser.feed_data(raw)
        del self._parser  # it refers to us

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            raise HttpParserError("enough")
