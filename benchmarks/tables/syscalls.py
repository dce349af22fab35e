"""System calls of a request, counted by strace: the same on every machine."""

import re
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from benchmarks import cpu
from benchmarks.gateways import Setting, worker_of
from benchmarks.servers import SUT_CPU, CannotRun, pinned
from benchmarks.stage import Ask, Stage
from benchmarks.table import Reading, Readings

REQUESTS = 2_000
WARM_UP = 500
GOAL = 5
WORTH_TELLING = 0.01
_NAME = re.compile(r"^(\w+)\(", re.MULTILINE)
"""Signals and the ends of threads have lines, too, but no names."""


def syscalls(stage: Stage, stack: ExitStack) -> Readings:
    rows: dict[str, Reading] = {}
    for told, ledger in (("in memory", "memory"), ("in Redis", "embedded")):
        with ExitStack() as own:  # one is gone before the next one starts
            found = count(stage, own, ledger, "auto")
        name = f"tollgate, ledger {told}"
        rows[name] = Reading("calls", [sum(found.values())])
        rows[f"{name}, but for getpid"] = Reading("calls", [but_for_getpid(found)])
        for call, times in found.most_common():
            if times >= WORTH_TELLING:
                rows[f"  {ledger}: {call}"] = Reading("calls", [times])
    note = (
        f"{REQUESTS:,} requests over 32 connections, 1 kB; the aim is {GOAL} without Redis. "
        "Python 3.11 calls getpid each time it is asked for the running loop; 3.12 does not."
    )
    return Readings("System calls of a request (strace)", rows, note)


def but_for_getpid(found: Counter[str]) -> float:
    """Python 3.11's own are not ours: the same code makes none of them under a newer one."""
    return sum(found.values()) - found["getpid"]


def count(stage: Stage, stack: ExitStack, ledger: str, route: str) -> Counter[str]:
    """System calls of all threads of the gateway, not of its ledger's server, for each request.

    The gateway is started under strace, as attaching to it may not be allowed.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise CannotRun("no strace (Debian: apt install strace): system calls are not counted")
    log = stage.folder / f"strace-{ledger}"
    prefix = [*pinned(SUT_CPU), strace, "-ff", "-qq", "-o", str(log)]
    setting = Setting(f"traced-{ledger}", ledger=ledger, prefix=prefix, patience_s=120)
    gateway = stage.gateway(stack, setting)
    gateway.pid = worker_of(gateway)
    row = stage.through(gateway, "traced", route, Ask(warm_up=WARM_UP))
    row.measure(WARM_UP)
    before = calls(log, gateway.pid)
    row.measure(REQUESTS)
    after = calls(log, gateway.pid)
    return Counter({name: (after[name] - before[name]) / REQUESTS for name in after})


def calls(log: Path, pid: int) -> Counter[str]:
    """By name, from the files that strace writes: one for each thread, a line for each call."""
    found: Counter[str] = Counter()
    for thread in (cpu.PROC / str(pid) / "task").iterdir():
        file = log.with_name(f"{log.name}.{thread.name}")
        if file.exists():
            found.update(_NAME.findall(file.read_text(errors="replace")))
    return found
