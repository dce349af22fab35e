"""Gateways that start quickly: `python -m tests.service.forking gateway.yaml`.

What takes a gateway a second to start is its imports. So they are made once; for each line on
stdin one is forked, which runs what `tollgate serve` runs and tells its pid and its address.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from gateway.commands.serve import ListenOptions, serve
from gateway.config.load import load
from gateway.core.snapshot import Snapshot


def main() -> None:
    snapshot = load([Path(sys.argv[1])], os.environ)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for _ in sys.stdin:
        if os.fork() == 0:
            live(snapshot)


def live(snapshot: Snapshot) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def say(told: str) -> None:
        address = told.removeprefix("Tollgate answers at ").removesuffix("/v1")
        os.write(1, f"{os.getpid()} {address}\n".encode())

    code = 1
    try:
        serve(snapshot, ListenOptions("127.0.0.1", 0), say, {})
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
