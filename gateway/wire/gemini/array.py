"""Incremental parser for a stream that is one JSON array of objects.

streamGenerateContent answers so without `alt=sse`; the objects arrive one by one.
"""

import re
from typing import Final

from gateway.core.errors import Broken

MAX_OBJECT: Final = 4 * 1024 * 1024
_OUTSIDE: Final = re.compile(rb'[^"{}]*+(?:\{[^"{}]*+\}[^"{}]*+)*+(["{}])?')
"""Outside strings: up to the next quote or brace, skipping objects without strings in them."""
_INSIDE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+(")?', re.DOTALL)
"""Inside a string: up to its closing quote or the end of the buffer, never half of an escape."""
_BETWEEN: Final = re.compile(rb"[\s,\[\]]*")


class ArrayDecoder:
    """Chunks in, the bytes of each complete top-level object out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pos = 0
        """How far the buffer has been scanned."""
        self._depth = 0
        self._in_string = False
        self._failure: str | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """The objects that this chunk completes.

        Raises Broken for bytes that are not an array of objects, and for an object beyond 4 MiB,
        but only after the objects before it have been returned.
        """
        objects: list[bytes] = []
        if self._failure is None:
            self._buffer += chunk
            while self._step(objects):
                pass
        if self._failure is not None and not objects:
            raise Broken(self._failure)
        return objects

    def finish(self) -> list[bytes]:
        """At the end of the stream. Raises Broken if an object is incomplete."""
        if self._failure is None and self._depth:
            self._failure = "the stream ended within an object"
        return self.feed(b"")

    def _step(self, objects: list[bytes]) -> bool:
        """Advances to the next quote or brace; False if the buffer has none."""
        held = self._buffer
        if self._depth == 0 and not self._enter_object():
            return False
        match = (_INSIDE if self._in_string else _OUTSIDE).match(held, self._pos)
        assert match is not None  # noqa: S101 - both match nothing as well
        self._pos = match.end()
        if self._pos > MAX_OBJECT:
            self._failure = "an object of the stream is beyond 4 MiB"
            return False
        mark: bytes | None = match[1]
        if mark is None:
            return False
        self._handle_mark(mark, objects)
        return True

    def _enter_object(self) -> bool:
        """Skips array punctuation; whether an object begins after it."""
        between = _BETWEEN.match(self._buffer)
        del self._buffer[: between.end() if between else 0]
        self._pos = 0
        if not self._buffer:
            return False
        if not self._buffer.startswith(b"{"):
            self._failure = "the stream is not an array of objects"
            return False
        self._pos = self._depth = 1
        return True

    def _handle_mark(self, mark: bytes, objects: list[bytes]) -> None:
        if mark == b'"':
            self._in_string = not self._in_string
            return
        self._depth += 1 if mark == b"{" else -1
        if self._depth == 0:
            objects.append(bytes(self._buffer[: self._pos]))
            del self._buffer[: self._pos]
