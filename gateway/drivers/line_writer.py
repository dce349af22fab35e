"""Writes lines to a file or a stream in a thread: the event loop never waits for disk or reader.

The thread writes batches of some milliseconds. Unwritten lines are buffered up to a bound and then
dropped, with a warning; at a normal stop all is written.
"""

import asyncio
import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final

EVERY_S: Final = 0.05
_HAND_OVER_BYTES: Final = 256 * 1024
"""Bytes after which a batch is handed over early."""
_MAX_WAITING: Final = 64 * 1024 * 1024
"""Bytes that may wait for a slow reader."""
_PATIENCE_S: Final = 5.0
"""How long a stop waits for a slow reader."""
_STREAMS: Final = {"stdout": 1, "stderr": 2}

_log: Final = logging.getLogger("gateway")


def why_unwritable(to: str) -> str | None:
    """Why a writer would fail, as far as can be checked without creating the file; else None."""
    if to in _STREAMS:
        return None
    path, number = Path(to), None
    try:
        if path.is_dir():
            number = errno.EISDIR
        elif not path.exists() and not path.parent.is_dir():
            number = errno.ENOENT
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            number = errno.EACCES
    except OSError as error:  # nobody may look in there, or the name is too long
        number = error.errno
    return None if number is None else f"cannot write to {to}: {os.strerror(number)}"


class LineWriter:
    """`to` is stdout, stderr, or a path. `clean`, if given, is applied to each batch before it is
    written. Raises OSError for a file that cannot be opened. For use on one event loop.
    """

    def __init__(self, to: str, clean: Callable[[bytes], bytes] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._clean = clean
        self._sink = _Sink(to)
        self._buffer = bytearray()
        self._due = False
        self._waiting = 0
        self._overflows = False
        """Since then not all that waited was ever written."""
        self._count_lock = threading.Lock()
        self.lost = 0
        """Lines."""
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """`line` includes its line break."""
        buffer = self._buffer
        buffer += line
        if not self._due:
            self._due = True
            self._loop.call_later(EVERY_S, self._hand_over)
        elif len(buffer) > _HAND_OVER_BYTES:
            self._hand_over(due=True)

    async def aclose(self) -> None:
        """Wait until all is written, or give up on a slow reader."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, _PATIENCE_S)
        if self.lost or self._waiting:
            _log.warning("the log: %d lines lost, %d bytes unread", self.lost, self._waiting)

    def _hand_over(self, due: bool = False) -> None:
        self._due = due
        buffer = self._buffer
        if not buffer:
            return
        self._buffer = bytearray()
        if self._waiting > _MAX_WAITING:
            if not self._overflows:
                self._overflows = True
                _log.warning("the log is not read: lines are lost from now on")
            self.lost += buffer.count(b"\n")
            return
        if not self._waiting:
            self._overflows = False
        with self._count_lock:
            self._waiting += len(buffer)
        self._queue.put(bytes(buffer))

    def _run(self) -> None:
        failing = False
        while (lines := self._queue.get()) is not None:
            try:
                self._sink.write(lines if self._clean is None else self._clean(lines))
                if failing:
                    failing = False
                    _log.warning("the log is written again: %d lines lost so far", self.lost)
            except OSError as error:
                self.lost += lines.count(b"\n")
                if not failing:  # log it once, not twenty times a second
                    failing = True
                    _log.warning("the log cannot be written: %s", error.strerror or error)
            with self._count_lock:
                self._waiting -= len(lines)
        self._sink.close()


class _Sink:
    """Writes whole lines, also where several processes write to the same file. Reopens a file that
    was rotated.
    """

    def __init__(self, to: str) -> None:
        self._path = None if to in _STREAMS else to
        self._fd = _STREAMS[to] if to in _STREAMS else _open_for_append(to)

    def write(self, lines: bytes) -> None:
        """All of them, or, in a file, none. Raises OSError."""
        if self._path is not None and self._was_moved():
            # Open first: a closed descriptor's number may be reused by a connection at once.
            old, self._fd = self._fd, _open_for_append(self._path)
            os.close(old)
        # Pipe writes are atomic up to 4 kB; longer ones would mix with other workers' lines.
        with suppress(OSError):
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            self._write(lines)
        finally:
            with suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _write(self, lines: bytes) -> None:
        end = os.fstat(self._fd).st_size
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            if self._path is not None:  # undo a partial write on a full disk
                with suppress(OSError):  # a named pipe cannot be truncated
                    os.ftruncate(self._fd, end)
            raise

    def close(self) -> None:
        if self._path is not None:
            os.close(self._fd)

    def _was_moved(self) -> bool:
        try:
            current, opened = Path(str(self._path)).stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return True
        return (current.st_dev, current.st_ino) != (opened.st_dev, opened.st_ino)


def _open_for_append(path: str) -> int:
    """A named pipe that nobody reads is an OSError (ENXIO): its opening would wait for a reader."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    os.set_blocking(descriptor, True)
    return descriptor
