"""Signals that come while a process only begins to serve, or has served: what is imported and read
before it can listen to them takes most of a second, and to end takes a while, too.
"""

import os
import signal
from types import FrameType
from typing import Final

LATER: Final = frozenset({signal.SIGHUP})
"""Kept until there is somebody who can read the configuration again."""
ENDS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
NOW: Final = signal.SIGUSR1
"""By which a parent passes on to a worker that it was told again to stop."""


def listen_early() -> None:
    """Told to stop it ends at once, as well as one that is told later: nothing is begun yet."""
    signal.pthread_sigmask(signal.SIG_BLOCK, LATER)
    for number in ENDS:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)  # a worker's parent has blocked them


def listen_no_more() -> None:
    """Whatever comes now is known, or too late."""
    for number in ENDS | LATER | {NOW}:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0)
