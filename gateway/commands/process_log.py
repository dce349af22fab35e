"""The process's own log: warnings of ours, of libraries and of the loop, with traces, to stderr.

No key and no secret of the configuration is in it: every entry passes the redactor last.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.core.redaction import Redactor

_log: Final = logging.getLogger("gateway")


class _RedactingFormatter(logging.Formatter):
    """The message and, where there is one, the trace."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


@contextmanager
def process_log(redactor: Redactor) -> Iterator[None]:
    """Handle every logger without a handler of its own, and exceptions that end a thread."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter(redactor))
    root = logging.getLogger()
    root.addHandler(handler)
    previous, threading.excepthook = threading.excepthook, _log_thread_bug
    try:
        yield
    finally:
        threading.excepthook = previous
        root.removeHandler(handler)


def _log_thread_bug(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread is not None else "?"
        _log.error("the thread %s met a bug", name, exc_info=args.exc_value)
