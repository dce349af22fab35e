"""Server-sent events from bytes, cut anywhere (WHATWG HTML, section 9.2).

Lines are split on bytes: str.splitlines would also cut at U+2028, which answers contain.
"""

from typing import Final

from gateway.core.errors import Broken

MAX_LINE: Final = 4 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class SseDecoder:
    """Feed it chunks; it gives whole events as (event name, data). Comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False
        self._too_long = False

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events that are whole now.

        Raises Broken for a line, or the data of one event, beyond 4 MiB: once the events ahead
        of it have been given.
        """
        if self._begun and not (self._rest or self._data or self._name or self._too_long):
            # Nearly all chunks are one whole event; it is cut out without splitting.
            end = chunk.find(b"\n")
            if (
                chunk.startswith(b"data: ")
                and end == len(chunk) - 2
                and chunk.endswith(b"\n\n")
                and b"\r" not in chunk
                and end < MAX_LINE
            ):
                return [("", chunk[6:-2])]
        events: list[tuple[str, bytes]] = []
        if not self._too_long:
            rest = self._rest + chunk if self._rest else chunk
            if not self._begun:
                rest = self._begin(rest)
            self._read(self._lines(rest), events)
        if self._too_long and not events:
            raise Broken("a line of the stream is beyond 4 MiB")
        return events

    def finish(self) -> list[tuple[str, bytes]]:
        """The last event, where the stream ended without its empty line."""
        self._begun = True
        return self.feed(b"\n\n") if self._rest or self._data or self._too_long else []

    def _begin(self, rest: bytes) -> bytes:
        """Without the byte order mark that a stream may begin with."""
        self._begun = len(rest) >= len(_BOM) or not _BOM.startswith(rest)
        return rest.removeprefix(_BOM)

    def _lines(self, rest: bytes) -> list[bytes]:
        if b"\r" in rest:
            # A CR at the very end may be the first half of CRLF: it waits for its other half.
            held = b"\r" if rest.endswith(b"\r") else b""
            rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *lines, last = rest.split(b"\n")
            self._rest = last + held
        else:
            *lines, self._rest = rest.split(b"\n")
        if len(rest) > MAX_LINE:
            for number, line in enumerate((*lines, self._rest)):
                if len(line) > MAX_LINE:
                    self._too_long = True
                    return lines[:number]
        return lines

    def _read(self, lines: list[bytes], events: list[tuple[str, bytes]]) -> None:
        for line in lines:
            if not line:
                if self._data:
                    events.append((self._name, b"\n".join(self._data)))
                    self._data, self._size = [], 0
                self._name = ""
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
                self._size += len(line)
                if self._size > MAX_LINE:
                    self._too_long = True
                    return
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")
