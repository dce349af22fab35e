"""Parses the request heads of one connection. A client mostly repeats its head, except for the
content-length: what llhttp has parsed once is recognised, and not parsed again.
"""

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from gateway.web.client import Pairs

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_ODD: Final = frozenset({b"expect", b"transfer-encoding"})
_DIGITS: Final = 15


class HeadParser:
    """`headers`, and `keep_alive` (may the connection be kept?), are of the head parsed last.
    `length` is that of the latest body, in bytes.
    """

    __slots__ = (
        "_after",
        "_before",
        "_behind",
        "_first",
        "_parser",
        "_tail",
        "headers",
        "keep_alive",
        "length",
    )

    def __init__(self) -> None:
        self.headers: Pairs = []
        self.keep_alive = True
        self.length = 0
        self._before = b"\0"
        """The remembered head up to the length; no head begins with a NUL."""
        self._after = b""
        self._first = self._tail = slice(0)
        """Of new data: as many bytes as `_before` has, and from there as far as the head may reach.
        Slicing and comparing takes a sixth less than `startswith` and `find` within bounds.
        """
        self._behind = 0
        """Bytes behind the length."""

    def match(self, data: bytes) -> int:
        """Where the body begins, if the head is the remembered one; else 0."""
        if data[self._first] == self._before:
            length, after, _ = data[self._tail].partition(self._after)
            if after and length.isdigit():
                self.length = int(length)
                begins: int = self._tail.start + len(length) + self._behind
                return begins
        return 0

    def parse(self, head: bytes) -> bool:
        """False for a head that is invalid, or not plain enough for the hot path."""
        self.headers = []
        self._before = b"\0"
        self._parser = parser = HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            pass  # we stay with HTTP/1.1
        except HttpParserError:
            return False
        finally:
            del self._parser  # it refers to us
        named = dict(self.headers)
        length = named.get(b"content-length")
        if length is None or not _ODD.isdisjoint(named):
            return False
        self.length = int(length)
        # A traceparent differs from request to request, and each must be read.
        if self.keep_alive and b"traceparent" not in named:
            self._remember(head)
        return True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Read here: at the end of the body, which may be empty, the parser forgets it."""
        self.keep_alive = self._parser.should_keep_alive()

    def _remember(self, head: bytes) -> None:
        found = [*_LENGTH.finditer(head)]
        if len(found) == 1:
            start, end = found[0].span(1)
            self._before, self._after = head[:start], head[end:]
            self._behind = len(self._after)
            self._first = slice(start)
            self._tail = slice(start, start + _DIGITS + self._behind)
