"""The process's own log: what we, libraries and the loop warn of, with traces, to stderr.

No key and no secret of the configuration is in it: the redactor is the last thing that is done to
each entry, whoever wrote it.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.core.redaction import Redactor

_log: Final = logging.getLogger("gateway")


class _Shown(logging.Formatter):
    """The message and, where there is one, the trace."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


@contextmanager
def process_log(redactor: Redactor) -> Iterator[None]:
    """Of every logger that does not write by itself, and of what ends a thread."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown(redactor))
    root = logging.getLogger()
    root.addHandler(handler)
    before, threading.excepthook = threading.excepthook, _log_thread_bug
    try:
        yield
    finally:
        threading.excepthook = before
        root.removeHandler(handler)


def _log_thread_bug(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and not isinstance(what.exc_value, SystemExit):
        name = what.thread.name if what.thread is not None else "?"
        _log.error("the thread %s met a bug", name, exc_info=what.exc_value)
