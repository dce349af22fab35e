"""`tollgate serve --workers N`: N processes, each with its own socket on the one port.

The kernel spreads connections over the sockets (SO_REUSEPORT). The parent only starts them,
replaces one that dies, and passes on the signal to stop.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

WORKERS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client shares the workers' metrics: it must be set before the import."""

_FEWEST_SECONDS: Final = 1.0


def run_workers(arguments: Sequence[str], count: int, env: Mapping[str, str]) -> int:
    """Run `tollgate <arguments>` in so many processes until told to stop; the exit code."""
    with TemporaryDirectory(prefix="tollgate-metrics-") as folder:
        known = {**env, WORKERS_DIR: folder}
        command = [sys.executable, "-m", "gateway", *arguments]

        def start() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(command, env=known)  # noqa: S603 - our own command

        workers = [start() for _ in range(count)]
        stopping = False

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True
            for worker in workers:
                worker.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        while not stopping:
            time.sleep(_FEWEST_SECONDS)
            for at, worker in enumerate(workers):
                code = worker.poll()
                if code is not None and not stopping:
                    workers[at] = start()
        return max((worker.wait() for worker in workers), default=0)
