"""Puts a server's log on the disk every second, from outside of the server.

So the server neither waits for the disk nor keeps back what it has answered, and a power failure
loses what was written in the last second or two; without this, in about the last half minute.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

_EVERY_S: Final = 1.0


class LogSync:
    """A thread that runs from now on, until `stop`. It touches nothing but the log's files."""

    def __init__(self, folder: Path, every_s: float = _EVERY_S) -> None:
        self._folder = folder
        self._every = every_s
        self._ending = threading.Event()
        self._sizes: dict[Path, int] = {}
        self.synced = 0
        """How often something new was put on the disk."""
        threading.Thread(target=self._run, name="log-sync", daemon=True).start()

    def stop(self) -> None:
        """Does not wait for a disk that is busy: the server syncs its log when it ends."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            for path in self._folder.glob("*.incr.aof"):
                with suppress(OSError):  # it was replaced by another just now
                    self._put(path)

    def _put(self, path: Path) -> None:
        log = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(log).st_size
            if self._sizes.get(path) != size:
                os.fsync(log)
                self._sizes = {path: size}
                self.synced += 1
        finally:
            os.close(log)
