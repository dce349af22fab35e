"""TLS inside a TLS connection, for blocking sockets: Python's ssl module cannot nest them. For the
event loop asyncio does this.
"""

import io
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
_PIECE: Final = 16 * 1024


def wrap_tls(sock: Any, tls: ssl.SSLContext, host: str) -> Any:
    """Wraps a socket with TLS, nested if it has TLS. Closes it on failure. Raises OSError."""
    if not isinstance(sock, ssl.SSLSocket):
        return tls.wrap_socket(sock, server_hostname=host)
    try:
        return TlsInTls(sock, tls, host)
    except BaseException:
        sock.close()
        raise


class TlsInTls:
    """The part of a socket that http.client uses; closed when it and its files are closed."""

    def __init__(self, outer: ssl.SSLSocket, tls: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._open_handles = 1
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._run(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[self._run(lambda: self._tls.write(data)) :]  # noqa: B023 - called at once

    def recv(self, size: int) -> bytes:
        """b"" when the peer has closed, with or without a TLS close."""
        try:
            return self._run(lambda: self._tls.read(size))
        except ssl.SSLEOFError:
            return b""

    def makefile(self, _: str) -> io.BufferedReader:
        """A reader: http.client asks for nothing but "rb"."""
        self._open_handles += 1
        return io.BufferedReader(_File(self))

    def close(self) -> None:
        self._open_handles -= 1
        if self._open_handles <= 0:
            self._outer.close()

    def _run(self, operation: Callable[[], T]) -> T:
        """Run a TLS operation until it succeeds, moving bytes between it and the outer socket."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                if piece := self._outer.recv(_PIECE):
                    self._incoming.write(piece)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._outer.sendall(data)


class _File(io.RawIOBase):
    def __init__(self, stream: TlsInTls) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._stream.recv(len(buffer))
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stream.close()
