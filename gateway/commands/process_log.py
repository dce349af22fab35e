"""The process's own log: what we, libraries and the loop warn of, with traces, to stderr.

No key and no secret of the configuration is in it: the redactor is the last thing that is done to
each entry, whoever wrote it.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.core.redaction import Redactor


class _Shown(logging.Formatter):
    """The message and, where there is one, the trace."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


@contextmanager
def process_log(redactor: Redactor) -> Iterator[None]:
    """Of every logger that does not write by itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown(redactor))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
