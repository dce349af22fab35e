"""Decodes compressed answers: we ask for none, but some providers send them all the same."""

import zlib
from typing import Final

from gateway.core.errors import Broken
from gateway.drivers.upstream.http_failures import MAX_ANSWER, broken, too_large

CONTENT_ENCODING: Final = b"content-encoding"
_GZIP: Final = 16 + zlib.MAX_WBITS


class IdentityDecoder:
    """Passes through a body that is not compressed."""

    def feed(self, piece: bytes) -> bytes:
        """The decoded bytes of this piece."""
        return piece

    def finish(self) -> None:
        """At the end of the answer."""


class InflateDecoder(IdentityDecoder):
    """Inflates a body, fed in pieces. Raises Broken."""

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._inflater: zlib._Decompress | None = None

    def feed(self, piece: bytes) -> bytes:
        """The decoded bytes of this piece, 64 MiB at most."""
        if not piece:
            return b""
        if self._inflater is None:
            self._inflater = zlib.decompressobj(self._window(piece[0]))
        try:
            plain = self._inflater.decompress(piece, MAX_ANSWER)
        except zlib.error as error:
            raise broken() from error
        if self._inflater.unconsumed_tail:
            raise too_large()
        if self._inflater.unused_data:
            raise broken()
        return plain

    def finish(self) -> None:
        """At the end of the answer; an empty one need not be compressed."""
        if self._inflater is not None and not self._inflater.eof:
            raise broken()

    def _window(self, first: int) -> int:
        if self._encoding != b"deflate":
            return _GZIP
        # Some send deflate with zlib's header, as RFC 9110 says, and some without.
        return zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


IDENTITY: Final = IdentityDecoder()


def decode_body(encoding: bytes | None, body: bytes, status: int = 200) -> bytes:
    """The decoded body of a whole answer. Raises Broken, but not for an error: its status says
    enough.
    """
    if encoding is None:
        return body
    try:
        decoder = decoder_for(encoding)
        decoded = decoder.feed(body)
        decoder.finish()
    except Broken:
        if status < 400:
            raise
        return b""
    return decoded


def decoder_for(encoding: bytes | None) -> IdentityDecoder:
    """The decoder for an answer with this Content-Encoding. Raises Broken for an unknown one."""
    name = b"" if encoding is None else encoding.strip().lower()
    if name in (b"", b"identity"):
        return IDENTITY
    if name in (b"gzip", b"x-gzip", b"deflate"):
        return InflateDecoder(name)
    raise Broken("the answer is compressed in a way that was not asked for")
