"""The usual process_* metrics of Prometheus clients, for all processes of this gateway.

Linux only: read from /proc.
"""

import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.drivers.metrics.catalogue import PROCESS_METRICS
from gateway.drivers.metrics.text import head, number

_PROC: Final = Path("/proc")

# Fields of /proc/<pid>/stat, counted after the command's name; times are in ticks.
_PARENT: Final = 1
_TIMES: Final = slice(11, 13)
_TIMES_WITH_CHILDREN: Final = slice(11, 15)
_STARTED: Final = 19
_PAGES: Final = 21


class ProcessMetrics:
    """Of one process; or of workers and the parent that starts them.

    CPU time of dead workers is part of the parent's, so that the counter does not go back.
    """

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._boot_time = _boot_time()

    def text(self, pids: Iterable[int]) -> str:
        """Empty where there is no /proc."""
        if self._boot_time is None:
            return ""
        ours = [stat for stat in map(_read_stat, pids) if stat and self._is_ours(stat)]
        ticks = sum(sum(map(int, stat[_TIMES])) for stat in ours)
        parent = None if self._parent is None else _read_stat(self._parent)
        if parent is not None:
            ours.append(parent)
            ticks += sum(map(int, parent[_TIMES_WITH_CHILDREN]))
        started = min((int(stat[_STARTED]) for stat in ours), default=0)
        values = (
            ticks * self._tick_s,
            sum(int(stat[_PAGES]) for stat in ours) * self._page_bytes,
            self._boot_time + started * self._tick_s,
            max(map(_count_open_files, pids)),
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        return "".join(
            f"{head(name, metric.kind, metric.help)}{name} {number(float(value))}\n"
            for (name, metric), value in zip(PROCESS_METRICS.items(), values, strict=True)
        )

    def _is_ours(self, stat: list[bytes]) -> bool:
        """False for another process that has reused a dead worker's pid."""
        return self._parent is None or int(stat[_PARENT]) == self._parent


def _read_stat(pid: int) -> list[bytes] | None:
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def _count_open_files(pid: int) -> int:
    try:
        return sum(1 for _ in os.scandir(_PROC / str(pid) / "fd"))
    except OSError:  # it has gone
        return 0


def _boot_time() -> float | None:
    try:
        lines = (_PROC / "stat").read_bytes().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), None)
