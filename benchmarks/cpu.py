"""CPU time and memory of processes, as the kernel tells them."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def ticks(stat: str) -> int:
    """utime + stime of a /proc/<pid>/stat (proc(5), fields 14 and 15), in clock ticks.

    Its children's are not in it. The second field is the program's name, which may hold spaces
    and parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def tree(pid: int, children: Callable[[int], Iterable[int]]) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def children(pid: int) -> list[int]:
    tasks = PROC.glob(f"{pid}/task/*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def seconds(pid: int) -> float:
    """User and system time that a process and its descendants have used so far."""
    total = sum(ticks((PROC / str(each) / "stat").read_text()) for each in tree(pid, children))
    return total / TICKS_PER_S


def stolen(stat: str) -> float:
    """CPU seconds that the host gave to others when they were wanted here; of a /proc/stat."""
    return int(stat.split("\n", 1)[0].split()[8]) / TICKS_PER_S


def rss_kb(status: str) -> int:
    """VmRSS of a /proc/<pid>/status, in kB; 0 where there is none."""
    told = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(told[0]) if told else 0


def resident_kb(pid: int) -> int:
    """Memory that a process and its descendants hold, in kB."""
    return sum(rss_kb((PROC / str(each) / "status").read_text()) for each in tree(pid, children))
