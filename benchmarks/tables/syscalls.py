"""System calls of a request, counted by strace: the same on every machine."""

import shutil
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


def syscalls(stage: Stage, stack: ExitStack) -> Readings:
    rows = {
        "tollgate, ledger in memory": _read(stage, "memory", "auto"),
        "tollgate, ledger in Redis": _read(stage, "embedded", "auto"),
    }
    note = f"{REQUESTS:,} requests over 32 connections, 1 kB; the aim is {GOAL} without Redis."
    return Readings("System calls of a request (strace)", rows, note)


def _read(stage: Stage, ledger: str, route: str) -> Reading:
    """Its gateway is gone before the next one starts."""
    with ExitStack() as stack:
        return Reading("calls", [count(stage, stack, ledger, route)])


def count(stage: Stage, stack: ExitStack, ledger: str, route: str) -> float:
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
    before = lines(log, gateway.pid)
    row.measure(REQUESTS)
    return (lines(log, gateway.pid) - before) / REQUESTS


def lines(log: Path, pid: int) -> int:
    """Of the files that strace writes, one for each thread: a line for each call."""
    threads = (cpu.PROC / str(pid) / "task").iterdir()
    files = [log.with_name(f"{log.name}.{thread.name}") for thread in threads]
    return sum(file.read_bytes().count(b"\n") for file in files if file.exists())
