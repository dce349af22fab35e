"""TLS on a connection that is TLS already, for those who wait in a thread: Python's own sockets
have it once. For the event loop asyncio does this.
"""

import io
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
_PIECE: Final = 16 * 1024


def secured(sock: Any, tls: ssl.SSLContext, host: str) -> Any:
    """A socket's own TLS, or `Within`. Where that fails, the socket is closed. Raises OSError."""
    if not isinstance(sock, ssl.SSLSocket):
        return tls.wrap_socket(sock, server_hostname=host)
    try:
        return Within(sock, tls, host)
    except BaseException:
        sock.close()
        raise


class Within:
    """As much of a socket as http.client asks for: it ends when it and its files are closed."""

    def __init__(self, outer: ssl.SSLSocket, tls: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._users = 1
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._came, self._goes, server_hostname=host)
        self._until(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[self._until(lambda: self._tls.write(data)) :]  # noqa: B023 - called at once

    def recv(self, most: int) -> bytes:
        """b"" when the other end has left, with or without a word."""
        try:
            return self._until(lambda: self._tls.read(most))
        except ssl.SSLEOFError:
            return b""

    def makefile(self, _: str) -> io.BufferedReader:
        """To be read from: "rb" is all that is asked for."""
        self._users += 1
        return io.BufferedReader(_File(self))

    def close(self) -> None:
        self._users -= 1
        if self._users <= 0:
            self._outer.close()

    def _until(self, do: Callable[[], T]) -> T:
        """What it gives, once enough has come and all that it wants to say is out."""
        while True:
            try:
                done = do()
            except ssl.SSLWantReadError:
                self._send()
                if piece := self._outer.recv(_PIECE):
                    self._came.write(piece)
                else:
                    self._came.write_eof()
            else:
                self._send()
                return done

    def _send(self) -> None:
        if said := self._goes.read():
            self._outer.sendall(said)


class _File(io.RawIOBase):
    def __init__(self, of: Within) -> None:
        self._of = of

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        read = self._of.recv(len(into))
        into[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._of.close()
