"""`tollgate serve --workers N`: N processes, each with its own socket on the one port.

The kernel spreads connections over the sockets (SO_REUSEPORT). The parent only starts them,
replaces one that dies, and passes on the signal to stop. A worker that finds its parent gone
stops, too: otherwise it would share the port with the next start.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

from gateway.commands.early import ENDS, LATER, NOW, listen_no_more

WORKERS_DIR: Final = "TOLLGATE_WORKERS_DIR"
"""The folder where workers share their metrics."""
WORKER: Final = "TOLLGATE_WORKER"
"""Which worker a process is, from 0; who takes another's place has its number."""
SAYS: Final = "TOLLGATE_WORKER_SAYS"
"""In the environment of the one worker that says where all of them answer: it is said once."""

_POLL_S: Final = 0.1
_TURNS_TO_REPLACE: Final = 10
"""Turns between two looks for the dead: one that dies at once must not keep the machine busy."""
_FIRST_S: Final = 60.0
"""A worker that fails before would fail again: then all end, and its exit code is told."""

_log: Final = logging.getLogger("gateway")
Worker = subprocess.Popen[bytes]


def run_workers(arguments: Sequence[str], count: int, env: Mapping[str, str]) -> int:
    """Run `tollgate <arguments>` in so many processes until told to stop; the exit code."""
    told = _Told()
    signal.signal(signal.SIGTERM, told.stop)
    signal.signal(signal.SIGINT, told.stop)
    signal.signal(signal.SIGHUP, told.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LATER)
    with TemporaryDirectory(prefix="tollgate-metrics-") as folder:
        known = {**env, WORKERS_DIR: folder}
        command = [sys.executable, "-m", "gateway", *arguments]

        def start(number: int, *, says: bool = False) -> Worker:
            # Nothing is ever written to it: that it ends tells a worker that we are gone.
            pipe = subprocess.PIPE
            own = {**known, WORKER: str(number), **({SAYS: "1"} if says else {})}
            # A worker that cannot listen to them yet keeps them until it can.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, LATER | ENDS | {NOW})
            try:
                return subprocess.Popen(command, env=own, stdin=pipe)  # noqa: S603 - our own command
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

        began = time.monotonic()
        workers = [start(number, says=number == 0) for number in range(count)]
        turn = 0
        while not told.stops:
            time.sleep(_POLL_S)
            turn += 1
            if told.reloads:
                told.reloads = False
                _signal(workers, signal.SIGHUP)
            if turn % _TURNS_TO_REPLACE:
                continue
            for at, worker in enumerate(workers):
                code = worker.poll()
                if code is None or told.stops:
                    continue
                if code > 0 and time.monotonic() - began < _FIRST_S:
                    return _end(workers, told)
                _log.warning("worker %d %s: another takes its place", at, _ended(code))
                workers[at] = start(at)
        return _end(workers, told)


class _Told:
    """What signals said: to stop, how often, and to read the configuration again."""

    def __init__(self) -> None:
        self.stops = 0
        self.first = signal.SIGTERM
        """By which it was told to stop: SIGTERM waits for a load balancer, SIGINT does not."""
        self.reloads = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        if not self.stops:
            self.first = signal.Signals(number)
        self.stops += 1

    def reload(self, number: int, frame: FrameType | None) -> None:
        self.reloads = True


def beside(parent: int) -> Callable[[], None]:
    """In a worker: tells the parent, and so every worker, that there is something to reload."""

    def tell() -> None:
        if os.getppid() == parent:  # else it is gone, and we are about to be
            os.kill(parent, signal.SIGHUP)

    return tell


def _ended(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"


def _signal(workers: Sequence[Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.send_signal(number)


def _end(workers: Sequence[Worker], told: _Told) -> int:
    """Stop those that live, letting them answer what they have begun; the worst exit code.

    One that our signal met before it could listen to it has done nothing wrong. Who is told again
    to stop passes that on.
    """
    _signal(workers, told.first)
    passed = max(told.stops, 1)
    while any(worker.poll() is None for worker in workers):
        if told.stops > passed:
            passed = told.stops
            _signal(workers, NOW)
        time.sleep(_POLL_S / 10)
    codes = [worker.wait() for worker in workers]
    listen_no_more()
    return max((abs(code) for code in codes if -code not in ENDS), default=0)
