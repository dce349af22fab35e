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


class Heads:
    """`headers` are those of the head that was read last, `keeps` is whether the connection may be
    kept after it, and `again` whether it was as the one before.
    """

    __slots__ = ("_after", "_at", "_before", "again", "headers", "keeps")

    def __init__(self) -> None:
        self.headers: Pairs = []
        self.keeps = True
        self.again = False
        self._before = b"\0"
        """As no head begins."""
        self._after = b""
        self._at = 0
        """Where the length is in `headers`."""

    def read(self, head: bytes) -> int | None:
        """The body's length; None when this is not as plain as we want it."""
        if head.startswith(self._before) and head.endswith(self._after):
            length = head[len(self._before) : -len(self._after)]
            if length.isdigit() and len(length) <= _DIGITS:
                self.again = True
                self.headers[self._at] = (b"content-length", length)
                return int(length)
        self.again = False
        self._before = b"\0"
        return self._parsed(head)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As the parser tells them."""
        self.headers.append((name.lower(), value))

    def _parsed(self, head: bytes) -> int | None:
        self.headers = []
        parser = HttpRequestParser(self)
        upgrades = False
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            upgrades = True  # we stay with what we speak
        except HttpParserError:
            return None
        named = dict(self.headers)
        length = named.get(b"content-length")
        if length is None or not _ODD.isdisjoint(named):
            return None
        self.keeps = not upgrades and parser.should_keep_alive()
        # Who traces its requests says something new in each, and is to be heard in each.
        if self.keeps and b"traceparent" not in named:
            self._remember(head, length)
        return int(length)

    def _remember(self, head: bytes, length: bytes) -> None:
        found = [*_LENGTH.finditer(head)]
        if len(found) == 1:
            self._before, self._after = head[: found[0].start(1)], head[found[0].end(1) :]
            self._at = self.headers.index((b"content-length", length))
