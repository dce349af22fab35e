"""Syncs a server's AOF to disk every second, from outside of the server.

So the server neither waits for the disk nor buffers answered writes, and a power failure loses
the last second or two; without this, about the last half minute.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

_EVERY_S: Final = 1.0


class LogSync:
    """Starts a thread that runs until `stop`. It only reads and syncs the AOF's files."""

    def __init__(self, folder: Path, every_s: float = _EVERY_S) -> None:
        self._folder = folder
        self._every = every_s
        self._stopping = threading.Event()
        self._sizes: dict[Path, int] = {}
        self.synced = 0
        """How often new data was synced."""
        threading.Thread(target=self._run, name="log-sync", daemon=True).start()

    def stop(self) -> None:
        """Does not wait for a busy disk: the server syncs its AOF when it ends."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            for path in self._folder.glob("*.incr.aof"):
                with suppress(OSError):  # a rewrite has just replaced it
                    self._sync_file(path)

    def _sync_file(self, path: Path) -> None:
        log = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(log).st_size
            if self._sizes.get(path) != size:
                os.fsync(log)
                self._sizes = {path: size}
                self.synced += 1
        finally:
            os.close(log)
