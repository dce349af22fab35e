"""Compressed answers: we ask for none, and some provider sends one all the same."""

import zlib
from typing import Final

from gateway.core.errors import Broken
from gateway.drivers.upstream.http_failures import MAX_ANSWER, broken, too_large
from gateway.drivers.upstream.http_headers import Headers

_NAME: Final = b"content-encoding"
_GZIP: Final = 16 + zlib.MAX_WBITS


class Plain:
    """An answer that is not compressed."""

    def feed(self, piece: bytes) -> bytes:
        """What the piece says."""
        return piece

    def finish(self) -> None:
        """At the end of the answer."""


class Deflated(Plain):
    """A compressed one, fed in pieces. Raises Broken."""

    def __init__(self, coding: bytes) -> None:
        self._coding = coding
        self._inside: zlib._Decompress | None = None

    def feed(self, piece: bytes) -> bytes:
        """What the piece says: 64 MiB at most."""
        if not piece:
            return b""
        if self._inside is None:
            self._inside = zlib.decompressobj(self._window(piece[0]))
        try:
            plain = self._inside.decompress(piece, MAX_ANSWER)
        except zlib.error as error:
            raise broken() from error
        if self._inside.unconsumed_tail:
            raise too_large()
        if self._inside.unused_data:
            raise broken()
        return plain

    def finish(self) -> None:
        """At the end of the answer; an empty one need not be compressed."""
        if self._inside is not None and not self._inside.eof:
            raise broken()

    def _window(self, first: int) -> int:
        if self._coding != b"deflate":
            return _GZIP
        # Some send it as RFC 9110 says, with zlib's header, and some without.
        return zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


PLAIN: Final = Plain()


def plain(headers: Headers, body: bytes) -> bytes:
    """What a whole answer with these headers says. Raises Broken."""
    coded = headers.find(_NAME)
    if coded is None:
        return body
    coding = _coding(coded)
    said = coding.feed(body)
    coding.finish()
    return said


def coding_of(headers: Headers) -> Plain:
    """How an answer with these headers is read. Raises Broken when it cannot be."""
    coded = headers.find(_NAME)
    return PLAIN if coded is None else _coding(coded)


def _coding(said: bytes) -> Plain:
    coding = said.strip().lower()
    if coding in (b"", b"identity"):
        return PLAIN
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        return Deflated(coding)
    raise Broken("the answer is compressed in a way that was not asked for")
