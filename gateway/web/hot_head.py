"""The heads of one connection's requests. A client says the same again, but for the length of the
body: what llhttp has read once is not read again.
"""

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from gateway.web.client import Pairs

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_ODD: Final = frozenset({b"expect", b"transfer-encoding"})
_DIGITS: Final = 15


class HeadParser:
    """`headers` are those of the head that was parsed last, `keep_alive` is whether the connection
    may be kept after it, and `length` is the body's, of the head that came last.
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
        """What comes before the length; as no head begins where none is remembered."""
        self._after = b""
        self._first = self._tail = slice(0)
        """Of what comes: as much as came before the length, and from there as far as the head may
        reach. To cut and compare takes a sixth less than `startswith` and `find` within bounds.
        """
        self._behind = 0
        """Bytes behind the length."""

    def match(self, data: bytes) -> int:
        """Where the body begins, behind the same head as the last; 0 where it is none."""
        if data[self._first] == self._before:
            length, after, _ = data[self._tail].partition(self._after)
            if after and length.isdigit():
                self.length = int(length)
                begins: int = self._tail.start + len(length) + self._behind
                return begins
        return 0

    def parse(self, head: bytes) -> bool:
        """False when this is not as plain as we want it."""
        self.headers = []
        self._before = b"\0"
        self._parser = parser = HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            pass  # we stay with what we speak
        except HttpParserError:
            return False
        finally:
            del self._parser  # it refers to us
        named = dict(self.headers)
        length = named.get(b"content-length")
        if length is None or not _ODD.isdisjoint(named):
            return False
        self.length = int(length)
        # Who traces its requests says something new in each, and is to be heard in each.
        if self.keep_alive and b"traceparent" not in named:
            self._remember(head)
        return True

    def on_header(self, name: bytes, value: bytes) -> None:
        """As the parser tells them."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Asked now: with the end of the body, which may be empty, the parser forgets it."""
        self.keep_alive = self._parser.should_keep_alive()

    def _remember(self, head: bytes) -> None:
        found = [*_LENGTH.finditer(head)]
        if len(found) == 1:
            start, end = found[0].span(1)
            self._before, self._after = head[:start], head[end:]
            self._behind = len(self._after)
            self._first = slice(start)
            self._tail = slice(start, start + _DIGITS + self._behind)
