"""`tollgate serve --workers N`: N processes, each with its own socket on the one port.

The kernel spreads connections over the sockets (SO_REUSEPORT). The parent only starts them,
replaces one that dies, and passes on the signal to stop. A worker that finds its parent gone
stops, too: otherwise it would share the port with the next start.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

WORKERS_DIR: Final = "TOLLGATE_WORKERS_DIR"
"""The folder where workers share their metrics."""
WORKER: Final = "TOLLGATE_WORKER"
"""Which worker a process is, from 0; who takes another's place has its number."""

_POLL_S: Final = 0.1
_TURNS_TO_REPLACE: Final = 10
"""Turns between two looks for the dead: one that dies at once must not keep the machine busy."""
_FIRST_S: Final = 60.0
"""A worker that fails before would fail again: then all end, and its exit code is told."""

Worker = subprocess.Popen[bytes]


def run_workers(arguments: Sequence[str], count: int, env: Mapping[str, str]) -> int:
    """Run `tollgate <arguments>` in so many processes until told to stop; the exit code."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with TemporaryDirectory(prefix="tollgate-metrics-") as folder:
        known = {**env, WORKERS_DIR: folder}
        command = [sys.executable, "-m", "gateway", *arguments]

        def start(number: int) -> Worker:
            # Nothing is ever written to it: that it ends tells a worker that we are gone.
            pipe = subprocess.PIPE
            own = {**known, WORKER: str(number)}
            return subprocess.Popen(command, env=own, stdin=pipe)  # noqa: S603 - our own command

        began = time.monotonic()
        workers = [start(number) for number in range(count)]
        turn = 0
        while not stopping:
            time.sleep(_POLL_S)
            turn += 1
            if turn % _TURNS_TO_REPLACE:
                continue
            for at, worker in enumerate(workers):
                code = worker.poll()
                if code is None or stopping:
                    continue
                if code > 0 and time.monotonic() - began < _FIRST_S:
                    return _end(workers)
                workers[at] = start(at)
        return _end(workers)


def _end(workers: Sequence[Worker]) -> int:
    """Stop those that live, letting them answer what they have begun; the worst exit code.

    One that our signal met before it could listen to it has done nothing wrong.
    """
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    codes = [worker.wait() for worker in workers]
    return max((abs(code) for code in codes if code != -signal.SIGTERM), default=0)
