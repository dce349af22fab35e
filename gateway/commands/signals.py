"""Signals during startup and shutdown: before the server handles them, imports and reading the
configuration take most of a second, and shutting down takes a while, too.
"""

import os
import signal
from types import FrameType
from typing import Final

DEFERRED: Final = frozenset({signal.SIGHUP})
"""Blocked until the process can reload the configuration."""
TERMINATING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
STOP_NOW: Final = signal.SIGUSR1
"""Sent by a parent to its workers when it is told a second time to stop."""


def listen_early() -> None:
    """Until the server handles signals, SIGTERM and SIGINT exit at once: nothing has begun yet."""
    signal.pthread_sigmask(signal.SIG_BLOCK, DEFERRED)
    for number in TERMINATING:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATING)  # a worker's parent has blocked them


def interrupt_quietly() -> None:
    """Ctrl-C ends the process by the signal itself, where Python would print a trace of the
    imports. A signal that is ignored, as in the background of a script, stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_as_usual() -> None:
    """For what a command has to clean up."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_signals() -> None:
    """During shutdown every signal is too late."""
    for number in TERMINATING | DEFERRED | {STOP_NOW}:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0)
