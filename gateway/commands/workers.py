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

from gateway.commands.signals import DEFERRED, STOP_NOW, TERMINATING, ignore_signals

WORKERS_DIR: Final = "TOLLGATE_WORKERS_DIR"
"""The folder where workers share their metrics."""
WORKER: Final = "TOLLGATE_WORKER"
"""The number of a worker, from 0; one that replaces another has its number."""
FIRST: Final = "TOLLGATE_WORKER_FIRST"
"""In the environment of those that begin together: what hinders them hinders all."""
ANNOUNCES: Final = "TOLLGATE_WORKER_SAYS"
"""In the environment of the one worker that prints the address of all."""

_POLL_S: Final = 0.1
_TURNS_TO_REPLACE: Final = 10
"""Polls between two replacements: one that dies at once must not keep the machine busy."""
_FIRST_S: Final = 60.0
"""A worker that fails before would fail again: then all end, with its exit code."""

_log: Final = logging.getLogger("gateway")
Worker = subprocess.Popen[bytes]


def run_workers(arguments: Sequence[str], count: int, env: Mapping[str, str]) -> int:
    """Run `tollgate <arguments>` in so many processes until a signal stops them; the exit code."""
    signals = _Signals()
    signal.signal(signal.SIGTERM, signals.stop)
    signal.signal(signal.SIGINT, signals.stop)
    signal.signal(signal.SIGHUP, signals.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DEFERRED)
    with TemporaryDirectory(prefix="tollgate-metrics-") as folder:
        worker_env = {**env, WORKERS_DIR: folder}
        command = [sys.executable, "-m", "gateway", *arguments]

        def start(number: int, *, first: bool = False) -> Worker:
            # Never written to: its end tells a worker that we are gone.
            pipe = subprocess.PIPE
            own_env = {**worker_env, WORKER: str(number), **(_first(number) if first else {})}
            # A worker that cannot handle them yet has them pending until it can.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, DEFERRED | TERMINATING | {STOP_NOW})
            try:
                return subprocess.Popen(command, env=own_env, stdin=pipe)  # noqa: S603 - our own command
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

        began = time.monotonic()
        workers = [start(number, first=True) for number in range(count)]
        turn = 0
        while not signals.stops:
            time.sleep(_POLL_S)
            turn += 1
            if signals.reloads:
                signals.reloads = False
                _signal(workers, signal.SIGHUP)
            if turn % _TURNS_TO_REPLACE:
                continue
            for at, worker in enumerate(workers):
                code = worker.poll()
                if code is None or signals.stops:
                    continue
                if code > 0 and time.monotonic() - began < _FIRST_S:
                    return _end(workers, signals)
                _log.warning("worker %d %s: another takes its place", at, _describe_exit(code))
                workers[at] = start(at)
        return _end(workers, signals)


def _first(number: int) -> Mapping[str, str]:
    return {FIRST: "1"} if number else {FIRST: "1", ANNOUNCES: "1"}


class _Signals:
    """The signals so far: how often to stop, and whether to reload."""

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


def parent_notifier(parent: int) -> Callable[[], None]:
    """In a worker: makes the parent, and so every worker, reload."""

    def notify() -> None:
        if os.getppid() == parent:  # else it is gone, and we are about to be
            os.kill(parent, signal.SIGHUP)

    return notify


def _describe_exit(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"


def _signal(workers: Sequence[Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.send_signal(number)


def _end(workers: Sequence[Worker], signals: _Signals) -> int:
    """Stop those that live, letting them finish requests in flight; the worst exit code.

    One that our signal ended before it could handle it counts as 0. A second signal to stop is
    passed on.
    """
    _signal(workers, signals.first)
    passed_on = max(signals.stops, 1)
    while any(worker.poll() is None for worker in workers):
        if signals.stops > passed_on:
            passed_on = signals.stops
            _signal(workers, STOP_NOW)
        time.sleep(_POLL_S / 10)
    codes = [worker.wait() for worker in workers]
    ignore_signals()
    return max((abs(code) for code in codes if -code not in TERMINATING), default=0)
