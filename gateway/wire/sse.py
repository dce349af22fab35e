"""Server-sent events from bytes, cut anywhere (WHATWG HTML, section 9.2).

Lines are split on bytes: str.splitlines would also cut at U+2028, which answers contain.
"""

from typing import Final

from gateway.core.errors import Broken

MAX_LINE: Final = 4 * 1024 * 1024


class SseDecoder:
    """Feed it chunks; it gives whole events as (event name, data). Comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events that are whole now. Raises Broken for a line beyond 4 MiB."""
        rest = self._rest + chunk if self._rest else chunk
        if b"\r" in rest:
            # A CR at the very end may be the first half of CRLF: it waits for its other half.
            held = b"\r" if rest.endswith(b"\r") else b""
            rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *lines, last = rest.split(b"\n")
            self._rest = last + held
        else:
            *lines, self._rest = rest.split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise Broken("a line of the stream is beyond 4 MiB")
        events: list[tuple[str, bytes]] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append((self._name, b"\n".join(self._data)))
                self._name, self._data = "", []
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")
        return events

    def finish(self) -> list[tuple[str, bytes]]:
        """The last event, where the stream ended without its empty line."""
        return self.feed(b"\n\n") if self._rest or self._data else []
