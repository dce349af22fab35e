"""Lines to a file or a stream, written behind the loop: it never waits for a disk or a reader.

A thread writes what has come together in some milliseconds, at once. What nobody takes in time is
kept up to a bound and then lost, which is told; at a normal stop all is written.
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
_AT_ONCE: Final = 256 * 1024
"""Bytes that are handed over before their time."""
_MOST: Final = 64 * 1024 * 1024
"""Bytes that may wait for a reader who is slow."""
_PATIENCE_S: Final = 5.0
"""How long a stop waits for such a reader."""
_STREAMS: Final = {"stdout": 1, "stderr": 2}

_log: Final = logging.getLogger("gateway")


def unwritable(to: str) -> str | None:
    """What would hinder a writer, as far as it is seen without making a file; else None."""
    if to in _STREAMS:
        return None
    path, found = Path(to), None
    try:
        if path.is_dir():
            found = errno.EISDIR
        elif not path.exists() and not path.parent.is_dir():
            found = errno.ENOENT
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            found = errno.EACCES
    except OSError as error:  # nobody may look in there, or the name is too long
        found = error.errno
    return None if found is None else f"cannot write to {to}: {os.strerror(found)}"


class LineWriter:
    """`to` is stdout, stderr, or a path. `clean` is the last thing that is done to bytes, where
    there is one. Raises OSError for a file that cannot be opened. Used in one loop.
    """

    def __init__(self, to: str, clean: Callable[[bytes], bytes] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._clean = clean
        self._sink = _Sink(to)
        self._buffer = bytearray()
        self._due = False
        self._waiting = 0
        self._count = threading.Lock()
        self.lost = 0
        """Lines."""
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """With its line break."""
        buffer = self._buffer
        buffer += line
        if not self._due:
            self._due = True
            self._loop.call_later(EVERY_S, self._hand_over)
        elif len(buffer) > _AT_ONCE:
            self._hand_over(due=True)

    async def aclose(self) -> None:
        """Until all is written, or nobody takes it."""
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
        if self._waiting > _MOST:
            lines = buffer.count(b"\n")
            if not self.lost:
                _log.warning("the log is not read: lines are lost from now on")
            self.lost += lines
            return
        with self._count:
            self._waiting += len(buffer)
        self._queue.put(bytes(buffer))

    def _run(self) -> None:
        fails = False
        while (lines := self._queue.get()) is not None:
            try:
                self._sink.write(lines if self._clean is None else self._clean(lines))
                if fails:
                    fails = False
                    _log.warning("the log is written again: %d lines lost so far", self.lost)
            except OSError as error:
                self.lost += lines.count(b"\n")
                if not fails:  # what fails twenty times a second is told once
                    fails = True
                    _log.warning("the log cannot be written: %s", error.strerror or error)
            with self._count:
                self._waiting -= len(lines)
        self._sink.close()


class _Sink:
    """Whole lines, also where several processes write to the same. A file that was moved away is
    made anew.
    """

    def __init__(self, to: str) -> None:
        self._path = None if to in _STREAMS else to
        self._fd = _STREAMS[to] if to in _STREAMS else _opened(to)

    def write(self, lines: bytes) -> None:
        """All of them, or, in a file, none. Raises OSError."""
        if self._path is not None and self._moved():
            # In this order: the number of one that is closed soon is some connection's.
            old, self._fd = self._fd, _opened(self._path)
            os.close(old)
        # A pipe takes 4 kB in one piece; what is longer would be torn by other workers' lines.
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
            if self._path is not None:  # a full disk took a part: what comes next would go on there
                with suppress(OSError):  # no file can be cut that is a pipe
                    os.ftruncate(self._fd, end)
            raise

    def close(self) -> None:
        if self._path is not None:
            os.close(self._fd)

    def _moved(self) -> bool:
        try:
            there, mine = Path(str(self._path)).stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
